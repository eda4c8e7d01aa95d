"""Neighbors as references: the latents of their pictures, by the base's own autoencoder."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from graphcond.bases.base import LatentMoments
from graphcond.config import checked
from graphcond.context import NeighborFeatures
from graphcond.encoders.base import Encoder
from graphcond.encoders.config import ReferencesConfig
from graphcond.errors import Notice
from graphcond.signals import ReferenceLatents, Signal, TextTokens

PICTURES_AT_ONCE = 8
"""Pictures in one call of the autoencoder."""


@checked(ReferencesConfig)
class ReferencesEncoder(Encoder[NeighborFeatures, ReferenceLatents]):
    """The latents of each neighbor's picture, in the order of the neighbors. Nothing is trained.

    It takes the mean of the autoencoder's posterior, as diffusers' pipelines with references do.

    Args:
        encode_pictures: the base's autoencoder.
        latent_shape: that of a picture's latents, by its height and width.
        advised_references: how many pictures the base is made for; more give a `Notice`. None if not known.
    """

    gives: ClassVar[type[Signal]] = ReferenceLatents
    reads_pictures: ClassVar[bool] = True

    def __init__(
        self,
        *,
        encode_pictures: Callable[[Tensor], LatentMoments],
        latent_shape: Callable[[int, int], tuple[int, int, int]],
        advised_references: int | None = None,
    ) -> None:
        super().__init__()
        self._encode, self._latent_shape = encode_pictures, latent_shape
        self.advised_references = advised_references

    def forward(self, context: NeighborFeatures, text: TextTokens) -> ReferenceLatents:
        """Latents (b, k, c, height, width); nothing is present in a context without pictures.

        Raises:
            InputError: a side of the pictures is not a multiple of the pixels of one latent.
        """
        pictures, present = context.pictures, context.present
        if pictures is None or not bool(present.any()):
            return ReferenceLatents(text.hidden.new_zeros(*present.shape, 1, 1, 1), present & False)
        self._latent_shape(*pictures.shape[3:])
        most = int(present.sum(1).max())
        if self.advised_references is not None and most > self.advised_references:
            warnings.warn(
                f"references: the base is made for up to {self.advised_references}, and gets {most}",
                Notice,
                stacklevel=2,
            )
        encoded = torch.cat(
            [self._encode(some).mean for some in pictures[present].split(PICTURES_AT_ONCE)]
        ).to(pictures.dtype)
        latents = encoded.new_zeros(*present.shape, *encoded.shape[1:])
        latents[present] = encoded
        return ReferenceLatents(latents, present)
