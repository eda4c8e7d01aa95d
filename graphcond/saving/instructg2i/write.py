"""A graphcond model in the layout of the InstructG2I release, for code that reads only that layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPTokenizer, CLIPVisionConfig, CLIPVisionModelWithProjection

from graphcond.adapters.config import PromptTokenConfig
from graphcond.bases import BASES
from graphcond.bases.base_files import base_files, copy_files, write_index
from graphcond.bases.loading import quiet_loading
from graphcond.encoders.config import GraphQFormerConfig
from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.features.clip_vision import ClipVisionExtractor
from graphcond.features.networks import load_pretrained
from graphcond.io.files import atomic_folder, check_replaceable
from graphcond.io.tensors import load_tensors
from graphcond.progress import Progress
from graphcond.recipe import Recipe
from graphcond.recipe.recipe import ConditionConfig
from graphcond.saving.instructg2i.layout import (
    BASE_KIND,
    IMAGE_ENCODER,
    OURS,
    PROJECTOR,
    QFORMER,
    TEXT_MODEL,
    reading_layers,
)


def write_release(
    folder: Path,
    recipe: Recipe,
    encoder: nn.Module,
    denoiser: Any,
    load_vision: Callable[[], ClipExtractor | ClipVisionExtractor],
    progress: Progress | None = None,
) -> None:
    """Write the layout of the release; the folder appears whole or not at all.

    The release knows one null only, zero tokens: where ``recipe`` says ``absent``, its code guides
    pictures otherwise than ours.

    Args:
        folder: where to.
        recipe: of the model.
        encoder: the Graph-QFormer of its only condition.
        denoiser: in place of the base's own, where it was trained.
        load_vision: gives what embeds neighbors.
        progress: called while the base is copied, with megabytes.

    Raises:
        InputError: the release has no place for a part of the model, or ``folder`` holds something else.
    """
    check_replaceable(folder, QFORMER, PROJECTOR)
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    check_fits(recipe, weights)
    recipe.base.check()
    vision = load_vision()
    kind, source = type(recipe.base), recipe.base.folder()
    with atomic_folder(folder) as new:
        copy_files(source, base_files(kind, source), new, progress)
        write_index(kind, new, source)
        if denoiser is not None:
            denoiser.save_pretrained(new / "unet")
        for file in sorted((new / "text_encoder").glob("*.safetensors")):
            # Weights are named as transformers did up to version 4; files of version 5 lack the first part.
            named = load_tensors(file)
            if not any(name.startswith(TEXT_MODEL) for name in named):
                before = {TEXT_MODEL + name: one for name, one in named.items()}
                save_file(before, file, metadata={"format": "pt"})
        if not (new / "tokenizer" / "vocab.json").is_file():
            # The files of the older tokenizer, which a newer one does not need.
            tokenizer = load_pretrained(CLIPTokenizer, new / "tokenizer")
            tokenizer.backend_tokenizer.model.save(str(new / "tokenizer"))
        with quiet_loading():
            vision_network(vision).save_pretrained(new / IMAGE_ENCODER)
            vision.processor.save_pretrained(new / IMAGE_ENCODER)
        _save(weights, OURS, "", new / PROJECTOR)
        _save(weights, TEXT_MODEL, TEXT_MODEL, new / QFORMER)


def check_fits(recipe: Recipe, weights: dict[str, torch.Tensor]) -> None:
    """Check that the release's layout can express every setting of ``recipe``.

    Args:
        recipe: of the model.
        weights: of its encoder.

    Raises:
        InputError: names the settings for which it has no place.
    """
    problems = list(recipe.updates)
    if len(recipe.conditions) > 1:
        problems.append("several conditions")
    problems += _foreign_settings(recipe.conditions[0], weights)
    if recipe.base.parts != BASES[BASE_KIND].parts:
        problems.append(f"a base of kind {recipe.base.kind}")
    variant = getattr(recipe.base, "variant", None)
    if variant is not None:
        problems.append(f"base.variant: {variant}")
    if problems:
        raise InputError(
            f"the release has no place for {', '.join(problems)}",
            place=f"recipe '{recipe.name}'",
            remedy="write models whose only condition is a plain Graph-QFormer with prompt tokens",
        )


def vision_network(extractor: ClipExtractor | ClipVisionExtractor) -> CLIPVisionModelWithProjection:
    """The picture half of a CLIP."""
    if isinstance(extractor, ClipVisionExtractor):
        return extractor.model
    whole = extractor.model
    config = CLIPVisionConfig(**whole.config.vision_config.to_dict() | {"projection_dim": extractor.width})
    network = CLIPVisionModelWithProjection(config)
    halves = ("vision_model.", "visual_projection.")
    network.load_state_dict(
        {name: one for name, one in whole.state_dict().items() if name.startswith(halves)}
    )
    return network.eval()


def _foreign_settings(condition: ConditionConfig, weights: dict[str, torch.Tensor]) -> list[str]:
    encoder, injector = condition.encoder, condition.injector
    if not isinstance(encoder, GraphQFormerConfig):
        return [f"an encoder of kind {encoder.kind}"]
    plain = {"neighbor_self_attention", "normalize_embeddings", "relations"}
    found = [f"encoder.{name}" for name in sorted(plain) if getattr(encoder, name)]
    if injector != PromptTokenConfig():
        settings = ", ".join(f"{name} {value}" for name, value in injector.model_dump().items())
        found.append(f"an injector of {settings}")
    # The release's code divides numbers of layers to find those that read neighbors.
    reading, layers = reading_layers(weights), sum("self_attn.q_proj.weight" in name for name in weights)
    if reading != list(range(0, layers, layers // len(reading))):
        found.append(
            f"encoder.cross_attention_every: {encoder.cross_attention_every} (its code needs one that "
            "divides the number of layers)"
        )
    return found


def _save(weights: dict[str, torch.Tensor], ours: str, theirs: str, file: Path) -> None:
    file.parent.mkdir()
    chosen = {name: weights[name] for name in weights if name.startswith(ours)}
    torch.save({theirs + name.removeprefix(ours): tensor for name, tensor in chosen.items()}, file)
