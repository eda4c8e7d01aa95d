"""One optimizer step: its samples, its gradients, its update."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Int64
from torch import Tensor

from graphcond.errors import TrainingError
from graphcond.model import GraphModel
from graphcond.recipe import TrainingConfig
from graphcond.training.examples import Examples
from graphcond.training.objective import (
    denoising_loss,
    drops_of,
    gives_gradient,
    without_graph,
)
from graphcond.training.optimizer import Groups, clip_gradients, gradient_norms, set_rates, share_gradients
from graphcond.training.own_losses import OwnLoss, mean_figures
from graphcond.training.randomness import BatchPlan, Purpose, draws_of, numbers_of, seed_of


@dataclass(frozen=True)
class StepFigures:
    """Figures of one step, over all processes.

    Args:
        loss: mean denoising loss of the samples that were trained on; None if there were none.
        trained: number of those samples.
        rates: learning rate by group.
        norm: of all gradients together, before clipping; None if nothing was trained on.
        norms: of the gradients of each group.
        modules: of the gradients of each module within a group.
        own: the figures of each condition's own loss, in this process.
    """

    loss: float | None
    trained: int
    rates: dict[str, float]
    norm: float | None
    norms: dict[str, float]
    modules: dict[str, dict[str, float]]
    own: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


class Stepper:
    """Runs optimizer steps; the outcome of a step depends on its number and the weights alone.

    Args:
        model: the model to train.
        examples: the training examples.
        plan: how a step is divided.
        groups: the trained parameters.
        optimizer: over ``groups``, prepared by ``accelerator``.
        accelerator: of this process.
        rate_factor: the factor of the learning rates in each step.
        always: whether samples without graph give gradients.
        own_losses: of conditions, beside the denoising loss.
    """

    def __init__(
        self,
        model: GraphModel,
        examples: Examples,
        plan: BatchPlan,
        *,
        groups: Groups,
        optimizer: torch.optim.Optimizer,
        accelerator: Accelerator,
        rate_factor: Callable[[int], float],
        always: bool,
        own_losses: Sequence[OwnLoss] = (),
    ) -> None:
        self._config: TrainingConfig = model.recipe.training
        self._model, self._examples, self._groups, self._plan = model, examples, groups, plan
        self._optimizer, self._accelerator = optimizer, accelerator
        self._rate_factor, self._always, self._own_losses = rate_factor, always, own_losses
        self.alike = False
        """Whether each process must run forwards and backwards through the whole denoiser in every pass."""
        self._order = examples.order(self._config.seed, plan.together)

    def __call__(self, step: int) -> StepFigures:
        """Run step number ``step``, counted from 0.

        Raises:
            TrainingError: the loss or the gradients are not finite; the weights stay as they were.
        """
        rates = set_rates(self._optimizer, self._rate_factor(step))
        self._optimizer.zero_grad()
        totals, own = torch.zeros(2, dtype=torch.float64), list[tuple[str, Mapping[str, float]]]()
        for part in range(self._config.accumulate):
            positions = self._plan.positions(step, part, self._accelerator.process_index)
            torch.manual_seed(seed_of(self._config.seed, Purpose.LAYERS, step, int(positions[0])))
            totals += self._backward(positions, own)
        if self._accelerator.num_processes > 1:
            totals = self._accelerator.reduce(totals.float().to(self._accelerator.device), "sum")
        loss, trained = totals.tolist()
        if not trained:
            return StepFigures(None, 0, rates, None, {}, {})
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {step + 1}")
        share_gradients(self._groups, self._accelerator)
        self._accelerator.unscale_gradients(self._optimizer)
        norms, modules = gradient_norms(self._groups)
        norm = clip_gradients(self._groups, self._config.max_gradient_norm)
        if not math.isfinite(norm) and self._accelerator.scaler is None:
            raise TrainingError(f"the gradients are not finite at step {step + 1}")
        self._optimizer.step()
        return StepFigures(loss / trained, int(trained), rates, norm, norms, modules, mean_figures(own))

    def _backward(
        self, positions: Int64[np.ndarray, " b"], own: list[tuple[str, Mapping[str, float]]]
    ) -> Tensor:
        """Add the gradients of one forward pass, and the figures of own losses to ``own``.

        Returns:
            The sum of the denoising losses and the number of samples.
        """
        config, examples, device = self._config, self._examples, self._accelerator.device
        rows = self._order(positions)
        draws = draws_of(config.seed, positions, examples.pictures.shape(rows), len(self._model.conditions))
        drops = drops_of(draws.drop, config.drop)
        pictured = rows
        if config.prior is not None:
            numbers = numbers_of(config.seed, positions, Purpose.PRIOR)
            pictured = examples.with_prior(rows, numbers, config.prior.share)
            drops = drops.without(pictured != rows)
        kept = gives_gradient(drops, always=self._always)
        idle = not kept.any()
        if idle and not self.alike:
            return torch.zeros(2, dtype=torch.float64)
        kept[0] |= idle  # it computes for the others, and its gradients are zero
        draws, drops, rows, pictured = draws.select(kept), drops.select(kept), rows[kept], pictured[kept]
        chosen = config.seed, positions[kept]
        batch = examples.batch(
            rows,
            device,
            shown=pictured,
            crop=numbers_of(*chosen, Purpose.CROP) if examples.pictures.views > 1 else None,
            prompt=numbers_of(*chosen, Purpose.PROMPT) if examples.prompts.others else None,
            mirrored=(draws.mirrored < 0.5) if examples.pictures.mirrored else None,
            without_text=drops.text,
        )
        size = examples.pictures.shape(rows)[1:]
        timesteps = self._model.base.process.timesteps(draws.time, config.timesteps, size)
        with self._accelerator.autocast():
            losses = denoising_loss(
                self._model,
                batch.latents,
                batch.text,
                without_graph(batch.contexts, torch.from_numpy(drops.graph).to(device)),
                posterior=draws.posterior,
                noise=draws.noise.requires_grad_(self.alike),  # so gradients go all the way
                timesteps=timesteps,
                min_snr_gamma=config.min_snr_gamma,
                sizes=batch.sizes,
                weights=batch.weights,
                reduction="none",
            )
        if config.prior is not None:
            losses = losses * torch.from_numpy(np.where(pictured != rows, config.prior.weight, 1)).to(losses)
        losses = losses * (not idle)
        total = (1 - sum(one.share for one in self._own_losses)) * losses.sum()
        for one in self._own_losses:
            shown = ~drops.graph[:, list(self._model.conditions).index(one.name)]
            if found := one(self._model, rows, shown):  # outside autocast, so in float32
                total = total + one.share * found[0]
                own.append((one.name, found[1]))
        self._accelerator.backward(total / (config.batch_size * config.accumulate))
        return torch.tensor([losses.detach().sum().item(), len(rows) * (not idle)], dtype=torch.float64)
