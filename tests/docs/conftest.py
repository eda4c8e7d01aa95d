"""What the documentation assumes that a reader has: the demo's model and graph."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo seems to have run: a small world, and a model that learned nothing."""
    from graphcond import GraphModel, load_recipe
    from graphcond.bases.config import TINY_FOLDER
    from graphcond.features.load import Extractors
    from graphcond.graphs import save_world
    from graphcond.worlds import ArtWorld

    if not TINY_FOLDER.is_dir():
        pytest.skip("the package holds no tiny base")
    folder = tmp_path_factory.mktemp("demo")
    save_world(ArtWorld(paintings_per_artist=6, series_length=3), folder / "outputs/demo/graph")
    recipe = load_recipe("instructg2i", base="tiny")
    model = GraphModel.build(recipe, feature_width=Extractors(recipe.features).pictures.width)
    model.save_pretrained(folder / "outputs/demo/model")
    return folder


@pytest.fixture
def reader(demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of somebody who follows the documentation."""
    (tmp_path / "outputs").mkdir()
    (tmp_path / "outputs/demo").symlink_to(demo / "outputs/demo")
    monkeypatch.chdir(tmp_path)
    return tmp_path
