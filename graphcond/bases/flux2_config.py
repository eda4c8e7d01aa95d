"""The configs of FLUX.2 Klein and of a tiny model of its shape. Nothing here loads torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import Field

from graphcond.bases.base_files import INDEX, foreign, read_config
from graphcond.bases.config import BaseFacts, FolderFields, PackagedFields, SiteKind, TinyConfig, predicted_by

PIPELINES = ("Flux2KleinPipeline", "Flux2KleinInpaintPipeline")
"""Pipelines whose denoiser reads the text and references as the base does; the KV variant does not."""


TINY_TOKENS = 48
"""Tokens of a prompt with which the base in the package was trained."""


class Flux2Config(FolderFields):
    """Any FLUX.2 Klein model, 4B or 9B, in diffusers' folder layout; not FLUX.2 dev."""

    component = "graphcond.bases.flux2:Flux2Base"
    sites: ClassVar[frozenset[SiteKind]] = frozenset({"joint_attention", "block"})
    predicts: ClassVar[frozenset[str]] = frozenset({"flow"})
    weighs_places = True
    takes_references = True
    parts: ClassVar[Mapping[str, tuple[str, str]]] = {
        "transformer": ("diffusers", "Flux2Transformer2DModel"),
        "vae": ("diffusers", "AutoencoderKLFlux2"),
        "text_encoder": ("transformers", "Qwen3ForCausalLM"),
        "tokenizer": ("transformers", "Qwen2TokenizerFast"),
        "scheduler": ("diffusers", "SchedulerMixin"),
    }
    index: ClassVar[Mapping[str, object]] = {"_class_name": "Flux2KleinPipeline", "is_distilled": False}
    index_settings = frozenset({"is_distilled"})

    kind: Literal["flux2"] = "flux2"
    model: str = "black-forest-labs/FLUX.2-klein-base-4B"
    """A folder, or a model id on the Hugging Face hub."""
    attention: Literal["auto", "sdpa"] = "auto"
    """Attention kernel; FLUX.2 has one."""
    embedded_guidance: float = Field(default=4.0, ge=0)
    """The guidance scale that a denoiser with distilled guidance takes as an input; others take none. The
    scale of the text is 1 on distilled models, and a graph's scale other than 1 costs them a second
    prediction."""
    tokens: int = Field(512, ge=16)
    """Tokens of a prompt, those of the chat around it included; longer prompts are cut. The model attends to
    all of them, and was trained with 512. A cached prompt of 512 tokens takes 7.9 MB for the 4B in bf16."""

    def facts_of(self, parts: Mapping[str, Mapping[str, Any]]) -> BaseFacts:
        """The facts that the config files of the parts give.

        Raises:
            InputError: they are those of another model, such as FLUX.1 or FLUX.2 dev.
        """
        transformer, text = parts["transformer"]["_class_name"], parts["text_encoder"].get("model_type")
        index = read_config(self.model, INDEX, revision=self.revision) or {}
        pipeline = index.get("_class_name", "Flux2KleinPipeline")
        if (transformer, text) != ("Flux2Transformer2DModel", "qwen3") or pipeline not in PIPELINES:
            raise foreign(str(index.get("_class_name") or transformer), self.model)
        return flux2_facts(
            parts["transformer"],
            parts["vae"],
            token_count=self.tokens,
            predicts=predicted_by(parts["scheduler"]["_class_name"], parts["scheduler"]),
            distilled=bool(index.get("is_distilled")),
        )


class TinyDitConfig(PackagedFields):
    """The base of the procedural worlds as a FLUX.2: joint attention and flow matching."""

    layout = Flux2Config
    features = TinyConfig.features
    graph_world = TinyConfig.graph_world
    scene_world = TinyConfig.scene_world
    section = "tiny_dit"
    made_by = TinyConfig.made_by

    kind: Literal["tiny-dit"] = "tiny-dit"
    attention: Literal["auto", "sdpa"] = "auto"
    """Attention kernel; FLUX.2 has one."""
    tokens: int = Field(TINY_TOKENS, ge=16, le=TINY_TOKENS)
    """Tokens of a prompt, those of the chat around it included."""


def flux2_facts(
    transformer: Mapping[str, Any],
    vae: Mapping[str, Any],
    *,
    token_count: int,
    predicts: str,
    distilled: bool,
) -> BaseFacts:
    """The facts of a FLUX.2 Klein model, from the configs of its parts.

    A latent is what the denoiser reads in one place: a square of the autoencoder's.

    Args:
        transformer: config of the denoiser.
        vae: config of the autoencoder.
        token_count: tokens in an encoded prompt.
        predicts: by the scheduler.
        distilled: it was distilled to few steps. A denoiser that takes a guidance scale as an input is
            distilled, too.
    """
    pixels = 2 ** (len(vae["block_out_channels"]) - 1) * vae["patch_size"][0]
    return BaseFacts(
        token_width=transformer["joint_attention_dim"],
        token_count=token_count,
        latent_channels=transformer["in_channels"],
        pixels_per_latent=pixels,
        default_size=vae["sample_size"],
        multiple=pixels,
        predicts=predicts,
        distilled=distilled or bool(transformer["guidance_embeds"]),
    )
