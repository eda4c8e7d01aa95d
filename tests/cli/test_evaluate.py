"""graphcond evaluate on the tiny base, as small as it gets."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.errors import InputError
from graphcond.graphs import build_graph, save_graph, save_world
from graphcond.model import GraphModel
from graphcond.recipe import load_recipe
from graphcond.report import read_run
from graphcond.report.summaries import evaluations
from graphcond.worlds import ArtWorld
from tests.plugins import BRIGHTNESS, install
from tests.report.folders import write_run


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graphs") / "art"
    save_world(ArtWorld(paintings_per_artist=10), folder)
    return folder


@pytest.fixture(scope="module")
def bare(graph: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A graph that says nothing of artists; every test node has a line, of which there are two."""
    world, folder = ArtWorld(paintings_per_artist=10), tmp_path_factory.mktemp("graphs") / "bare"
    nodes = world.nodes()
    place = {row: place for place, row in enumerate(nodes.in_split("test").tolist())}
    lines = ["odd" if place.get(row, 0) % 2 else "even" for row in range(len(nodes))]
    save_graph(build_graph(replace(nodes, attributes={"line": lines}), world.edges(), root=graph), folder)
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    GraphModel.build(load_recipe("instructg2i", base="tiny"), feature_width=64).save_pretrained(folder)
    return folder


def invoke(*args: Any) -> Any:
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_three_arms_with_intervals(model: Path, graph: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    invoke("evaluate", model, "--graph", graph, "--limit", 4, "--steps", 2, "--out", out)
    report = json.loads(out.read_text())["separate"]
    assert set(report["arms"]) == {"no_graph", "graph", "shuffled_graph"}
    assert report["n"] == 4
    for figures in report["arms"].values():
        assert {"style_accuracy", "subject_accuracy", "clip_i", "clip_t", "fid", "kid"} <= set(figures)
        assert all(f["low"] <= f["mean"] <= f["high"] for name, f in figures.items() if name != "fid")
    assert set(report["differences"]) == {"graph - no_graph", "graph - shuffled_graph"}


def test_the_model_of_a_run_leaves_its_report_in_the_run_folder(
    model: Path, graph: Path, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run")
    shutil.copytree(model, run / "final")
    args = ("--limit", 3, "--steps", 1, "--metric", "style_accuracy", "--protocol", "art")
    invoke("evaluate", run / "final", "--graph", graph, *args, "--card")
    table = (run / "evaluations" / "art-test" / "report.md").read_text()
    assert table.strip() in (run / "final" / "README.md").read_text()
    assert GraphModel.from_pretrained(run / "final").card.evaluation == table
    assert (run / "evaluations" / "art-test" / "pictures.png").is_file()
    (table,) = evaluations([read_run(run)])
    assert (table.title, table.rows[0][:2]) == ("art-test/separate", ("paintings", "style_accuracy"))
    invoke("evaluate", model, "--graph", graph, *args)
    assert not (model.parent / "evaluations").exists(), "a model alone is no run"


def test_json_and_single_metrics(model: Path, graph: Path) -> None:
    args = ("--limit", 3, "--steps", 1, "--metric", "style_accuracy", "--json")
    printed = json.loads(invoke("evaluate", model, "--graph", graph, *args).stdout.strip().splitlines()[-1])
    assert list(printed["separate"]["arms"]["graph"]) == ["style_accuracy"]


def test_a_metric_of_another_package(
    model: Path, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"graphcond.metrics": "brightness = shining:Brightness"}
    install(monkeypatch, tmp_path, "shining", BRIGHTNESS, entry)
    args = ("--limit", 3, "--steps", 1, "--metric", "brightness", "--json")
    printed = json.loads(invoke("evaluate", model, "--graph", graph, *args).stdout.strip().splitlines()[-1])
    assert 0 < printed["separate"]["arms"]["graph"]["brightness"]["mean"] < 255
    assert printed["separate"]["networks"] == {"brightness": "no network"}


def test_own_data_need_no_protocol_and_no_download(model: Path, bare: Path, tmp_path: Path) -> None:
    """The recipe of the model says nothing of the data; the folder has the tables and the pictures."""
    printed = invoke(
        *("evaluate", model, "--graph", bare, "--limit", 4, "--steps", 1, "--label", "line"),
        *("--out", tmp_path / "report"),
    ).stdout
    assert "own, recipe guidance" in printed
    assert "chance 0.250" in printed
    report = json.loads((tmp_path / "report" / "report.json").read_text())["recipe"]
    assert set(report["arms"]) == {"no_graph", "graph", "shuffled_graph"}
    for figures in report["arms"].values():
        assert list(figures) == ["feature_distance", "retrieval", "retrieval_rank", "same_class"]
        assert all(f["low"] <= f["mean"] <= f["high"] for f in figures.values())
    assert report["chance"] == {"retrieval": 0.25, "retrieval_rank": 0.5, "same_class": 0.5}
    assert {name.split("@")[0] for name in report["networks"].values()} == {"tiny"}
    assert "| retrieval ↑ |" in (tmp_path / "report" / "report.md").read_text()
    with Image.open(tmp_path / "report" / "pictures.png") as sheet:
        assert sheet.height > 4 * 128


def test_a_metric_that_does_not_exist_is_found_before_anything_is_loaded() -> None:
    with pytest.raises(InputError, match="there is no metric 'clip_j'"):
        invoke("evaluate", "no-such-model", "--metric", "clip_j")


def test_bad_input(model: Path, graph: Path, bare: Path, tmp_path: Path) -> None:
    cases = [
        ((model, "--graph", graph, "--split", "tset"), "there is no split 'tset'. Did you mean 'test'?"),
        ((model, "--graph", graph, "--protocol", "instructg2"), "Did you mean 'instructg2i'?"),
        ((model, "--graph", graph, "--metric", "clip_x"), "there is no metric 'clip_x'"),
        ((model, "--graph", bare, "--limit", 4, "--protocol", "art"), "'artist' of its nodes. Evaluate with"),
        ((model, "--graph", graph, "--label", "artis"), "no column 'artis'. Did you mean 'artist'?"),
        ((model, "--graph", bare, "--label", "line", "--limit", 2), "Evaluate more targets"),
        ((model, "--graph", tmp_path / "nowhere"), "nowhere"),
        ((tmp_path / "nowhere", "--graph", graph), "no such model"),
    ]
    for args, message in cases:
        with pytest.raises(InputError) as caught:
            CliRunner().invoke(app, ["evaluate", *map(str, args)], catch_exceptions=False)
        assert message in str(caught.value), args
