"""Small parts that tests of several rooms build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from graphcond.bases import Base, StableDiffusionBase, StableDiffusionConfig
from graphcond.bases.config import BaseFacts
from graphcond.context import NeighborFeatures
from graphcond.model import GraphModel
from graphcond.recipe import Recipe, parse_recipe

FEATURE_WIDTH = 24


def recipe_values(sd_folder: Path, **changes: Any) -> dict[str, Any]:
    """The plain values of a small InstructG2I recipe on a random base."""
    values: dict[str, Any] = {
        "name": "small",
        "base": {"kind": "stable_diffusion", "model": str(sd_folder)},
        "data": {"kind": "mmag", "resolution": 64},
        "features": {"kind": "tiny"},
        "conditions": [
            {
                "name": "neighbors",
                "sampler": {"kind": "ppr"},
                "encoder": {"kind": "graph_qformer", "zero_start": False},
                "injector": {"kind": "prompt_tokens"},
                "without_graph": "absent",
            }
        ],
    }
    return values | changes


def small_recipe(sd_folder: Path, **changes: Any) -> Recipe:
    """A small InstructG2I recipe on a random base."""
    return parse_recipe(recipe_values(sd_folder, **changes))


def small_base(sd_folder: Path) -> StableDiffusionBase:
    """A random base."""
    return StableDiffusionConfig(model=str(sd_folder)).build(device=torch.device("cpu"))


def small_model(sd_folder: Path, **changes: Any) -> GraphModel:
    """A random graph model whose graph changes the picture."""
    return GraphModel.build(small_recipe(sd_folder, **changes), feature_width=FEATURE_WIDTH)


class FactsOnly(Base):
    """A base without networks, for parts that ask for its facts alone."""

    def __init__(self) -> None:
        self.facts = BaseFacts(32, 77, 4, 8, 64, 16, "epsilon")

    def _missing(self, *_: object) -> Any:
        raise NotImplementedError

    sites = encode_prompt = encode_pictures = decode_latents = denoise = _missing
    pictures_version = prompts_version = _missing


def some_features(
    rows: int = 1, neighbors: int = 3, *, width: int = FEATURE_WIDTH, seed: int = 0
) -> NeighborFeatures:
    """Random embeddings of neighbors that are all there."""
    generator = torch.Generator().manual_seed(seed)
    embeddings = torch.randn(rows, neighbors, width, generator=generator)
    return NeighborFeatures(embeddings, torch.ones(rows, neighbors, dtype=torch.bool))
