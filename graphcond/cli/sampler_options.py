"""Samplers on the command line: a kind, settings, and the embeddings of the nodes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
    from graphcond.progress import Watch
    from graphcond.recipe.sections import AnyFeatures
    from graphcond.samplers import NeighborSamplerConfig

KINDS = "semantic_ppr, ppr, affiliation_ppr, semantic, khop, hop_mean, random, given or precomputed"
"""The kinds for the help of ``--sampler``; importing the samplers for it takes a third of a second."""

Source = Annotated[
    Path, typer.Argument(metavar="DIR", help="A graph folder, or any source that `data build` reads.")
]
Sampler = Annotated[
    str | None,
    typer.Option(
        metavar="KIND",
        help=f"{KINDS}. Unless given: semantic_ppr with the similarity consensus, or what suits a graph "
        "without edges or pictures.",
    ),
]
FromRecipe = Annotated[
    str | None,
    typer.Option(
        "--recipe",
        metavar="RECIPE",
        help="Take sampler and features from a shipped recipe, a recipe file or the folder of a model.",
    ),
]
Seed = Annotated[int, typer.Option(min=0, help="Decides what random samplers draw.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="K=V", help="A setting of the sampler.")]
Features = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="For samplers that compare nodes: a CLIP folder or hub id, the CLIP in the package (tiny), "
        "or a file with one embedding per node (.npy, .safetensors, .pt). Else the recipe's, or tiny.",
    ),
]


def chosen_sampler(
    graph: AttributedGraph,
    sampler: str | None,
    recipe: str | None,
    settings: Sequence[str],
    features: str | None,
) -> tuple[NeighborSamplerConfig, AnyFeatures]:
    """The sampler and the features that ``--sampler``, ``--recipe``, ``--set`` and ``--features`` describe.

    Raises:
        InputError: no sampler of neighbors has this name, a setting is unknown or missing, or the recipe
            cannot be read or has no single sampler of neighbors.
    """
    from pydantic import ValidationError

    from graphcond.config import as_input_error
    from graphcond.features.embedding_files import FORMATS
    from graphcond.recipe import load_recipe
    from graphcond.recipe.overrides import override
    from graphcond.recipe.sections import ClipFeatures, FileFeatures, TinyFeatures
    from graphcond.samplers import SAMPLERS, NeighborSamplerConfig
    from graphcond.samplers.defaults import default_sampler
    from graphcond.saving.model_folder import saved_recipe

    kinds = {name: config for name, config in SAMPLERS.items() if issubclass(config, NeighborSamplerConfig)}
    network: AnyFeatures = TinyFeatures()
    if recipe is not None:
        if sampler is not None:
            raise InputError("the recipe has a sampler", place="--sampler", remedy="leave out one of the two")
        found = saved_recipe(recipe) if Path(recipe).is_dir() else load_recipe(recipe)
        chosen = [c.sampler for c in found.conditions if isinstance(c.sampler, NeighborSamplerConfig)]
        if len(chosen) != 1:
            raise InputError(
                f"expected a recipe with one sampler of neighbors, got {len(chosen)}",
                place=f"--recipe {recipe}",
                remedy="name the sampler: --sampler KIND --set ...",
            )
        values, network = chosen[0].model_dump(mode="json"), found.features
    if features is not None and features != "tiny":
        from_file = features.endswith(FORMATS)
        network = FileFeatures(path=Path(features)) if from_file else ClipFeatures(model=features)
    elif features is not None:
        network = TinyFeatures()
    if recipe is None:
        values = default_sampler(graph, network.columns)
        if sampler not in (None, values["kind"]):
            values = {"kind": sampler}
    override(values, settings)
    kind = str(values["kind"])
    if kind not in kinds:
        place = "--sampler" if kind == sampler else "--set"
        raise InputError(f"there is no sampler '{kind}'", place=place, remedy=did_you_mean(kind, kinds))
    try:
        return kinds[kind].model_validate(values), network
    except ValidationError as error:
        raise as_input_error(error, kinds[kind], "--set") from None


def embed(graph: AttributedGraph, features: AnyFeatures, watch: Watch) -> NodeEmbeddings:
    """The embeddings of the nodes, computed when requested or read from a file.

    Raises:
        InputError: the network, the file or a picture cannot be read.
    """
    from graphcond.features.load import Extractors

    progress = watch("embedding pictures and texts")
    return Extractors(features).of_nodes(graph.picture_paths, graph.nodes.texts, progress)
