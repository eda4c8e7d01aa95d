"""graphcond: graphs decide what a frozen diffusion model draws.

Every public name is imported when it is first used, so that ``import graphcond`` loads neither torch
nor diffusers.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphcond.adapters import (
        ControlNetInjector,
        GatedSelfAttentionInjector,
        Injector,
        LoraInjector,
        PromptTokenInjector,
    )
    from graphcond.attributed_graph import AttributedGraph, EdgeList, NodeTable
    from graphcond.bases import StableDiffusionBase
    from graphcond.condition import Condition
    from graphcond.context import NeighborContext, NeighborFeatures, SceneContext, SceneFeatures
    from graphcond.data.contexts import GraphContexts, embed_graph
    from graphcond.data.scene_contexts import SceneContexts, SceneReader
    from graphcond.encoders import (
        Encoder,
        GraphQFormer,
        GraphQFormerConfig,
        LayoutConfig,
        NeighborMean,
        SentenceConfig,
        TripleGCNConfig,
        TripleTransformerConfig,
    )
    from graphcond.errors import InputError
    from graphcond.evaluation import evaluate
    from graphcond.features.clip import ClipExtractor
    from graphcond.features.clip_vision import ClipVisionExtractor
    from graphcond.features.text_features import TextModelExtractor
    from graphcond.graphs import (
        build_graph,
        embeddings_from_dgl,
        embeddings_from_pyg,
        from_dgl,
        from_networkx,
        from_pyg,
        from_scipy,
        load_graph,
        open_graph,
        save_graph,
        to_networkx,
        to_pyg,
        to_scipy,
    )
    from graphcond.guidance import GraphGuidance
    from graphcond.model import GraphModel
    from graphcond.pipeline import GraphPipeline
    from graphcond.recipe import Recipe, load_recipe
    from graphcond.samplers import (
        AffiliationGraph,
        AffiliationPPRSampler,
        ConsensusSimilarity,
        GivenSampler,
        KHopSampler,
        NeighborSampler,
        PPRSampler,
        RandomSampler,
        SceneSampler,
        SceneTriplesSampler,
        SemanticPPRSampler,
        SemanticSampler,
        TextImageSimilarity,
    )
    from graphcond.scene_graph import SceneGraph, SceneSet
    from graphcond.scenes import draw_graph, load_scene_set, read_scene, read_scenes
    from graphcond.signals import GraphTokens, LayoutMap
    from graphcond.training import train

_HOMES = {
    "graphcond.adapters": (
        "ControlNetInjector",
        "GatedSelfAttentionInjector",
        "Injector",
        "LoraInjector",
        "PromptTokenInjector",
    ),
    "graphcond.condition": ("Condition",),
    "graphcond.data.contexts": (
        "GraphContexts",
        "embed_graph",
    ),
    "graphcond.encoders": (
        "Encoder",
        "GraphQFormer",
        "GraphQFormerConfig",
        "LayoutConfig",
        "NeighborMean",
        "SentenceConfig",
        "TripleGCNConfig",
        "TripleTransformerConfig",
    ),
    "graphcond.errors": ("InputError",),
    "graphcond.evaluation": ("evaluate",),
    "graphcond.graphs": (
        "build_graph",
        "embeddings_from_dgl",
        "embeddings_from_pyg",
        "from_dgl",
        "from_networkx",
        "from_pyg",
        "from_scipy",
        "load_graph",
        "open_graph",
        "save_graph",
        "to_networkx",
        "to_pyg",
        "to_scipy",
    ),
    "graphcond.guidance": ("GraphGuidance",),
    "graphcond.model": ("GraphModel",),
    "graphcond.bases": ("StableDiffusionBase",),
    "graphcond.features.clip_vision": ("ClipVisionExtractor",),
    "graphcond.features.clip": ("ClipExtractor",),
    "graphcond.features.text_features": ("TextModelExtractor",),
    "graphcond.pipeline": ("GraphPipeline",),
    "graphcond.recipe": (
        "Recipe",
        "load_recipe",
    ),
    "graphcond.samplers": (
        "AffiliationGraph",
        "AffiliationPPRSampler",
        "ConsensusSimilarity",
        "GivenSampler",
        "KHopSampler",
        "NeighborSampler",
        "PPRSampler",
        "RandomSampler",
        "SceneSampler",
        "SceneTriplesSampler",
        "SemanticPPRSampler",
        "SemanticSampler",
        "TextImageSimilarity",
    ),
    "graphcond.data.scene_contexts": (
        "SceneContexts",
        "SceneReader",
    ),
    "graphcond.scene_graph": ("SceneGraph", "SceneSet"),
    "graphcond.scenes": (
        "draw_graph",
        "load_scene_set",
        "read_scene",
        "read_scenes",
    ),
    "graphcond.training": ("train",),
    "graphcond.attributed_graph": (
        "AttributedGraph",
        "EdgeList",
        "NodeTable",
    ),
    "graphcond.context": (
        "NeighborContext",
        "NeighborFeatures",
        "SceneContext",
        "SceneFeatures",
    ),
    "graphcond.signals": (
        "GraphTokens",
        "LayoutMap",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__version__ = version("graphcond")
__all__ = [
    "AffiliationGraph",
    "AffiliationPPRSampler",
    "AttributedGraph",
    "ClipExtractor",
    "ClipVisionExtractor",
    "Condition",
    "ConsensusSimilarity",
    "ControlNetInjector",
    "EdgeList",
    "Encoder",
    "GatedSelfAttentionInjector",
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
    "LayoutConfig",
    "LayoutMap",
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
    "SceneContext",
    "SceneContexts",
    "SceneFeatures",
    "SceneGraph",
    "SceneReader",
    "SceneSampler",
    "SceneSet",
    "SceneTriplesSampler",
    "SemanticPPRSampler",
    "SemanticSampler",
    "SentenceConfig",
    "StableDiffusionBase",
    "TextImageSimilarity",
    "TextModelExtractor",
    "TripleGCNConfig",
    "TripleTransformerConfig",
    "build_graph",
    "draw_graph",
    "embed_graph",
    "embeddings_from_dgl",
    "embeddings_from_pyg",
    "evaluate",
    "from_dgl",
    "from_networkx",
    "from_pyg",
    "from_scipy",
    "load_graph",
    "load_recipe",
    "load_scene_set",
    "open_graph",
    "read_scene",
    "read_scenes",
    "save_graph",
    "to_networkx",
    "to_pyg",
    "to_scipy",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'graphcond' has no attribute '{name}'")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
