"""A graph's embedding beside its sentence's, against its picture (Structure-CLIP, arXiv 2305.06152)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.context import SceneFeatures
from graphcond.objectives.base import (
    Objective,
    ObjectiveResult,
    PretrainBatch,
)


class TripleContrast(Objective):
    """Brings a graph and its sentence to their picture, and away from their swap.

    A scene is its sentence's CLIP embedding plus ``graph_weight`` times the graph's, brought to length 1.
    Losses on cosines: a hinge against the hardest other scene of the batch for each picture, and against
    the hardest other picture for each scene; and ``swap`` times the hinge against the same scene with a
    swap in it, over the scenes that have one.

    Figures: ``own_over_swapped``, how often a picture is nearer to its scene than to the swap (chance 0.5),
    ``text_over_swapped``, the same with the sentence alone, ``own_of_batch``, how often it is the nearest of
    the batch, and the loss's terms. What a picture's embedding does not tell, no graph can learn from it.

    Args:
        embedding_width: width of the embeddings that the encoder gives.
        picture_width: d, width of CLIP's embeddings.
        graph_weight: weight of the graph beside the text.
        margin: by how much the right pair must be nearer.
        swap: weight of the loss against swaps.
    """

    def __init__(
        self, embedding_width: int, picture_width: int, *, graph_weight: float, margin: float, swap: float
    ) -> None:
        super().__init__()
        self.project = nn.Linear(embedding_width, picture_width)
        self.graph_weight, self.margin, self.swap = graph_weight, margin, swap

    def scene_embedding(
        self, encoder: Any, context: SceneFeatures, texts: Float[Tensor, "b d"]
    ) -> Float[Tensor, "b d"]:
        """Scenes in CLIP's space, of length 1."""
        graph = self.project(encoder.embed_scenes(context))
        return F.normalize(F.normalize(texts.to(graph.dtype), dim=-1) + self.graph_weight * graph, dim=-1)

    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` on ``batch``."""
        pictures, texts, negatives, negative_texts, swapped = _wanted(batch)
        scenes = self.scene_embedding(encoder, batch.context, texts)
        others = self.scene_embedding(encoder, negatives, negative_texts)
        pictures = F.normalize(pictures.to(scenes.dtype), dim=-1)
        cosines = pictures @ scenes.T
        own, wrong = cosines.diagonal(), (pictures * others).sum(-1)
        batch_loss = _hardest(cosines, self.margin) + _hardest(cosines.T, self.margin)
        swap_loss = _masked_mean((self.margin + wrong - own).relu(), swapped)
        figures = {
            "batch": float(batch_loss.detach()),
            "swap": float(swap_loss.detach()),
            "own_of_batch": float(
                (cosines.argmax(1) == torch.arange(len(own), device=own.device)).float().mean()
            ),
        }
        if bool(swapped.any()):
            text, wrong_text = ((pictures * F.normalize(t, dim=-1)).sum(-1) for t in (texts, negative_texts))
            figures["own_over_swapped"] = float(_masked_mean((own > wrong).float(), swapped))
            figures["text_over_swapped"] = float(_masked_mean((text > wrong_text).float(), swapped))
        return ObjectiveResult(batch_loss + self.swap * swap_loss, figures)


def _wanted(batch: PretrainBatch) -> tuple[Tensor, Tensor, SceneFeatures, Tensor, Bool[Tensor, " b"]]:
    wanted = ("pictures", "texts", "negatives", "negative_texts", "has_negative")
    missing = [name for name in wanted if getattr(batch, name) is None]
    if missing:
        raise ValueError(f"the batch lacks {', '.join(missing)}")
    return tuple(getattr(batch, name) for name in wanted)  # type: ignore[return-value]


def _hardest(cosines: Float[Tensor, "b b"], margin: float) -> Float[Tensor, ""]:
    """The mean hinge of each row's own cosine, on the diagonal, against the row's best other."""
    if len(cosines) < 2:
        return cosines.sum() * 0
    other = cosines - 3 * torch.eye(len(cosines), device=cosines.device, dtype=cosines.dtype)
    return (margin + other.amax(1) - cosines.diagonal()).relu().mean()


def _masked_mean(values: Float[Tensor, " b"], mask: Bool[Tensor, " b"]) -> Float[Tensor, ""]:
    return (values * mask).sum() / mask.sum().clamp(min=1)
