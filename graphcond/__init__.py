"""graphcond: graphs decide what a frozen diffusion model draws.

Every public name is imported when it is first used, so that ``import graphcond`` loads neither torch
nor diffusers.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphcond.adapters import Injector, LoraInjector, PromptTokenInjector
    from graphcond.condition import Condition
    from graphcond.contexts import GraphContexts, embed_graph
    from graphcond.encoders import Encoder, GraphQFormer, GraphQFormerConfig, NeighborMean
    from graphcond.errors import InputError
    from graphcond.evaluation import evaluate
    from graphcond.graphs import build_graph, load_graph, open_graph, save_graph
    from graphcond.guidance import GraphGuidance
    from graphcond.model import GraphModel
    from graphcond.models import StableDiffusionBase
    from graphcond.models.features import ClipExtractor
    from graphcond.pipeline import GraphPipeline
    from graphcond.recipe import Recipe, load_recipe
    from graphcond.samplers import (
        ConsensusSimilarity,
        GivenSampler,
        KHopSampler,
        NeighborSampler,
        PPRSampler,
        RandomSampler,
        SemanticPPRSampler,
        SemanticSampler,
        TextImageSimilarity,
    )
    from graphcond.training import train
    from graphcond.types import (
        AttributedGraph,
        EdgeList,
        GraphTokens,
        NeighborContext,
        NeighborFeatures,
        NodeTable,
    )

_HOMES = {
    "graphcond.adapters": ("Injector", "LoraInjector", "PromptTokenInjector"),
    "graphcond.condition": ("Condition",),
    "graphcond.contexts": ("GraphContexts", "embed_graph"),
    "graphcond.encoders": ("Encoder", "GraphQFormer", "GraphQFormerConfig", "NeighborMean"),
    "graphcond.errors": ("InputError",),
    "graphcond.evaluation": ("evaluate",),
    "graphcond.graphs": ("build_graph", "load_graph", "open_graph", "save_graph"),
    "graphcond.guidance": ("GraphGuidance",),
    "graphcond.model": ("GraphModel",),
    "graphcond.models": ("StableDiffusionBase",),
    "graphcond.models.features": ("ClipExtractor",),
    "graphcond.pipeline": ("GraphPipeline",),
    "graphcond.recipe": ("Recipe", "load_recipe"),
    "graphcond.samplers": (
        "ConsensusSimilarity",
        "GivenSampler",
        "KHopSampler",
        "NeighborSampler",
        "PPRSampler",
        "RandomSampler",
        "SemanticPPRSampler",
        "SemanticSampler",
        "TextImageSimilarity",
    ),
    "graphcond.training": ("train",),
    "graphcond.types": (
        "AttributedGraph",
        "EdgeList",
        "GraphTokens",
        "NeighborContext",
        "NeighborFeatures",
        "NodeTable",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = version("graphcond")
__all__ = [
    "AttributedGraph",
    "ClipExtractor",
    "Condition",
    "ConsensusSimilarity",
    "EdgeList",
    "Encoder",
    "GivenSampler",
    "GraphContexts",
    "GraphGuidance",
    "GraphModel",
    "GraphPipeline",
    "GraphQFormer",
    "GraphQFormerConfig",
    "GraphTokens",
    "Injector",
    "InputError",
    "KHopSampler",
    "LoraInjector",
    "NeighborContext",
    "NeighborFeatures",
    "NeighborMean",
    "NeighborSampler",
    "NodeTable",
    "PPRSampler",
    "PromptTokenInjector",
    "RandomSampler",
    "Recipe",
    "SemanticPPRSampler",
    "SemanticSampler",
    "StableDiffusionBase",
    "TextImageSimilarity",
    "build_graph",
    "embed_graph",
    "evaluate",
    "load_graph",
    "load_recipe",
    "open_graph",
    "save_graph",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'graphcond' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
