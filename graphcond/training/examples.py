"""Everything frozen about the targets of a run, ready to be read in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from graphcond.contexts import GraphContexts
from graphcond.models.stable_diffusion import LatentMoments
from graphcond.training.latents import Moments
from graphcond.training.prompts import PromptTable
from graphcond.types import NeighborContext, NeighborFeatures, TextTokens


@dataclass(frozen=True)
class Batch:
    """Samples on the device, complete: nothing is dropped yet."""

    latents: LatentMoments
    text: TextTokens
    contexts: Mapping[str, NeighborFeatures]


@dataclass(frozen=True)
class Examples:
    """Targets with their latents, texts and neighbors; row ``i`` of everything is example ``i``.

    Args:
        targets: rows of the node table.
        latents: moments of the pictures, memory-mapped.
        prompts: encoded texts, memory-mapped.
        graphs: where each condition's embeddings come from.
        neighbors: of each condition.
        identity: a name that changes with the targets, their pictures, texts or neighbors.
    """

    targets: Int64[np.ndarray, " n"]
    latents: Moments
    prompts: PromptTable
    graphs: Mapping[str, GraphContexts]
    neighbors: Mapping[str, NeighborContext]
    identity: str

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the latents."""
        channels, height, width = self.latents.shape[3:]
        return channels, height, width

    def batch(
        self,
        rows: Int64[np.ndarray, " b"],
        device: torch.device,
        *,
        mirrored: Bool[np.ndarray, " b"] | None = None,
        without_text: Bool[np.ndarray, " b"] | None = None,
    ) -> Batch:
        """Some examples.

        Args:
            rows: which.
            device: where to put them.
            mirrored: those whose picture is flipped.
            without_text: those that get the empty prompt.
        """
        views = 0 if mirrored is None else mirrored.astype(np.int64)
        moments = torch.from_numpy(self.latents[rows, views]).to(device).float()
        prompts = self.prompts.rows[rows]
        if without_text is not None:
            prompts = np.where(without_text, 0, prompts)
        return Batch(
            LatentMoments(moments[:, 0], moments[:, 1]),
            self.prompts.tokens(prompts, device),
            self.features(rows, device, self.neighbors),
        )

    def features(
        self, rows: Int64[np.ndarray, " b"], device: torch.device, neighbors: Mapping[str, NeighborContext]
    ) -> dict[str, NeighborFeatures]:
        """The neighbors' embeddings of some examples, by condition."""
        return {
            name: self.graphs[name].features(taken(context, rows)).to(device)
            for name, context in neighbors.items()
        }


def taken(context: NeighborContext, rows: Int64[np.ndarray, " b"]) -> NeighborContext:
    """Some rows of a context."""
    return NeighborContext(context.targets[rows], context.neighbors[rows], context.scores[rows])


def drawn(latents: LatentMoments, noise: Float[Tensor, "b channels h w"]) -> Float[Tensor, "b channels h w"]:
    """Latents drawn from the posterior with standard normal ``noise``."""
    return latents.mean + latents.std * noise
