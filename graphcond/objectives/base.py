"""The contract of a pretraining objective: the loss of a stage before the main training."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import isfinite
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.context import SceneContext, SceneFeatures


@dataclass(frozen=True)
class PretrainBatch:
    """A batch of scenes for an objective.

    Args:
        context: the scenes, with the boxes and masks that are known.
        scenes: the sampled scenes of ``context``, with their words, some of which objectives know by name.
        pictures: CLIP embeddings of their pictures.
        texts: CLIP embeddings of their sentences.
        negatives: each scene with a swap in it; any scene, an empty one say, where none exists.
        negative_texts: CLIP embeddings of the negatives' sentences.
        has_negative: True where a swap exists.
        phrases: for each node, the base's state of the phrase of that object.
        phrased: True for objects whose phrase has one.
    """

    context: SceneFeatures
    scenes: SceneContext | None = None
    pictures: Float[Tensor, "b d"] | None = None
    texts: Float[Tensor, "b d"] | None = None
    negatives: SceneFeatures | None = None
    negative_texts: Float[Tensor, "b d"] | None = None
    has_negative: Bool[Tensor, " b"] | None = None
    phrases: Float[Tensor, "b n c"] | None = None
    phrased: Bool[Tensor, "b n"] | None = None

    def to(self, device: torch.device | str) -> PretrainBatch:
        """The same batch on another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if hasattr(value, "to")}
        return replace(self, **moved)


@dataclass(frozen=True)
class ObjectiveResult:
    """The loss of a batch, a scalar with gradients, and figures to log and to judge a stage by."""

    loss: Float[Tensor, ""]
    figures: Mapping[str, float]

    def fault(self) -> str | None:
        """The loss and the figures that are not finite, as a phrase, where the loss is not."""
        if bool(self.loss.isfinite()):
            return None
        parts = [name for name, value in self.figures.items() if not isfinite(value)]
        return f"{float(self.loss.detach())}" + (f" (not finite: {', '.join(parts)})" if parts else "")


class Objective(nn.Module, ABC):
    """Scores an encoder on a batch of scenes.

    Its own parameters (such as a projection) are trained with the encoder's and discarded after the stage.
    What of an encoder gets no gradient from it is left to the main training.
    """

    @abstractmethod
    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` on ``batch``."""

    def failure(self, figures: Mapping[str, float]) -> str | None:
        """Why an encoder with these figures of held-out scenes cannot get better, as a sentence, or None."""
        return None
