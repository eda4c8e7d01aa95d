"""The config of the base. Every `graphcond recipe check` reads it, so it does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from graphcond.bases.config import BaseFacts, FolderFields, SiteKind, predicted_by


class SanaConfig(FolderFields):
    """A Sana model (arXiv 2410.10629) with a T5 text encoder, in diffusers' folder layout."""

    component = "graphcond_sana.base:SanaBase"
    sites: ClassVar[frozenset[SiteKind]] = frozenset({"cross_attention", "block"})
    predicts: ClassVar[frozenset[str]] = frozenset({"flow"})
    weighs_places = True
    parts: ClassVar[Mapping[str, tuple[str, str]]] = {
        "transformer": ("diffusers", "SanaTransformer2DModel"),
        "vae": ("diffusers", "AutoencoderDC"),
        "text_encoder": ("transformers", "T5EncoderModel"),
        "tokenizer": ("transformers", "T5Tokenizer"),
        "scheduler": ("diffusers", "SchedulerMixin"),
    }
    index: ClassVar[Mapping[str, object]] = {"_class_name": "SanaPipeline"}

    kind: Literal["sana"] = "sana"
    attention: Literal["auto", "sdpa"] = "auto"
    """Attention kernel; Sana has one."""
    tokens: int = 300
    """Tokens of a prompt; longer prompts are cut."""

    def facts_of(self, parts: Mapping[str, Mapping[str, Any]]) -> BaseFacts:
        """The facts that the config files of the parts give."""
        return sana_facts(
            parts["transformer"],
            parts["vae"],
            token_width=parts["text_encoder"]["d_model"],
            token_count=self.tokens,
            predicts=predicted_by(parts["scheduler"]["_class_name"], parts["scheduler"]),
        )


def sana_facts(
    transformer: Mapping[str, Any],
    vae: Mapping[str, Any],
    *,
    token_width: int,
    token_count: int,
    predicts: str,
) -> BaseFacts:
    """The facts of a Sana model, from the configs of its parts."""
    pixels = 2 ** (len(vae["encoder_block_out_channels"]) - 1)
    return BaseFacts(
        token_width=token_width,
        token_count=token_count,
        latent_channels=vae["latent_channels"],
        pixels_per_latent=pixels,
        default_size=transformer["sample_size"] * pixels,
        multiple=transformer["patch_size"] * pixels,
        predicts=predicts,
    )
