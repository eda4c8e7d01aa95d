"""The validation loss with fixed noise and timesteps, and how much the graph contributes to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from graphcond.data.contexts import Sampled
from graphcond.intervals import Measurement, bootstrap_ratios, percentile_interval
from graphcond.model import GraphModel
from graphcond.recipe import TrainingConfig
from graphcond.training.examples import Examples
from graphcond.training.objective import denoising_loss, without_graph
from graphcond.training.randomness import Purpose, generator_of, seed_of
from graphcond.training.state import train_mode

LEAST_GAP = 1.0
"""Per cent of the validation loss without graph: a graph that lowers it by less is as good as not used."""

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
    if validation is not None:
        gap, wrong = validation["gap_percent"], validation["shuffled_gap_percent"]
        noise = (wrong["high"] - wrong["low"]) / 2
        lowers = f"it lowers the validation loss by {gap['mean']:.2f} %, {_interval(gap)}"
        if not gap["mean"] >= LEAST_GAP:
            reasons.append(f"{lowers}; less than {LEAST_GAP:g} % is next to nothing")
        elif max(gap["mean"], wrong["mean"]) <= noise:  # a wrong graph that does harm is a graph that is used
            reasons.append(f"{lowers}; what a wrong graph adds to it is within its noise, {noise:.2f} %, too")
    return [f"the graph is not being used: {reason}" for reason in reasons]


def injector_figures(model: GraphModel) -> dict[str, dict[str, float]]:
    """The figures of each condition's injector: gates, and sizes of what it adds."""
    found = {name: condition.injector.figures() for name, condition in model.conditions.items()}
    return {name: figures for name, figures in found.items() if figures}


def judged(step: int, steps: int, validations: int) -> bool:
    """Whether a run of ``steps`` is judged after ``step``: at its end, and a long one also before it.

    That is in its middle, and from its second validation on.
    """
    return step == steps or (step >= FEWEST and (step == max(steps // 2, FEWEST) or validations >= 2))


@dataclass(frozen=True)
class ValidationLoss:
    """Mean squared errors of the same samples, noise and timesteps.

    Args:
        graph: with each target's own graph.
        no_graph: with the conditions' nulls.
        shuffled: with another target's graph.
        samples: of each sample, in the order of the means.
        boxes_hidden: with each target's own graph without its boxes; None where `Validation` hides none.
    """

    graph: float
    no_graph: float
    shuffled: float
    samples: Float64[np.ndarray, "variants n"] = field(compare=False, repr=False)
    boxes_hidden: float | None = None

    @classmethod
    def of(cls, samples: Float64[np.ndarray, "variants n"]) -> ValidationLoss:
        """The means of the samples' losses: with graph, without, shuffled, and perhaps with hidden boxes."""
        graph, no_graph, shuffled, *hidden = samples.mean(axis=1).tolist()
        return cls(graph, no_graph, shuffled, samples, *hidden)

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
        return self._percent(1, 0)

    def record(self) -> dict[str, object]:
        """As a line of metrics.jsonl."""
        record: dict[str, Any] = {
            "loss": {"graph": self.graph, "no_graph": self.no_graph, "shuffled": self.shuffled},
            "graph_gap": self.graph_gap,
            "shuffled_gap": self.shuffled_gap,
            "gap_percent": _plain(self.gap_percent),
            "shuffled_gap_percent": _plain(self._percent(2, 0)),
        }
        if self.boxes_hidden is not None:
            record["loss"]["boxes_hidden"] = self.boxes_hidden
            record["graph_gap_boxes_hidden"] = self.no_graph - self.boxes_hidden
            record["gap_percent_boxes_hidden"] = _plain(self._percent(1, 3))
        return record

    def _percent(self, more: int, less: int) -> Measurement:
        """By how much one variant's loss is above another's, in per cent of the loss without graph."""
        gap, no_graph = self.samples[more] - self.samples[less], self.samples[1]
        shares = 100 * bootstrap_ratios(np.stack([gap, no_graph], axis=1), seed=0)
        return Measurement("gap", float(shares[0]), *percentile_interval(shares[1:]), len(gap))


def _plain(measured: Measurement) -> dict[str, float]:
    return {name: value for name, value in asdict(measured).items() if name != "name"}


def _interval(gap: Mapping[str, Any]) -> str:
    return f"95 % interval {gap['low']:.1f} to {gap['high']:.1f} %, n = {gap['n']}"


def gap_sentence(record: Mapping[str, Any]) -> str:
    """The graph gap of a `ValidationLoss.record` in words, and that with hidden boxes where it is there."""
    gap, hidden = record["gap_percent"], record.get("gap_percent_boxes_hidden")
    share = f"{gap['mean']:.1f} % of the validation loss without graph"
    said = f"{record['graph_gap']:.4f}, {share} ({_interval(gap)})"
    if hidden is None:
        return said
    return f"{said}; with boxes hidden {hidden['mean']:.1f} % ({hidden['low']:.1f} to {hidden['high']:.1f} %)"


def shuffled_contexts(examples: Examples, seed: int) -> dict[str, Sampled]:
    """The control: each example gets the graph of another of them."""
    return {
        name: examples.sources[name].shuffled(context, seed_of(seed, Purpose.SHUFFLE))
        for name, context in examples.contexts.items()
    }


def contexts_without_boxes(examples: Examples, model: GraphModel) -> dict[str, Sampled] | None:
    """As `Examples.without_boxes`; None also where no encoder of the model predicts boxes."""
    predicted = any(condition.encoder.predicts_boxes for condition in model.conditions.values())
    return examples.without_boxes if predicted else None


def fixed_draws(
    shapes: Sequence[tuple[int, int, int, int]], seed: int
) -> tuple[list[Float[Tensor, "_m _channels _height _width"]], Float[Tensor, " count"]]:
    """The noise of some samples, and evenly spaced quantiles of the distribution of their timesteps.

    Args:
        shapes: of the latents of groups of samples: their number, channels, height and width.
        seed: of the numbers.
    """
    generator = generator_of(seed, Purpose.VALIDATION)
    noise, count = [torch.randn(shape, generator=generator) for shape in shapes], sum(s[0] for s in shapes)
    return noise, ((torch.arange(count) + 0.5) / count)[torch.randperm(count, generator=generator)]


class Validation:
    """Measures the same samples again and again; only the weights change.

    Timesteps are evenly spaced quantiles of the distribution that training draws from. Where the data give
    boxes and an encoder predicts them, the loss is also measured with boxes hidden.

    Args:
        examples: the validation examples.
        config: the recipe's training.
    """

    def __init__(self, examples: Examples, config: TrainingConfig) -> None:
        self._examples, self._config = examples, config
        self._wrong = shuffled_contexts(examples, config.seed)
        self._noise, self._time = fixed_draws(examples.pictures.shapes, config.seed)

    @torch.no_grad()
    def __call__(self, model: GraphModel, accelerator: Accelerator) -> ValidationLoss:
        """The losses of ``model`` as it is now."""
        model.train(False)
        size, hidden = self._config.batch_size, contexts_without_boxes(self._examples, model)
        losses, order = list[Float64[np.ndarray, "variants b"]](), list[int]()
        with accelerator.autocast():
            for rows, noise in zip(self._examples.pictures.members, self._noise, strict=True):
                for start in range(0, len(rows), size):
                    part = slice(start, start + size)
                    losses.append(self._batch(model, rows[part], noise[part], hidden))
                order += rows.tolist()
        train_mode(model)
        return ValidationLoss.of(np.concatenate(losses, axis=1)[:, np.argsort(order)])

    def _batch(
        self,
        model: GraphModel,
        rows: Int64[np.ndarray, " b"],
        noise: Float[Tensor, "b channels height width"],
        hidden: Mapping[str, Sampled] | None,
    ) -> Float64[np.ndarray, "variants b"]:
        device = model.device
        batch = self._examples.batch(rows, device)
        process, size = model.base.process, self._examples.pictures.shape(rows)[1:]
        timesteps = process.timesteps(self._time[rows], self._config.timesteps, size)
        wrong = self._examples.features(rows, device, self._wrong)
        variants = [batch.contexts, without_graph(batch.contexts), wrong]
        if hidden is not None:
            variants.append(self._examples.features(rows, device, hidden))
        losses = [
            denoising_loss(
                model,
                batch.latents,
                batch.text,
                contexts,
                posterior=torch.zeros_like(batch.latents.mean),
                noise=noise,
                timesteps=timesteps,
                sizes=batch.sizes,
                reduction="none",
            )
            for contexts in variants
        ]
        return np.stack([loss.cpu().double().numpy() for loss in losses])
