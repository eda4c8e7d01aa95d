"""AdamW over groups of trained parameters, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from torch import Tensor, nn

from graphcond.recipe import TrainingConfig


def rate_factor(config: TrainingConfig) -> Callable[[int], float]:
    """The factor of the learning rates in each step, counted from 0: warm-up, then the schedule."""
    name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
    unused = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = get_scheduler(name, unused, num_warmup_steps=config.warmup, num_training_steps=config.steps)
    return scheduler.lr_lambdas[0]


Groups = Mapping[str, Mapping[str, nn.Parameter]]
"""Trained parameters by name, in one group per condition and one for LoRA."""

SLOTS = ("step", "exp_avg", "exp_avg_sq")
"""The state that AdamW keeps for a parameter."""

FUSED = ("cpu", "cuda")
"""Devices whose fused AdamW is used; others take torch's default."""


def all_parameters(groups: Groups) -> list[nn.Parameter]:
    """The parameters of all groups, in order."""
    return [parameter for group in groups.values() for parameter in group.values()]


GroupOf = Callable[[str, str], str | None]
"""The group within a group to which a parameter belongs, by both names; None for one that has no other."""


def build_optimizer(
    groups: Groups, config: TrainingConfig, group_of: GroupOf = lambda name, key: None
) -> torch.optim.AdamW:
    """AdamW with a learning rate of its own for each group, in one fused kernel where the devices have one.

    A group within a group has its own rate where the config gives one. Vectors and scalars (gates, norms,
    nulls, biases) do not decay. Parameters must be on the device on which they are trained.
    """
    sets: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, group in groups.items():
        for key, parameter in group.items():
            inner = f"{name}.{group_of(name, key)}"
            rated = inner if inner in config.learning_rates else name
            sets.setdefault((rated, parameter.ndim >= 2), []).append(parameter)
    rates = {name: config.learning_rates.get(name, config.learning_rate) for name, _ in sets}
    return torch.optim.AdamW(
        [
            {
                "name": name,
                "params": parameters,
                "lr": rates[name],
                "full_rate": rates[name],
                "weight_decay": config.weight_decay if decays else 0.0,
            }
            for (name, decays), parameters in sets.items()
        ],
        betas=config.betas,
        eps=config.epsilon,
        fused=all(parameter.device.type in FUSED for parameter in all_parameters(groups)) or None,
    )


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> dict[str, float]:
    """Give every group ``factor`` times its full learning rate; returns the rates by group."""
    for group in optimizer.param_groups:
        group["lr"] = factor * group["full_rate"]
    return {group["name"]: group["lr"] for group in optimizer.param_groups}


def gradient_norms(groups: Groups) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """The norm of each group's gradients, and those of the modules within it.

    A module is the part of a parameter's name before the first dot: ``encoder``, ``injector``.
    """
    squares: dict[str, dict[str, float]] = {name: {} for name in groups}
    keys = [(name, key) for name, group in groups.items() for key, p in group.items() if p.grad is not None]
    norms = torch._foreach_norm([_grad(groups[name][key]).float() for name, key in keys]) if keys else []
    for (name, key), norm in zip(keys, torch.stack(list(norms)).tolist() if keys else [], strict=True):
        module = key.partition(".")[0]
        squares[name][module] = squares[name].get(module, 0.0) + norm**2
    modules = {
        name: {part: math.sqrt(square) for part, square in parts.items()} for name, parts in squares.items()
    }
    return {name: math.sqrt(sum(parts.values())) for name, parts in squares.items()}, modules


def clip_gradients(groups: Groups, most: float) -> float:
    """Scale the gradients of all groups together to a norm of at most ``most``; returns the norm before."""
    return float(nn.utils.clip_grad_norm_(all_parameters(groups), most))


def share_gradients(groups: Groups, accelerator: Accelerator) -> None:
    """Average the gradients over processes; a process without any counts as zero."""
    if accelerator.num_processes == 1:
        return
    parameters = all_parameters(groups)
    for parameter in parameters:
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    flat = accelerator.reduce(torch.cat([_grad(p).flatten() for p in parameters]), "mean")
    for parameter, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        _grad(parameter).copy_(part.view_as(parameter))


def optimizer_state(optimizer: torch.optim.AdamW, groups: Groups) -> dict[str, Tensor]:
    """The optimizer's state, by ``slot/group/parameter``."""
    return {
        f"{slot}/{key}": optimizer.state[parameter][slot].detach().cpu().contiguous()
        for key, parameter in _named(groups).items()
        for slot in SLOTS
        if parameter in optimizer.state
    }


def restore_optimizer(optimizer: torch.optim.AdamW, groups: Groups, state: Mapping[str, Tensor]) -> None:
    """Restore the result of `optimizer_state`."""
    fused = optimizer.defaults["fused"]
    for key, parameter in _named(groups).items():
        if f"step/{key}" in state:
            optimizer.state[parameter] = {
                "step": state[f"step/{key}"].to(parameter.device if fused else "cpu", copy=True),
                "exp_avg": state[f"exp_avg/{key}"].to(parameter, copy=True),
                "exp_avg_sq": state[f"exp_avg_sq/{key}"].to(parameter, copy=True),
            }


def weights_of(groups: Groups) -> dict[str, Tensor]:
    """The trained weights, by ``weight/group/parameter``."""
    return {
        f"weight/{key}": parameter.detach().cpu().contiguous() for key, parameter in _named(groups).items()
    }


@torch.no_grad()
def restore_weights(groups: Groups, state: Mapping[str, Tensor]) -> None:
    """Restore the result of `weights_of`."""
    for key, parameter in _named(groups).items():
        parameter.copy_(state[f"weight/{key}"])


def _named(groups: Groups) -> dict[str, nn.Parameter]:
    return {f"{name}/{key}": parameter for name, group in groups.items() for key, parameter in group.items()}


def _grad(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise RuntimeError("a gradient was asked for before it was there")
    return parameter.grad
