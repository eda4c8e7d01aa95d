"""The optimizer over groups of trained parameters, and their gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from accelerate import Accelerator
from diffusers.optimization import get_scheduler
from jaxtyping import Float
from torch import Tensor, nn

from graphcond.errors import InputError, first_line
from graphcond.io.optional import optional
from graphcond.recipe import TrainingConfig
from graphcond.recipe.optimizer import OptimizerConfig


def rate_factor(config: TrainingConfig) -> Callable[[int], float]:
    """The factor of the learning rates in each step, counted from 0: warm-up, then the schedule."""
    name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
    unused = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = get_scheduler(name, unused, num_warmup_steps=config.warmup, num_training_steps=config.steps)
    return scheduler.lr_lambdas[0]


Groups = Mapping[str, Mapping[str, nn.Parameter]]
"""Trained parameters by name, in one group per condition and one for LoRA."""

WEIGHT, NUMBER, GROUP = "weight", "number:", "optimizer-group"
"""Names of weights begin so, and those of an optimizer's numbers for a parameter and for a group."""

FIXED = ("params", "name", "lr", "full_rate", "weight_decay")
"""Settings of a group that come from the recipe, not from a checkpoint."""

FUSED = ("cpu", "cuda")
"""Devices whose fused AdamW is used; others take torch's default."""


def all_parameters(groups: Groups) -> list[nn.Parameter]:
    """The parameters of all groups, in order."""
    return [parameter for group in groups.values() for parameter in group.values()]


GroupOf = Callable[[str, str], str | None]
"""The group within a group to which a parameter belongs, by both names; None for one that has no other."""


@runtime_checkable
class Averaging(Protocol):
    """An optimizer whose weights in training are not those to be used, such as a schedule-free one."""

    def train(self) -> None:
        """Give the model the weights to train."""

    def eval(self) -> None:
        """Give the model the weights to use."""


def build_optimizer(
    groups: Groups, config: TrainingConfig, group_of: GroupOf = lambda name, key: None
) -> torch.optim.Optimizer:
    """The optimizer with a learning rate of its own for each group; AdamW in one fused kernel where it can.

    A group within a group has its own rate where the config gives one. Vectors and scalars (gates, norms,
    nulls, biases) do not decay. Parameters must be on the device on which they are trained.

    Raises:
        InputError: the optimizer is not installed, does not exist, or does not take its settings.
    """
    sets: dict[tuple[str, bool], list[nn.Parameter]] = {}
    for name, group in groups.items():
        for key, parameter in group.items():
            inner = f"{name}.{group_of(name, key)}"
            rated = inner if inner in config.learning_rates else name
            sets.setdefault((rated, parameter.ndim >= 2), []).append(parameter)
    rates = {name: config.learning_rates.get(name, config.learning_rate) for name, _ in sets}
    rated_sets = [
        {
            "name": name,
            "params": parameters,
            "lr": rates[name],
            "full_rate": rates[name],
            "weight_decay": config.weight_decay if decays else 0.0,
        }
        for (name, decays), parameters in sets.items()
    ]
    known = config.optimizer.known
    given: dict[str, Any] = {"betas": config.betas, "eps": config.epsilon}
    given = {name: given[name] for name in known.takes}
    if config.optimizer.kind == "adamw":
        given["fused"] = all(p.device.type in FUSED for p in all_parameters(groups)) or None
    try:
        return optimizer_class(config.optimizer)(rated_sets, **given | config.optimizer.settings)
    except (TypeError, ValueError, AssertionError) as error:
        raise InputError(
            f"'{config.optimizer.kind}' does not take its settings ({first_line(error)})",
            place="training.optimizer.settings",
            remedy="see the arguments of its class",
        ) from error


def optimizer_class(config: OptimizerConfig) -> type[torch.optim.Optimizer]:
    """The class of an optimizer.

    Raises:
        InputError: it is not installed, does not exist, or is not a torch optimizer.
    """
    module, _, name = config.known.path.rpartition(".")
    home = optional(module, config.known.package or module.partition(".")[0], place="training.optimizer.kind")
    found = getattr(home, name, None)
    if not (isinstance(found, type) and issubclass(found, torch.optim.Optimizer)):
        problem = f"'{config.known.path}' is not a class of torch optimizers"
        raise InputError(problem, place="training.optimizer.kind", remedy="check the path")
    return found


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


def clip_gradients(groups: Groups, most: float) -> Float[Tensor, ""]:
    """Scale the gradients of all groups together to a norm of at most ``most``; returns the norm before."""
    return nn.utils.clip_grad_norm_(all_parameters(groups), most)


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


def optimizer_state(optimizer: torch.optim.Optimizer, groups: Groups) -> dict[str, Tensor]:
    """The optimizer's state, by ``slot/group/parameter``, and the numbers that it keeps for its groups."""
    found: dict[str, Tensor] = {}
    storages: set[int] = set()
    for key, parameter in _named(groups).items():
        for slot, value in optimizer.state.get(parameter, {}).items():
            if isinstance(value, Tensor):
                tensor = value.detach().cpu().contiguous()
                shared = tensor.data_ptr() in storages  # which safetensors refuses
                found[f"{slot}/{key}"] = tensor.clone() if shared else tensor
                storages.add(tensor.data_ptr())
            elif isinstance(value, int | float):
                found[f"{NUMBER}{slot}/{key}"] = torch.tensor(value, dtype=torch.float64)
    for number, group in enumerate(optimizer.param_groups):
        for name, value in group.items():
            changed = name in optimizer.defaults and value != optimizer.defaults[name]
            if changed and name not in FIXED and isinstance(value, int | float):
                found[f"{GROUP}/{number}/{name}"] = torch.tensor(value, dtype=torch.float64)
    return found


def restore_optimizer(optimizer: torch.optim.Optimizer, groups: Groups, state: Mapping[str, Tensor]) -> None:
    """Restore the result of `optimizer_state`."""
    kept: dict[str, dict[str, Any]] = {}
    for name, tensor in state.items():
        slot, _, key = name.partition("/")
        if slot == WEIGHT:
            continue
        if slot.startswith(NUMBER):
            value = float(tensor)
            kept.setdefault(key, {})[slot.removeprefix(NUMBER)] = int(value) if value.is_integer() else value
        else:
            kept.setdefault(key, {})[slot] = tensor.clone()
    whole, names = optimizer.state_dict(), {parameter: key for key, parameter in _named(groups).items()}
    for number, (group, packed) in enumerate(zip(optimizer.param_groups, whole["param_groups"], strict=True)):
        for parameter, place in zip(group["params"], packed["params"], strict=True):
            if names[parameter] in kept:
                whole["state"][place] = kept[names[parameter]]
        for key, values in kept.items():
            if GROUP in values and key.startswith(f"{number}/"):
                name, value = key.partition("/")[2], values[GROUP].item()
                packed[name] = type(packed.get(name, value))(value)
    optimizer.load_state_dict(whole)


def weights_of(groups: Groups) -> dict[str, Tensor]:
    """The trained weights, by ``weight/group/parameter``."""
    return {
        f"{WEIGHT}/{key}": parameter.detach().cpu().contiguous() for key, parameter in _named(groups).items()
    }


@torch.no_grad()
def restore_weights(groups: Groups, state: Mapping[str, Tensor]) -> None:
    """Restore the result of `weights_of`."""
    for key, parameter in _named(groups).items():
        parameter.copy_(state[f"{WEIGHT}/{key}"])


def _named(groups: Groups) -> dict[str, nn.Parameter]:
    return {f"{name}/{key}": parameter for name, group in groups.items() for key, parameter in group.items()}


def _grad(parameter: nn.Parameter) -> Tensor:
    if parameter.grad is None:
        raise RuntimeError("a gradient was asked for before it was there")
    return parameter.grad
