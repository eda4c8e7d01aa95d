"""Branches as calls of the denoiser."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.adapters import Injector
from graphcond.bases import Base
from graphcond.condition import Condition
from graphcond.context import NeighborFeatures
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.guidance.branches import Branch, Prediction
from graphcond.guidance.stacking import stacked
from graphcond.signals import Signal, TextTokens, selected


@dataclass(frozen=True)
class GuidedGraph:
    """One graph, ready for the denoiser.

    ``unconditional`` is the signal that accompanies the negative prompt in joint guidance.
    """

    condition: Condition
    signal: Signal
    unconditional: Signal | None = None


class BranchCaller:
    """Runs guidance branches through the denoiser.

    Args:
        base: the frozen base.
        conditions: all conditions of the model; those that a branch does not use show their null.
        text: the prompts.
        empty: the negative prompts.
        graphs: in the order of the guidance's scales.
        adapters: of the model; they act in every branch.
    """

    def __init__(
        self,
        base: Base,
        conditions: Mapping[str, Condition],
        text: TextTokens,
        empty: TextTokens,
        graphs: Sequence[GuidedGraph],
        *,
        adapters: Iterable[Injector[Any]] = (),
    ) -> None:
        self.base, self.conditions, self.adapters = base, conditions, tuple(adapters)
        self.text, self.empty, self.graphs = text, empty, graphs

    def __call__(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branches: Sequence[Branch]
    ) -> list[Prediction]:
        """One prediction per branch, all from one denoiser call; from a second one for those with references.

        The others would have to carry them hidden, at nearly the same cost.
        """
        inputs = [self.inputs(sample, timestep, branch) for branch in branches]
        found: dict[int, Prediction] = {}
        for looking in (False, True):
            here = [n for n, one in enumerate(inputs) if (one.references is not None) is looking]
            if here:
                predicted = self.base.denoise(stacked([inputs[n] for n in here]))
                counts = [len(inputs[n].sample) for n in here]
                found |= zip(here, predicted.split(counts), strict=True)
        return [found[number] for number in range(len(inputs))]

    def inputs(
        self, sample: Float[Tensor, "b channels height width"], timestep: Tensor, branch: Branch
    ) -> DenoiserInputs:
        """The denoiser's inputs in one branch."""
        text = self.text if branch.text else self.empty
        rows = None if branch.rows is None else torch.tensor(branch.rows, device=sample.device)
        if rows is not None:
            sample, text = sample[rows], text.select(rows)
        inputs = self.base.inputs(sample, timestep.expand(sample.shape[0]), text)
        for adapter in self.adapters:
            inputs = adapter.apply(inputs, None)
        shown = [self.graphs[number] for number in branch.graphs]
        for condition in self.conditions.values():
            graph = next((one for one in shown if one.condition is condition), None)
            if graph is None:
                signal: Signal | None = condition.null_signal(text)
            else:
                signal = graph.signal if branch.text else graph.unconditional
                if signal is not None and rows is not None:
                    signal = selected(signal, rows)
            inputs = condition.apply(inputs, signal)
        return inputs


def release_null(features: NeighborFeatures) -> NeighborFeatures:
    """All-zero embeddings where neighbors are, and no pictures: the unconditional graph of joint guidance."""
    return NeighborFeatures(torch.zeros_like(features.embeddings), features.present, mask=features.mask)
