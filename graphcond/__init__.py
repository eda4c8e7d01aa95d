"""graphcond: graphs decide what a frozen diffusion model draws.

Every public name is imported when it is first used, so that ``import graphcond`` loads neither torch
nor diffusers.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphcond.adapters import ControlNetInjector as ControlNetInjector
    from graphcond.adapters import GatedSelfAttentionInjector as GatedSelfAttentionInjector
    from graphcond.adapters import Injector as Injector
    from graphcond.adapters import LoraInjector as LoraInjector
    from graphcond.adapters import PromptTokenInjector as PromptTokenInjector
    from graphcond.attributed_graph import AttributedGraph as AttributedGraph
    from graphcond.attributed_graph import EdgeList as EdgeList
    from graphcond.attributed_graph import NodeTable as NodeTable
    from graphcond.bases import StableDiffusionBase as StableDiffusionBase
    from graphcond.condition import Condition as Condition
    from graphcond.context import NeighborContext as NeighborContext
    from graphcond.context import NeighborFeatures as NeighborFeatures
    from graphcond.context import SceneContext as SceneContext
    from graphcond.context import SceneFeatures as SceneFeatures
    from graphcond.data.contexts import GraphContexts as GraphContexts
    from graphcond.data.contexts import embed_graph as embed_graph
    from graphcond.data.dataset import Dataset as Dataset
    from graphcond.data.dataset import GraphDataset as GraphDataset
    from graphcond.data.dataset import SceneDataset as SceneDataset
    from graphcond.data.scene_contexts import SceneContexts as SceneContexts
    from graphcond.data.scene_contexts import SceneReader as SceneReader
    from graphcond.encoders import Encoder as Encoder
    from graphcond.encoders import GraphQFormer as GraphQFormer
    from graphcond.encoders import GraphQFormerConfig as GraphQFormerConfig
    from graphcond.encoders import LayoutConfig as LayoutConfig
    from graphcond.encoders import NeighborMean as NeighborMean
    from graphcond.encoders import SentenceConfig as SentenceConfig
    from graphcond.encoders import TripleGCNConfig as TripleGCNConfig
    from graphcond.encoders import TripleTransformerConfig as TripleTransformerConfig
    from graphcond.errors import GraphcondError as GraphcondError
    from graphcond.errors import InputError as InputError
    from graphcond.errors import StorageError as StorageError
    from graphcond.errors import TrainingError as TrainingError
    from graphcond.evaluation.evaluate import evaluate as evaluate
    from graphcond.features.clip import ClipExtractor as ClipExtractor
    from graphcond.features.clip_vision import ClipVisionExtractor as ClipVisionExtractor
    from graphcond.features.text_features import TextModelExtractor as TextModelExtractor
    from graphcond.graphs import build_graph as build_graph
    from graphcond.graphs import embeddings_from_dgl as embeddings_from_dgl
    from graphcond.graphs import embeddings_from_pyg as embeddings_from_pyg
    from graphcond.graphs import from_dgl as from_dgl
    from graphcond.graphs import from_networkx as from_networkx
    from graphcond.graphs import from_pyg as from_pyg
    from graphcond.graphs import from_scipy as from_scipy
    from graphcond.graphs import load_graph as load_graph
    from graphcond.graphs import open_graph as open_graph
    from graphcond.graphs import save_graph as save_graph
    from graphcond.graphs import to_networkx as to_networkx
    from graphcond.graphs import to_pyg as to_pyg
    from graphcond.graphs import to_scipy as to_scipy
    from graphcond.guidance import GraphGuidance as GraphGuidance
    from graphcond.model import GraphModel as GraphModel
    from graphcond.pipeline import GraphPipeline as GraphPipeline
    from graphcond.pipeline.attach import attach as attach
    from graphcond.pipeline.attach import detach as detach
    from graphcond.pipeline.guiders import GraphGuider as GraphGuider
    from graphcond.recipe import Recipe as Recipe
    from graphcond.recipe import load_recipe as load_recipe
    from graphcond.samplers import AffiliationGraph as AffiliationGraph
    from graphcond.samplers import AffiliationPPRSampler as AffiliationPPRSampler
    from graphcond.samplers import ConsensusSimilarity as ConsensusSimilarity
    from graphcond.samplers import GivenSampler as GivenSampler
    from graphcond.samplers import KHopSampler as KHopSampler
    from graphcond.samplers import NeighborSampler as NeighborSampler
    from graphcond.samplers import PPRSampler as PPRSampler
    from graphcond.samplers import RandomSampler as RandomSampler
    from graphcond.samplers import SceneSampler as SceneSampler
    from graphcond.samplers import SceneTriplesSampler as SceneTriplesSampler
    from graphcond.samplers import SemanticPPRSampler as SemanticPPRSampler
    from graphcond.samplers import SemanticSampler as SemanticSampler
    from graphcond.samplers import TextImageSimilarity as TextImageSimilarity
    from graphcond.scene_graph import SceneGraph as SceneGraph
    from graphcond.scene_graph import SceneSet as SceneSet
    from graphcond.scenes import draw_graph as draw_graph
    from graphcond.scenes import load_scene_set as load_scene_set
    from graphcond.scenes import read_scene as read_scene
    from graphcond.scenes import read_scenes as read_scenes
    from graphcond.signals import GraphTokens as GraphTokens
    from graphcond.signals import LayoutMap as LayoutMap
    from graphcond.training import train as train
    from graphcond.training.objective import denoising_loss as denoising_loss
    from graphcond.training.picture_dataset import PictureDataset as PictureDataset

__version__ = version("graphcond")


def lazy_names(module: str) -> tuple[Callable[[str], Any], Callable[[], list[str]], list[str]]:
    """``__getattr__``, ``__dir__`` and ``__all__`` for a package that imports its names when first used.

    The names are those that the package's source imports under ``if TYPE_CHECKING``, so that they are
    written once, where type checkers look for them.

    Args:
        module: ``__name__`` of the package.
    """
    package = sys.modules[module]
    tree = ast.parse(Path(str(package.__file__)).read_text(encoding="utf-8"))
    blocks = [node for node in tree.body if isinstance(node, ast.If)]
    imports = [node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom)]
    homes = {alias.name: str(node.module) for node in imports for alias in node.names}

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        value = vars(package)[name] = getattr(import_module(homes[name]), name)
        return value

    return get, lambda: sorted({*vars(package), *homes}), sorted(homes)


if not TYPE_CHECKING:
    __getattr__, __dir__, __all__ = lazy_names(__name__)
