"""A graph's embedding where CLIP has its picture's (Mishra & Subramanyam, arXiv 2401.14111)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from graphcond.objectives.base import Objective, ObjectiveResult, PretrainBatch
from graphcond.objectives.clip_space import clip_loss, discriminator_loss, generator_loss, mmd, spread

Embeddings = Float[Tensor, "b d"]

COLLAPSED = 0.1
"""Spread of the graphs' embeddings, as a share of that of the pictures', below which all graphs are alike."""


class InClipSpace(Objective):
    """An objective between the embeddings of graphs and of pictures, with the figures of `space_figures`."""

    def failure(self, figures: Mapping[str, float]) -> str | None:
        """A sentence if all graphs have nearly one embedding, or None."""
        if figures["spread"] >= COLLAPSED:
            return None
        return (
            f"all graphs have nearly one embedding: their spread is {figures['spread']:.1%} of the pictures'"
        )


class ClipAlignment(InClipSpace):
    """``beta`` L_CLIP + (1 - ``beta``) L_MMD between the embeddings of graphs and of pictures, of length 1.

    L_CLIP (`clip_loss`) brings each graph to its own picture. L_MMD (`mmd`) brings the graphs of a batch as
    a whole to the pictures, and does not know which belongs to which. Figures: see `space_figures`.

    Args:
        beta: share of L_CLIP.
    """

    def __init__(self, *, beta: float) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` on ``batch``."""
        graphs, pictures = in_clip_space(encoder, batch)
        pairs, whole = clip_loss(graphs, pictures), mmd(graphs, pictures)
        return ObjectiveResult(self.beta * pairs + (1 - self.beta) * whole, space_figures(graphs, pictures))


class ClipGan(InClipSpace):
    """The encoder makes embeddings that a discriminator cannot tell from those of pictures.

    Both learn in the same step, each from its own loss, in float32. The discriminator does not know which
    picture belongs to which graph, so ``pair`` times `clip_loss` is added.

    Figures: those of `space_figures`, both losses, and ``discriminator_accuracy``, the share of graphs and
    pictures that it tells right (0.5 where it cannot).

    Args:
        picture_width: d, width of CLIP's embeddings.
        hidden: width of the discriminator.
        pair: weight of `clip_loss`.
    """

    def __init__(self, picture_width: int, *, hidden: int, pair: float) -> None:
        super().__init__()
        self.discriminator, self.pair = Discriminator(picture_width, hidden), pair

    def forward(self, encoder: Any, batch: PretrainBatch) -> ObjectiveResult:
        """The loss of ``encoder`` and of the discriminator on ``batch``."""
        graphs, pictures = in_clip_space(encoder, batch)
        real, made = self.discriminator(pictures), self.discriminator(graphs.detach())
        telling = discriminator_loss(real, made)
        with fixed(self.discriminator):
            passing = generator_loss(self.discriminator(graphs))
        figures = {
            "discriminator": telling.item(),
            "generator": passing.item(),
            "discriminator_accuracy": torch.cat([real > 0, made < 0]).float().mean().item(),
            **space_figures(graphs, pictures),
        }
        return ObjectiveResult(telling + passing + self.pair * clip_loss(graphs, pictures), figures)


class Discriminator(nn.Module):
    """Logits of embeddings of length 1: whether they are CLIP's, of pictures.

    Every layer is spectrally normalized (arXiv 1802.05957). Beside an embedding it reads how far the batch
    deviates from its mean, as arXiv 1710.10196 does: without that, all graphs soon have one embedding.

    Args:
        width: d, of the embeddings.
        hidden: width of both hidden layers.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        # A normalized layer cannot enlarge the small components of an embedding of length 1.
        self.scale = width**0.5
        self.layers = nn.Sequential(
            *(spectral_norm(nn.Linear(2 * width, hidden)), nn.LeakyReLU(0.2)),
            *(spectral_norm(nn.Linear(hidden, hidden)), nn.LeakyReLU(0.2)),
            spectral_norm(nn.Linear(hidden, 1)),
        )

    def forward(self, embeddings: Embeddings) -> Float[Tensor, " b"]:
        """The logits, above 0 for pictures."""
        deviation = (embeddings - embeddings.mean(0)).abs().mean(0).expand_as(embeddings)
        return self.layers(self.scale * torch.cat([embeddings, 2 * deviation], dim=1))[:, 0]


@contextmanager
def fixed(module: nn.Module) -> Iterator[None]:
    """What is computed inside the block gives ``module`` no gradient."""
    module.requires_grad_(False)
    try:
        yield
    finally:
        module.requires_grad_(True)


def in_clip_space(encoder: Any, batch: PretrainBatch) -> tuple[Embeddings, Embeddings]:
    """The embeddings of the graphs and of the pictures of a batch, of length 1, in float32.

    Raises:
        ValueError: the batch lacks pictures.
    """
    if batch.pictures is None:
        raise ValueError("the batch lacks pictures")
    graphs = F.normalize(encoder.embed_scenes(batch.context).float(), dim=-1)
    return graphs, F.normalize(batch.pictures.float(), dim=-1)


@torch.no_grad()
def space_figures(graphs: Embeddings, pictures: Embeddings) -> dict[str, float]:
    """How well graphs lie where their pictures do.

    ``clip`` and ``mmd`` are the losses, ``own_of_batch`` is how often the nearest graph of the batch is the
    picture's own, ``spread`` that of the graphs as a share of that of the pictures.
    """
    nearest = (pictures @ graphs.T).argmax(1)
    return {
        "clip": clip_loss(graphs, pictures).item(),
        "mmd": mmd(graphs, pictures).item(),
        "own_of_batch": (nearest == torch.arange(len(graphs), device=graphs.device)).float().mean().item(),
        "spread": (spread(graphs) / spread(pictures).clamp(min=1e-6)).item(),
    }
