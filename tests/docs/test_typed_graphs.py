"""The page on typed graphs: its Python runs, and its YAML is a sampler's and an encoder's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from graphcond.encoders import PygConfig
from graphcond.graphs import open_graph
from graphcond.recipe import load_recipe
from graphcond.samplers import PPRSamplerConfig
from tests.docs.blocks import ROOT, blocks

PAGE = ROOT / "docs/typed-graphs.md"


def test_the_python_runs(reader: Path) -> None:
    block, structure = blocks(PAGE, "python")
    namespace: dict[str, Any] = {"__name__": "page"}
    exec(structure.compiled(), namespace)
    assert namespace["features"].structure.hops.tolist() == [[1, 2]]
    exec(block.compiled(), namespace)
    told = namespace["context"].relations
    assert told.any()
    names = namespace["graph"].relation_names
    assert (told == 1 + names.index("same_series")).sum(axis=1).max() <= 2


def test_the_yaml_is_a_sampler_and_an_encoder() -> None:
    sampler, encoder = (yaml.safe_load(block.text) for block in blocks(PAGE, "yaml"))
    config = PPRSamplerConfig.model_validate(sampler["sampler"])
    assert config.quotas.relations == {"same_year": 1, "same_museum": 0}
    assert PygConfig.model_validate(encoder["encoder"]).network(24).width == 128


def test_the_recipe_names_relations_of_the_demo(reader: Path) -> None:
    recipe = load_recipe(
        "instructg2i", base="tiny", overrides=["conditions.neighbors.encoder.relations=true"]
    )
    names = open_graph("outputs/demo/graph").relation_names
    assert recipe.with_relations(names).conditions[0].encoder.relations == names
