"""The config of the base. It is read by every `graphcond recipe check`, so it does not import torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from graphcond.bases.base_files import read_config
from graphcond.bases.config import BaseFacts, BaseFields, SiteKind, predicted_by

if TYPE_CHECKING:
    import torch

    from graphcond_sana.base import SanaBase


class SanaConfig(BaseFields):
    """A Sana model (arXiv 2410.10629) with a T5 text encoder, in diffusers' folder layout."""

    sites: ClassVar[frozenset[SiteKind]] = frozenset({"cross_attention", "block"})
    parts: ClassVar[Mapping[str, tuple[str, str]]] = {
        "transformer": ("diffusers", "SanaTransformer2DModel"),
        "vae": ("diffusers", "AutoencoderDC"),
        "text_encoder": ("transformers", "T5EncoderModel"),
        "tokenizer": ("transformers", "T5Tokenizer"),
        "scheduler": ("diffusers", "SchedulerMixin"),
    }
    index: ClassVar[Mapping[str, object]] = {"_class_name": "SanaPipeline"}

    kind: Literal["sana"] = "sana"
    model: str
    """The folder of the model."""
    attention: Literal["auto", "sdpa"] = "auto"
    """Attention kernel; Sana has one."""
    tokens: int = 300
    """Tokens of a prompt; longer ones are cut."""

    def facts(self) -> BaseFacts:
        """The sizes that the config files give."""
        transformer, vae, text, scheduler = (
            read_config(self.model, f"{part}/{name}.json") or {}
            for part, name in (
                ("transformer", "config"),
                ("vae", "config"),
                ("text_encoder", "config"),
                ("scheduler", "scheduler_config"),
            )
        )
        pixels = 2 ** (len(vae["encoder_block_out_channels"]) - 1)
        return BaseFacts(
            token_width=text["d_model"],
            token_count=self.tokens,
            latent_channels=vae["latent_channels"],
            pixels_per_latent=pixels,
            default_size=transformer["sample_size"] * pixels,
            multiple=transformer["patch_size"] * pixels,
            predicts=predicted_by(scheduler["_class_name"], scheduler),
        )

    def folder(self) -> Path:
        """The folder."""
        return Path(self.model)

    def build(self, *, device: torch.device) -> SanaBase:
        """Load the model, frozen."""
        from graphcond_sana.base import SanaBase

        return SanaBase.from_folder(
            self.model,
            facts=self.facts(),
            device=device,
            dtype=self.dtype,
            gradient_checkpointing=self.gradient_checkpointing,
        )
