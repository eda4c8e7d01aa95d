"""graphcond bench scenes from end to end, with models that are saved untrained and a detector of our own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from graphcond.bench import experiments, run_scenes, scenes
from graphcond.cli import app
from graphcond.errors import GraphcondError
from graphcond.model import GraphModel
from graphcond.recipe import load_recipe
from graphcond.scene_graph import SceneGraph


class Bright:
    """Sees the graph that was asked for in pictures whose corner is bright, and nothing in others."""

    identity = "bright"

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        return [
            graph if picture.getpixel((0, 0))[0] > 127 else SceneGraph(())  # type: ignore[index]
            for picture, graph in zip(pictures, asked, strict=True)
        ]


class SavesUntrained:
    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, recipe: Any, out: Path) -> None:
        self.names.append(recipe.name)
        GraphModel.build(recipe, feature_width=64).save_pretrained(out / "final")


@pytest.fixture
def trainer(monkeypatch: pytest.MonkeyPatch) -> SavesUntrained:
    trainer = SavesUntrained()
    small = partial(load_recipe, base="tiny")

    def load(name: str, *, base: Any, overrides: Sequence[str]) -> Any:
        return small(name, overrides=[*overrides, "data.scenes=40"])

    monkeypatch.setattr(experiments, "load_recipe", load)
    monkeypatch.setattr(scenes, "STEPS", 1)
    monkeypatch.setattr(scenes, "DIVERSE", 2)
    run = run_scenes.run_scenes
    monkeypatch.setattr(run_scenes, "run_scenes", partial(run, detector=Bright(), trainer=trainer))
    return trainer


def bench(out: Path, *more: str) -> Any:
    args = ["bench", "scenes", "--out", str(out), "--limit", "4", "--pairs", "2", "--seed", "5", *more]
    result = CliRunner().invoke(app, args, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def test_it_trains_scores_and_writes_once(
    trainer: SavesUntrained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench(tmp_path, "--only", "sgcond-vi, sgcond-i")
    read = json.loads((tmp_path / "scenes.json").read_text())
    assert [row["facts"]["name"] for row in read["rows"]] == ["sgcond-i", "sgcond-vi"]
    assert (read["n"], read["pairs"], read["seed"]) == (4, 2, 5)
    text_only, graph = (row["facts"] for row in read["rows"])
    assert (text_only["conditioning"].split()[0], text_only["parameters"]) == ("sentence", 0)
    assert graph["enters"] == "gated_self_attention"
    assert graph["parameters"] > 0
    for row in read["rows"]:
        report = row["scores"]["report"]
        assert set(report["arms"]) == {"no_graph", "graph", "shuffled_graph"}
        assert report["networks"]["relation_accuracy"] == "bright"
        assert row["scores"]["swap"]["both"]["n"] == 2
    assert "best graph recipe by relation accuracy: sgcond-vi" in (tmp_path / "scenes.md").read_text()
    assert Image.open(tmp_path / "scenes.png").width > 600
    monkeypatch.setattr(scenes, "score", None)  # a second call may not score again
    again = json.loads(bench(tmp_path, "--only", "sgcond-i,sgcond-vi", "--json").stdout.splitlines()[-1])
    assert again == read
    assert trainer.names == ["sgcond-i", "sgcond-vi"]


def test_bad_input_is_said_before_anything_is_trained(trainer: SavesUntrained, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    cases = [
        (["--only", "sgcond-x"], "there is no experiment 'sgcond-x'"),
        (["--only", " , "], "no experiment is named"),
        (["--base", "huge"], "there is no base 'huge'"),
        (["--out", str(file)], "cannot be written"),
    ]
    for args, message in cases:
        with pytest.raises(GraphcondError) as caught:
            CliRunner().invoke(
                app, ["bench", "scenes", "--out", str(tmp_path), *args], catch_exceptions=False
            )
        assert message in str(caught.value), args
    assert trainer.names == []
