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

from graphcond.errors import TrainingError, out_of_memory
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
        norms: of the gradients of each group, in a detailed step.
        modules: of the gradients of each module within a group, in a detailed step.
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
        say: tells the user something.

    Attributes:
        at_once: samples in a forward pass; fewer than a batch where one did not fit into memory.
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
        say: Callable[[str], None] = print,
    ) -> None:
        self._config: TrainingConfig = model.recipe.training
        self._model, self._examples, self._groups, self._plan = model, examples, groups, plan
        self._optimizer, self._accelerator = optimizer, accelerator
        self._rate_factor, self._always, self._own_losses = rate_factor, always, own_losses
        self.at_once, self._say = plan.batch_size, say
        self.alike = False
        """Whether each process must run forwards and backwards through the whole denoiser in every pass."""
        self._order = examples.order(self._config.seed, plan.together)

    def __call__(self, step: int, *, detailed: bool = True) -> StepFigures:
        """Run step number ``step``, counted from 0.

        Args:
            step: its number.
            detailed: tell the norms by group and module.

        Raises:
            TrainingError: the loss or the gradients are not finite, or one sample does not fit into memory;
                the weights stay as they were.
        """
        rates = set_rates(self._optimizer, self._rate_factor(step))
        sums, own = self._passes(step)
        totals = sum(sums, torch.zeros(2, device=self._accelerator.device))
        if self._accelerator.num_processes > 1:
            totals = self._accelerator.reduce(totals, "sum")
        if (self.alike or not sums) and not bool(totals[1]):
            return StepFigures(None, 0, rates, None, {}, {})
        share_gradients(self._groups, self._accelerator)
        self._accelerator.unscale_gradients(self._optimizer)
        norms, modules = gradient_norms(self._groups) if detailed else ({}, {})
        clipped = clip_gradients(self._groups, self._config.max_gradient_norm)
        # Fetched once a step, and together: each time a GPU is asked, it runs dry.
        loss, trained, norm = torch.cat([totals, clipped[None].to(totals)]).tolist()
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {step + 1}")
        if not math.isfinite(norm) and self._accelerator.scaler is None:
            raise TrainingError(f"the gradients are not finite at step {step + 1}")
        self._optimizer.step()
        return StepFigures(loss / trained, int(trained), rates, norm, norms, modules, mean_figures(own))

    def _passes(self, step: int) -> tuple[list[Tensor], list[tuple[str, Mapping[str, float]]]]:
        """The gradients of a step, with what `_backward` gives; batches that do not fit are halved."""
        while True:
            self._optimizer.zero_grad()
            sums, own = list[Tensor](), list[tuple[str, Mapping[str, float]]]()
            try:
                for part in range(self._config.accumulate):
                    positions = self._plan.positions(step, part, self._accelerator.process_index)
                    for start in range(0, len(positions), self.at_once):
                        some = positions[start : start + self.at_once]
                        torch.manual_seed(seed_of(self._config.seed, Purpose.LAYERS, step, int(some[0])))
                        sums += self._backward(some, own)
                return sums, own
            except Exception as error:
                if self.alike or not out_of_memory(error):
                    raise
                if self.at_once == 1:
                    raise TrainingError(
                        "one sample does not fit into memory",
                        remedy="set base.gradient_checkpointing, or a lower data.resolution",
                    ) from error
            before, self.at_once = self.at_once, self.at_once // 2
            passes = -(-self._plan.batch_size // self.at_once) * self._config.accumulate
            self._say(
                f"note: {before} samples at once do not fit into memory; going on with {self.at_once}, "
                f"as with training.batch_size: {self.at_once} and training.accumulate: {passes}"
            )
            torch.cuda.empty_cache()

    def _backward(
        self, positions: Int64[np.ndarray, " b"], own: list[tuple[str, Mapping[str, float]]]
    ) -> list[Tensor]:
        """Add the gradients of one forward pass, and the figures of own losses to ``own``.

        Returns:
            The sum of the denoising losses and the number of samples, on the device; empty without samples.
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
            return []
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
        summed = losses.detach().sum()
        return [torch.stack([summed, torch.full_like(summed, len(rows) * (not idle))])]
