"""Everything frozen about the targets of a run, ready to be read in batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from PIL import Image
from torch import Tensor

from graphcond.bases.base import LatentMoments
from graphcond.context import Context
from graphcond.data.contexts import AnySource, Sampled
from graphcond.data.dataset import Dataset
from graphcond.io.pictures import open_square
from graphcond.signals import TextTokens
from graphcond.training.buckets import BucketOrder
from graphcond.training.latents import PictureTable, PromptTable
from graphcond.training.loss_weights import LossWeights


@dataclass(frozen=True)
class Batch:
    """Samples on the device, complete: nothing is dropped yet.

    ``sizes`` are `Frame.numbers` of the pictures that are cut to fit, ``weights`` those of the loss.
    """

    latents: LatentMoments
    text: TextTokens
    contexts: Mapping[str, Context]
    sizes: Float[Tensor, "b 6"] | None = None
    weights: Float[Tensor, "b height width"] | None = None


@dataclass(frozen=True)
class Examples:
    """Targets with their latents, texts and contexts; row ``i`` of everything is example ``i``.

    Args:
        data: a graph or scenes.
        targets: rows of the data.
        pictures: their latents, memory-mapped.
        prompts: encoded texts, memory-mapped.
        sources: the data as each condition reads them.
        contexts: of each condition, in the order of ``targets``.
        weights: of the loss over the places of each picture; None where all places count alike.
        identity: a name that changes with the targets, their pictures, texts or contexts.
    """

    data: Dataset
    targets: Int64[np.ndarray, " n"]
    pictures: PictureTable
    prompts: PromptTable
    sources: Mapping[str, AnySource]
    contexts: Mapping[str, Sampled]
    identity: str
    weights: LossWeights | None = None

    def __len__(self) -> int:
        return len(self.targets)

    @cached_property
    def without_boxes(self) -> dict[str, Sampled] | None:
        """The contexts without the boxes that the data give; None where they give none."""
        found = {name: self.sources[name].without_boxes(context) for name, context in self.contexts.items()}
        if all(context is None for context in found.values()):
            return None
        return {name: self.contexts[name] if one is None else one for name, one in found.items()}

    def order(self, seed: int, together: int) -> BucketOrder:
        """The order in which training takes the examples; see `BucketOrder`."""
        targets = [rows[rows < len(self)] for rows in self.pictures.members]
        return BucketOrder(seed, [rows for rows in targets if len(rows)], together)

    @cached_property
    def prior(self) -> tuple[Int64[np.ndarray, " _m"], ...]:
        """Of each bucket, the rows of the pictures without a graph, which stand behind the targets'."""
        return tuple(rows[rows >= len(self)] for rows in self.pictures.members)

    def with_prior(
        self, rows: Int64[np.ndarray, " b"], numbers: Float64[np.ndarray, " b"], share: float
    ) -> Int64[np.ndarray, " b"]:
        """Rows of pictures: those of ``rows``, of one bucket, or in their place one without a graph.

        Args:
            rows: of targets.
            numbers: uniform in 0..1; those below ``share`` choose one without a graph.
            share: the chance of that.
        """
        prior = self.prior[self.pictures.bucket(rows)]
        if not len(prior):
            return rows
        return np.where(numbers < share, prior[(numbers / share % 1 * len(prior)).astype(np.int64)], rows)

    def batch(
        self,
        rows: Int64[np.ndarray, " b"],
        device: torch.device,
        *,
        shown: Int64[np.ndarray, " b"] | None = None,
        crop: Float64[np.ndarray, " b"] | None = None,
        prompt: Float64[np.ndarray, " b"] | None = None,
        mirrored: Bool[np.ndarray, " b"] | None = None,
        without_text: Bool[np.ndarray, " b"] | None = None,
    ) -> Batch:
        """Some examples, whose pictures have one size.

        Args:
            rows: which.
            device: where to put them.
            shown: rows of pictures and prompts in place of their own, as of `with_prior`.
            crop: uniform numbers in 0..1 that choose among the crops of each picture; the first without.
            prompt: uniform numbers that choose among the prompts of each picture; the first without.
            mirrored: those whose picture is flipped.
            without_text: those that get the empty prompt.
        """
        pictures, own = self.pictures, rows if shown is None else shown
        views = np.zeros_like(rows) if crop is None else (crop * pictures.views).astype(np.int64)
        moments = torch.from_numpy(pictures.moments(own, views, mirrored)).to(device).float()
        sizes = pictures.numbers(own, views, mirrored)
        prompts = self.prompts.drawn(own, prompt)
        if without_text is not None:
            prompts = np.where(without_text, 0, prompts)
        return Batch(
            LatentMoments(moments[:, 0], moments[:, 1]),
            self.prompts.tokens(prompts, device),
            self.features(rows, device, self.contexts, views),
            None if sizes is None else torch.from_numpy(sizes).to(device),
            None if self.weights is None else self.weights(own, views, mirrored).to(device),
        )

    def shown(self, rows: Int64[np.ndarray, " b"], side: int) -> list[Image.Image]:
        """The pictures of ``rows`` as they are trained on, those that are padded with ``side`` pixels."""
        paths = [self.data.picture_path(target) for target in self.targets[rows].tolist()]
        frames = self.pictures.shown(rows, np.zeros_like(rows)) if self.pictures.cut else None
        if frames is None:
            return [open_square(path, side) for path in paths if path is not None]
        return [frame.open(path) for frame, path in zip(frames, paths, strict=True) if path is not None]

    def features(
        self,
        rows: Int64[np.ndarray, " b"],
        device: torch.device,
        contexts: Mapping[str, Sampled],
        views: Int64[np.ndarray, " b"] | None = None,
    ) -> dict[str, Context]:
        """Some rows of ``contexts`` as the encoders read them, with boxes as pictures show them."""
        frames = self.pictures.shown(rows, np.zeros_like(rows) if views is None else views)
        found = {}
        for name, context in contexts.items():
            chosen, source = context.take(rows), self.sources[name]
            found[name] = source.features(chosen if frames is None else source.framed(chosen, frames))
        return {name: context.to(device) for name, context in found.items()}
