"""The networks that embed pictures and words for a recipe."""

from __future__ import annotations

from typing import TypeAlias

import torch

from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.features.clip_vision import ClipVisionExtractor
from graphcond.features.text_features import TextModelExtractor
from graphcond.recipe import Recipe
from graphcond.recipe.sections import (
    ClipFeatures,
    ClipVisionFeatures,
    FileFeatures,
    TextFeatures,
    TinyBertFeatures,
    TinyFeatures,
)

PictureExtractor: TypeAlias = ClipExtractor | ClipVisionExtractor
"""What embeds neighbor pictures."""

WordExtractor: TypeAlias = ClipExtractor | TextModelExtractor
"""What embeds the words of scene graphs."""


def load_extractor(recipe: Recipe, *, device: torch.device | str = "cpu") -> PictureExtractor:
    """The CLIP that a recipe's features name; see `GraphModel.load_extractor`."""
    match recipe.features:
        case TinyFeatures():
            return ClipExtractor.from_pretrained("tiny", device=device)
        case ClipFeatures(model=model):
            return ClipExtractor.from_pretrained(model, device=device)
        case ClipVisionFeatures(model=model):
            return ClipVisionExtractor.from_pretrained(model, device=device)
        case FileFeatures(path=path):
            raise InputError(
                "embeddings come from a file, so pictures cannot be embedded",
                place=f"features.path: {path}",
                remedy="generate for nodes of that graph, or use features of kind clip",
            )
        case TextFeatures() | TinyBertFeatures():
            raise InputError(
                f"'{recipe.features.kind}' embeds words, not pictures",
                place="features.kind",
                remedy="use features of kind clip",
            )


def load_words(recipe: Recipe, *, device: torch.device | str = "cpu") -> WordExtractor:
    """The text encoder that a recipe's features name; see `GraphModel.load_words`."""
    match recipe.features:
        case TextFeatures(model=model):
            return TextModelExtractor.from_pretrained(model, device=device)
        case TinyBertFeatures():
            return TextModelExtractor.from_pretrained("tiny-bert", device=device)
        case FileFeatures(path=path):
            raise InputError(
                "embeddings come from a file, so words cannot be embedded",
                place=f"features.path: {path}",
                remedy="use features of kind clip or text",
            )
        case _:
            return load_clip(recipe, device=device)


def load_clip(recipe: Recipe, *, device: torch.device | str = "cpu") -> ClipExtractor:
    """The CLIP that a recipe's features name, where both its halves are needed.

    Raises:
        InputError: as `load_extractor`, or it is the picture half alone.
    """
    extractor = load_extractor(recipe, device=device)
    if isinstance(extractor, ClipVisionExtractor):
        raise InputError(
            "'clip_vision' embeds pictures only, and texts are needed too",
            place="features.kind",
            remedy="use features of kind clip",
        )
    return extractor
