"""The networks that embed pictures and words for a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import torch

from graphcond.attributed_graph import NodeEmbeddings
from graphcond.bases.config import TINY_FOLDER
from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor, FeatureExtractor, TextEmbedder
from graphcond.features.clip_vision import ClipVisionExtractor
from graphcond.features.embedding_files import load_embeddings
from graphcond.features.feature_cache import FeatureCache, picture_table, text_table
from graphcond.features.text_features import TextModelExtractor
from graphcond.progress import Progress
from graphcond.recipe.sections import (
    AnyFeatures,
    ClipFeatures,
    ClipVisionFeatures,
    FileFeatures,
    TextFeatures,
    TinyBertFeatures,
    TinyFeatures,
)

PictureExtractor: TypeAlias = ClipExtractor | ClipVisionExtractor
"""An extractor for the pictures of neighbors."""

WordExtractor: TypeAlias = ClipExtractor | TextModelExtractor
"""An extractor for the words of scene graphs."""


class Extractors:
    """The networks that embed pictures and words for a recipe, each loaded when it is first needed, and once.

    Args:
        features: a recipe's ``features``.
        device: where the networks run.
    """

    def __init__(self, features: AnyFeatures, device: torch.device | str = "cpu") -> None:
        self.features, self.device = features, device

    @cached_property
    def pictures(self) -> PictureExtractor:
        """The CLIP that embeds the pictures of neighbors.

        Raises:
            InputError: the features embed no pictures, or the network cannot be loaded.
        """
        match self.features:
            case TinyFeatures(model="clip"):
                return ClipExtractor.from_pretrained("tiny", device=self.device)
            case TinyFeatures(model=folder):
                return ClipExtractor.from_pretrained(TINY_FOLDER / folder, device=self.device)
            case ClipFeatures(model=model):
                return ClipExtractor.from_pretrained(model, device=self.device)
            case ClipVisionFeatures(model=model):
                return ClipVisionExtractor.from_pretrained(model, device=self.device)
            case FileFeatures(path=path):
                remedy = "generate for nodes of that graph, or use features of kind clip"
                raise _in_file(path, "pictures", remedy)
            case TextFeatures() | TinyBertFeatures():
                problem = f"'{self.features.kind}' embeds words, not pictures"
                raise InputError(problem, place="features.kind", remedy="use features of kind clip")

    @cached_property
    def words(self) -> WordExtractor:
        """The text encoder that embeds the words of scene graphs.

        Raises:
            InputError: the features embed no words, or the network cannot be loaded.
        """
        match self.features:
            case TextFeatures(model=model):
                return TextModelExtractor.from_pretrained(model, device=self.device)
            case TinyBertFeatures():
                return TextModelExtractor.from_pretrained("tiny-bert", device=self.device)
            case FileFeatures(path=path):
                raise _in_file(path, "words", "use features of kind clip or text")
            case _:
                return self.clip

    @property
    def clip(self) -> ClipExtractor:
        """The CLIP of the features, where both its halves are needed.

        Raises:
            InputError: as `pictures`, or it is the picture half alone.
        """
        if isinstance(self.pictures, ClipVisionExtractor):
            problem = "'clip_vision' embeds pictures only, and texts are needed too"
            raise InputError(problem, place="features.kind", remedy="use features of kind clip")
        return self.pictures

    def loaded_from(self, name: str) -> ClipExtractor | None:
        """The CLIP of the features where it is that of ``name``, to spare a second load."""
        match self.features:
            case TinyFeatures(model="clip") if name == "tiny":
                return self.clip
            case ClipFeatures(model=model) if name == model:
                return self.clip
            case _:
                return None

    def of_nodes(
        self, pictures: Sequence[Path | None], texts: Sequence[str], progress: Progress | None = None
    ) -> NodeEmbeddings:
        """The embeddings of nodes: rows are computed when requested, or are read from the features' file.

        Args:
            pictures: the picture file of each node.
            texts: the text of each node; not used if the network embeds pictures only.
            progress: called while rows are computed.

        Raises:
            InputError: the network or the file cannot be loaded, or the features embed no pictures.
        """
        if isinstance(self.features, FileFeatures):
            return NodeEmbeddings(extra=load_embeddings(self.features.path, len(texts)))
        return node_embeddings(
            self.pictures, pictures, texts, FeatureCache(), progress, again=lambda: self.pictures
        )

    def release(self) -> None:
        """Free the networks; they are loaded again when they are needed."""
        for name in ("pictures", "words"):
            vars(self).pop(name, None)


def _in_file(path: Path, what: str, remedy: str) -> InputError:
    problem = f"embeddings come from a file, so {what} cannot be embedded"
    return InputError(problem, place=f"features.path: {path}", remedy=remedy)


def features_of(extractor: Any) -> AnyFeatures | None:
    """The features that load an extractor of the package again; None for another one."""
    kinds: dict[type, Any] = {
        ClipExtractor: ClipFeatures,
        ClipVisionExtractor: ClipVisionFeatures,
        TextModelExtractor: TextFeatures,
    }
    kind = kinds.get(type(extractor))
    return None if kind is None else kind(model=extractor.name)


def node_embeddings(
    extractor: FeatureExtractor,
    pictures: Sequence[Path | None],
    texts: Sequence[str],
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
    *,
    again: Callable[[], Any] | None = None,
) -> NodeEmbeddings:
    """Tables over the pictures and texts of nodes; no texts where ``extractor`` embeds pictures only.

    Arguments as for `picture_table`.
    """
    embedded = picture_table(extractor, pictures, cache, progress, again=again)
    if not isinstance(extractor, TextEmbedder):
        return NodeEmbeddings(pictures=embedded)
    return NodeEmbeddings(embedded, text_table(extractor, texts, cache, progress, again=again))
