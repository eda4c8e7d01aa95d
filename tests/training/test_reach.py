"""What a base can draw of the pictures it is to be trained on."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from graphcond.attributed_graph import AttributedGraph, EdgeList, NodeTable
from graphcond.data.dataset import as_dataset
from graphcond.graphs import build_graph, save_world
from graphcond.graphs.load import load_graph
from graphcond.recipe import Recipe, load_recipe
from graphcond.report import read_run
from graphcond.training import train
from graphcond.training.prepare import prepare
from graphcond.training.reach import OWN_KIND, Reach, advice, measure
from graphcond.training.report import Report
from graphcond.worlds import ArtWorld
from tests.training.toys import Toy, quiet

FEW = (
    "training.validation_samples=16",
    "training.steps=1",
    "training.validate_every=null",
    "training.preview_every=null",
)


def foreign_graph(folder: Path) -> AttributedGraph:
    """Soft random patches of color, which no world of the package has."""
    folder.mkdir()
    for node in range(24):
        patches = np.random.default_rng(node).integers(0, 255, (9, 9, 3), dtype=np.uint8)
        soft = Image.fromarray(patches).resize((64, 64), Image.Resampling.BICUBIC)
        soft.save(folder / f"{node}.png")
    nodes = NodeTable(
        ids=[f"n{node}" for node in range(24)],
        texts=["patches"] * 24,
        pictures=[f"{node}.png" for node in range(24)],
    )
    ends = np.arange(24)
    return build_graph(nodes, EdgeList(ends, (ends + 2) % 24), root=folder)


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    return foreign_graph(tmp_path_factory.mktemp("foreign") / "graph")


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return load_recipe("instructg2i", base="tiny", overrides=FEW)


def reach_of(recipe: Recipe, graph: AttributedGraph) -> Reach:
    found = prepare(recipe, torch.device("cpu"), Report(quiet()), data=as_dataset(graph))
    return measure(found.model.base, found.validation, recipe.data.resolution)


def test_the_tiny_base_knows_its_own_kind_and_no_other(
    recipe: Recipe, foreign: AttributedGraph, tmp_path: Path
) -> None:
    save_world(ArtWorld(paintings_per_artist=6, series_length=3), tmp_path / "art")
    own, other = reach_of(recipe, load_graph(tmp_path / "art")), reach_of(recipe, foreign)
    known = OWN_KIND["tiny"]
    assert (own.psnr, own.error) == (pytest.approx(known.psnr, abs=2), pytest.approx(known.error, abs=0.2))
    assert advice(own, recipe) is None
    assert other.psnr < own.psnr - 8
    assert other.error > 2 * own.error


def test_training_says_so_first_and_records_it(
    recipe: Recipe, foreign: AttributedGraph, tmp_path: Path
) -> None:
    console = Console(file=StringIO(), width=400)
    run = train(recipe, graph=foreign, out=tmp_path / "run", device="cpu", console=console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("these pictures are far from what the base draws") == 1
    assert said.index("far from what the base draws") < said.index("Training instructg2i")
    assert "Adapt the base by --set training.train_base=true" in said
    assert "train over Stable Diffusion" in said
    (start,) = read_run(run.folder).of("start")
    assert start["reach"]["psnr"] < 20


def test_nothing_is_measured_where_nothing_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphcond.training.run.measure", None)
    recipe = load_recipe("sgcond-i", base="tiny", overrides=[*FEW, "data.scenes=12"])
    run = train(recipe, out=tmp_path / "run", device="cpu", console=quiet())
    assert not list(read_run(run.folder).of("start"))


FAR: dict[str, Reach] = {
    "both": Reach(15.0, 1.4),
    "unknown": Reach(35.0, 1.4),
    "blurred": Reach(15.0, 0.3),
}


@pytest.mark.parametrize(
    ("found", "changes", "wanted"),
    [
        ("unknown", {}, "Adapt the base by --set training.train_base=true"),
        ("unknown", {"train_base": True}, "The base is adapted to them"),
        ("unknown", {"lora": {"rank": 2}}, "The base is adapted to them"),
        (
            "blurred",
            {},
            "for finer pictures train over another base",
        ),
        ("both", {}, "No training here changes the autoencoder"),
        ("both", {}, "Adapt the base by --set training.train_base=true"),
    ],
)
def test_the_advice_for_a_base_without_figures_of_its_own(
    found: str, changes: dict[str, Any], wanted: str, toy: Toy
) -> None:
    text = advice(FAR[found], toy(**changes))
    assert text is not None
    assert wanted in text
    assert "its own kind" not in text
    assert f"{FAR[found].psnr:.1f} dB" in text


def test_pictures_that_a_base_knows_need_no_advice(toy: Toy) -> None:
    assert advice(Reach(30.0, 0.4), toy()) is None
    assert advice(Reach(float("nan"), float("nan")), toy()) is None
