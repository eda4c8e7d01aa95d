"""Fixtures of the training room."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.scene_graph import SceneSet
from tests.training.scenes import write_scenes
from tests.training.toys import Toy, toy_recipe, write_graph


@pytest.fixture(scope="session")
def toy(sd_folder: Path, clip_folder: Path) -> Toy:
    """Makes recipes on random networks from the changes to them."""
    return partial(toy_recipe, sd_folder, clip_folder)


@pytest.fixture(scope="session")
def toy_graph(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    """14 paintings in two colors, the last three held out."""
    return write_graph(tmp_path_factory.mktemp("toy"))


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> SceneSet:
    """14 scenes of coloured shapes, the last three held out."""
    return write_scenes(tmp_path_factory.mktemp("scenes") / "world")


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test with a cache of its own."""
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
