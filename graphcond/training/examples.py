"""Everything frozen about the targets of a run, ready to be read in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Int64

from graphcond.bases.base import LatentMoments
from graphcond.context import Context
from graphcond.data.contexts import AnySource, Sampled
from graphcond.data.dataset import Dataset
from graphcond.signals import TextTokens
from graphcond.training.latents import Moments, PromptTable


@dataclass(frozen=True)
class Batch:
    """Samples on the device, complete: nothing is dropped yet."""

    latents: LatentMoments
    text: TextTokens
    contexts: Mapping[str, Context]


@dataclass(frozen=True)
class Examples:
    """Targets with their latents, texts and contexts; row ``i`` of everything is example ``i``.

    Args:
        data: a graph or scenes.
        targets: rows of the data.
        latents: moments of the pictures, memory-mapped.
        prompts: encoded texts, memory-mapped.
        sources: the data as each condition reads them.
        contexts: of each condition, in the order of ``targets``.
        identity: a name that changes with the targets, their pictures, texts or contexts.
    """

    data: Dataset
    targets: Int64[np.ndarray, " n"]
    latents: Moments
    prompts: PromptTable
    sources: Mapping[str, AnySource]
    contexts: Mapping[str, Sampled]
    identity: str

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the latents."""
        channels, height, width = self.latents.shape[3:]
        return channels, height, width

    @property
    def mirrored(self) -> bool:
        """True if the latents of mirrored pictures are included."""
        return self.latents.shape[1] > 1

    @cached_property
    def without_boxes(self) -> dict[str, Sampled] | None:
        """The contexts without the boxes that the data give; None where they give none."""
        found = {name: self.sources[name].without_boxes(context) for name, context in self.contexts.items()}
        if all(context is None for context in found.values()):
            return None
        return {name: self.contexts[name] if one is None else one for name, one in found.items()}

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
            self.features(rows, device, self.contexts),
        )

    def features(
        self, rows: Int64[np.ndarray, " b"], device: torch.device, contexts: Mapping[str, Sampled]
    ) -> dict[str, Context]:
        """Some rows of ``contexts`` as the encoders read them, by condition."""
        return {
            name: self.sources[name].features(context.take(rows)).to(device)
            for name, context in contexts.items()
        }
