"""Neighbors as the image prompts of an IP-Adapter (arXiv 2308.06721): a few tokens for each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.loaders import UNet2DConditionLoadersMixin
from diffusers.models.embeddings import ImageProjection, IPAdapterPlusImageProjection
from einops import rearrange
from torch import Tensor, nn

from graphcond.config import checked
from graphcond.context import NeighborFeatures
from graphcond.encoders.base import Encoder
from graphcond.encoders.config import ImagePromptsConfig, Projection
from graphcond.errors import InputError
from graphcond.io.released import half_of, read_released
from graphcond.io.tensors import check_weights
from graphcond.signals import GraphTokens, TextTokens

DEFAULT = ImagePromptsConfig.model_construct()

HEAD_WIDTH = 64
"""Of the resampler's attention, in every release."""


@checked(ImagePromptsConfig)
class ImagePrompts(Encoder[NeighborFeatures, GraphTokens]):
    """Tokens of each neighbor's embedding, one neighbor after another, as several pictures of an IP-Adapter.

    Args:
        feature_width: d, width of an embedding.
        token_width: c, width of the base's context tokens.
        projection: ``plain`` is one layer and a norm; ``plus`` a perceiver resampler, which reads several
            embeddings of a picture.
        tokens: of each picture; 4 with ``plain`` and 16 with ``plus``, as released, unless given.
        states: with ``plus``, how many embeddings that stand one after another are those of one picture.
        hidden: width of the resampler; as wide as the tokens unless given.
        init: a released file for `load_init` to read.
    """

    def __init__(
        self,
        *,
        feature_width: int,
        token_width: int,
        projection: Projection = DEFAULT.projection,
        tokens: int | None = DEFAULT.tokens,
        states: int = DEFAULT.states,
        hidden: int | None = DEFAULT.hidden,
        init: str | Path | None = None,
    ) -> None:
        super().__init__()
        self.token_width, self.states, self.init = token_width, states, init
        self.projection: nn.Module
        if projection == "plain":
            self.tokens = tokens or 4
            self.projection = ImageProjection(feature_width, token_width, self.tokens)
        else:
            self.tokens, width = tokens or 16, hidden or token_width
            self.projection = IPAdapterPlusImageProjection(
                embed_dims=feature_width,
                output_dims=token_width,
                hidden_dims=width,
                heads=max(1, width // HEAD_WIDTH),
                dim_head=HEAD_WIDTH,
                num_queries=self.tokens,
            )

    def forward(self, context: NeighborFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, pictures x tokens, c) of the neighbors; ``text`` is not read.

        Raises:
            InputError: the embeddings do not make up whole pictures.
        """
        rows, found = context.present.shape
        if found % self.states:
            raise InputError(
                f"expected {self.states} embeddings for each picture, got {found} in all",
                place="image_prompts.states",
                remedy="give as many embeddings for each neighbor",
            )
        if found == 0:  # diffusers' projection cannot do with no pictures
            nothing = context.embeddings.new_zeros(rows, 0, self.token_width)
            return GraphTokens(nothing, context.present)
        embeddings = context.embeddings.to(next(self.projection.parameters()).dtype)
        pictures = rearrange(embeddings, "b (k s) d -> (b k) s d", s=self.states)
        plain = isinstance(self.projection, ImageProjection)
        tokens = self.projection(pictures[:, 0] if plain else pictures)
        present = rearrange(context.present, "b (k s) -> b k s", s=self.states).any(-1)
        return GraphTokens(
            rearrange(tokens, "(b k) n c -> b (k n) c", b=rows),
            present.repeat_interleave(self.tokens, dim=1),
        )

    def load_init(self) -> None:
        """Read the released file named as ``init``, if any; see `load_ip_adapter`."""
        if self.init is not None:
            self.load_ip_adapter(self.init)

    def load_ip_adapter(self, weights: str | Path | Mapping[str, Tensor]) -> None:
        """Take the projection of a released IP-Adapter: its tensors ``image_proj...``.

        Args:
            weights: the file (safetensors, or tensors saved by torch), or its tensors by name.

        Raises:
            InputError: no such file, one of another method, or of another projection or width.
        """
        tensors, place = read_released(weights)
        half = half_of(tensors, "image_proj.", method="an IP-Adapter", place=place)
        loaders: Any = UNet2DConditionLoadersMixin
        try:
            read = loaders._convert_ip_adapter_image_proj_to_diffusers(None, half, low_cpu_mem_usage=False)
        except (KeyError, RuntimeError) as error:
            raise InputError(
                f"the projection is not one of an IP-Adapter that diffusers knows ({error})",
                place=place,
                remedy="fetch the file again",
            ) from None
        check_weights(
            read.state_dict(),
            self.projection.state_dict(),
            place=place,
            remedy="set projection, tokens, hidden and the features as those of the file",
        )
        self.projection.load_state_dict(read.state_dict())

    def released_weights(self) -> dict[str, Tensor]:
        """The projection by its names in the part ``image_proj`` of a released file."""
        weights = self.projection.state_dict()
        if isinstance(self.projection, ImageProjection):
            return {name.replace("image_embeds", "proj"): tensor for name, tensor in weights.items()}
        named = {}
        for name, tensor in weights.items():
            for ours, theirs in RESAMPLER_NAMES.items():
                name = name.replace(ours, theirs)
            named[name] = tensor
        for name in [name for name in named if ".to_k." in name]:
            value = named.pop(name.replace(".to_k.", ".to_v."))
            named[name.replace(".to_k.", ".to_kv.")] = torch.cat([named.pop(name), value])
        return named


RESAMPLER_NAMES = {
    ".ln0.": ".0.norm1.",
    ".ln1.": ".0.norm2.",
    ".attn.to_out.0.": ".0.to_out.",
    ".attn.": ".0.",
    ".ff.0.": ".1.0.",
    ".ff.1.net.0.proj.": ".1.1.",
    ".ff.1.net.2.": ".1.3.",
}
"""Parts of names in the resampler of diffusers, and what they are called in released files."""
