"""Samplers on the command line: a kind, settings, and the embeddings of the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphcond.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
    from graphcond.progress import Watch
    from graphcond.samplers import NeighborSamplerConfig

KINDS = "semantic_ppr, ppr, affiliation_ppr, semantic, khop, hop_mean, random, given or precomputed"
"""The kinds for the help of ``--sampler``; importing the samplers for it takes a third of a second."""

Source = Annotated[
    Path, typer.Argument(metavar="DIR", help="A graph folder, or any source that `data build` reads.")
]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="A setting of the sampler.")]
Features = Annotated[
    str,
    typer.Option(
        metavar="MODEL",
        help="For samplers that compare nodes: a CLIP folder or hub id, the CLIP in the package (tiny), "
        "or a file with one embedding per node (.npy, .safetensors, .pt).",
    ),
]


def sampler_config(kind: str, settings: Sequence[str]) -> NeighborSamplerConfig:
    """The config that ``--sampler`` and ``--set`` describe.

    Raises:
        InputError: no sampler of neighbors has this name, or a setting is unknown or missing.
    """
    from pydantic import ValidationError

    from graphcond.config import as_input_error
    from graphcond.recipe.overrides import override
    from graphcond.samplers import SAMPLERS, NeighborSamplerConfig

    kinds = {name: config for name, config in SAMPLERS.items() if issubclass(config, NeighborSamplerConfig)}
    if kind not in kinds:
        raise InputError(f"there is no sampler '{kind}'", place="--sampler", remedy=did_you_mean(kind, kinds))
    config = kinds[kind]
    values: dict[str, Any] = {"kind": config.kind_name()}
    override(values, settings)
    try:
        return config.model_validate(values)
    except ValidationError as error:
        raise as_input_error(error, config, "--set") from None


def embed(graph: AttributedGraph, features: str, watch: Watch) -> NodeEmbeddings:
    """The embeddings of the nodes by a CLIP, computed when requested, or from a file.

    Raises:
        InputError: the CLIP, the file or a picture cannot be read.
    """
    from graphcond.attributed_graph import NodeEmbeddings
    from graphcond.bases.config import TINY_FOLDER
    from graphcond.features.clip import ClipExtractor
    from graphcond.features.embedding_files import FORMATS, load_embeddings
    from graphcond.features.feature_cache import FeatureCache
    from graphcond.features.load import node_embeddings

    if features.endswith(FORMATS):
        return NodeEmbeddings(extra=load_embeddings(Path(features), len(graph)))
    extractor = ClipExtractor.from_pretrained(TINY_FOLDER / "clip" if features == "tiny" else features)
    progress = watch("embedding pictures and texts")
    return node_embeddings(extractor, graph.picture_paths, graph.nodes.texts, FeatureCache(), progress)
