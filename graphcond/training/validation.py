"""The validation loss with fixed noise and timesteps, and how much the graph contributes to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float64, Int64

from graphcond.data.contexts import Sampled
from graphcond.intervals import Measurement, bootstrap_ratios, percentile_interval
from graphcond.model import GraphModel
from graphcond.recipe import TrainingConfig
from graphcond.training.examples import Examples
from graphcond.training.objective import sample_losses, without_graph
from graphcond.training.randomness import Purpose, generator_of, seed_of
from graphcond.training.state import train_mode

FEWEST = 100
"""Steps below which a run gets no verdict in its middle."""


def warnings_of(model: GraphModel, validation: Mapping[str, Any] | None) -> list[str]:
    """A sentence for each sign that a graph is not used.

    Args:
        model: the model with the injectors.
        validation: the newest record of the validation loss; None where there is none.
    """
    unused = {name: condition.injector.unused() for name, condition in model.conditions.items()}
    reasons = [f"{name}: {reason}" for name, reason in unused.items() if reason]
    gap = None if validation is None else validation["graph_gap"]
    if gap is not None and not gap > 0:
        reasons.append(f"with it the validation loss is no lower than without (graph_gap {gap:.2g})")
    return [f"the graph is not being used: {reason}" for reason in reasons]


def injector_figures(model: GraphModel) -> dict[str, dict[str, float]]:
    """The figures of each condition's injector: gates, and sizes of what it adds."""
    found = {name: condition.injector.figures() for name, condition in model.conditions.items()}
    return {name: figures for name, figures in found.items() if figures}


def middle(steps: int) -> int | None:
    """The step after which a run of ``steps`` is judged once before its end; None for a short run."""
    return max(steps // 2, FEWEST) if steps > FEWEST else None


@dataclass(frozen=True)
class ValidationLoss:
    """Mean squared errors of the same samples, noise and timesteps.

    Args:
        graph: with each target's own graph.
        no_graph: with the conditions' nulls.
        shuffled: with another target's graph.
        samples: of each sample, in the order of the means.
    """

    graph: float
    no_graph: float
    shuffled: float
    samples: Float64[np.ndarray, "3 n"] = field(compare=False, repr=False)

    @classmethod
    def of(cls, samples: Float64[np.ndarray, "3 n"]) -> ValidationLoss:
        """The means of the samples' losses."""
        graph, no_graph, shuffled = samples.mean(axis=1).tolist()
        return cls(graph, no_graph, shuffled, samples)

    @property
    def graph_gap(self) -> float:
        """The reduction of the loss by the graph."""
        return self.no_graph - self.graph

    @property
    def shuffled_gap(self) -> float:
        """The increase of the loss by a wrong graph."""
        return self.shuffled - self.graph

    @property
    def gap_percent(self) -> Measurement:
        """The graph gap in per cent of the loss without graph; the samples are resampled in pairs."""
        graph, no_graph, _ = self.samples
        shares = 100 * bootstrap_ratios(np.stack([no_graph - graph, no_graph], axis=1), seed=0)
        return Measurement("gap", float(shares[0]), *percentile_interval(shares[1:]), len(graph))

    def record(self) -> dict[str, object]:
        """As a line of metrics.jsonl."""
        losses = {"graph": self.graph, "no_graph": self.no_graph, "shuffled": self.shuffled}
        gap = self.gap_percent
        return {
            "loss": losses,
            "graph_gap": self.graph_gap,
            "shuffled_gap": self.shuffled_gap,
            "gap_percent": {"mean": gap.mean, "low": gap.low, "high": gap.high, "n": gap.n},
        }


def gap_sentence(record: Mapping[str, Any]) -> str:
    """The graph gap of a `ValidationLoss.record` in words."""
    gap = record["gap_percent"]
    share = f"{gap['mean']:.1f} % of the validation loss without graph"
    interval = f"95 % interval {gap['low']:.1f} to {gap['high']:.1f} %, n = {gap['n']}"
    return f"{record['graph_gap']:.4f}, {share} ({interval})"


def shuffled_contexts(examples: Examples, seed: int) -> dict[str, Sampled]:
    """The control: each example gets the graph of another of them."""
    return {
        name: examples.sources[name].shuffled(context, seed_of(seed, Purpose.SHUFFLE))
        for name, context in examples.contexts.items()
    }


class Validation:
    """Measures the same samples again and again; only the weights change.

    Timesteps are evenly spaced quantiles of the distribution that training draws from.

    Args:
        examples: the validation examples.
        config: the recipe's training.
    """

    def __init__(self, examples: Examples, config: TrainingConfig) -> None:
        self._examples, self._config, count = examples, config, len(examples)
        self._wrong = shuffled_contexts(examples, config.seed)
        generator = generator_of(config.seed, Purpose.VALIDATION)
        self._noise = torch.randn((count, *examples.latent_shape), generator=generator)
        self._time = ((torch.arange(count) + 0.5) / count)[torch.randperm(count, generator=generator)]

    @torch.no_grad()
    def __call__(self, model: GraphModel, accelerator: Accelerator) -> ValidationLoss:
        """The losses of ``model`` as it is now."""
        model.train(False)
        size, count = self._config.batch_size, len(self._examples)
        with accelerator.autocast():
            losses = np.concatenate(
                [
                    self._batch(model, np.arange(start, min(start + size, count)))
                    for start in range(0, count, size)
                ],
                axis=1,
            )
        train_mode(model)
        return ValidationLoss.of(losses)

    def _batch(self, model: GraphModel, rows: Int64[np.ndarray, " b"]) -> Float64[np.ndarray, "3 b"]:
        device = model.device
        batch = self._examples.batch(rows, device)
        process, size = model.base.process, self._examples.latent_shape[1:]
        timesteps = process.timesteps(self._time[rows], self._config.timesteps, size).to(device)
        wrong = self._examples.features(rows, device, self._wrong)
        variants = (batch.contexts, without_graph(batch.contexts), wrong)
        losses = [
            sample_losses(
                model,
                latents=batch.latents.mean,
                noise=self._noise[rows].to(device),
                timesteps=timesteps,
                text=batch.text,
                contexts=contexts,
            )
            for contexts in variants
        ]
        return np.stack([loss.cpu().double().numpy() for loss in losses])
