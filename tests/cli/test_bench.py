"""graphcond bench: the shipped sweeps with fewer steps and pictures, and a detector of our own."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.cli import bench as module
from graphcond.cli import rivals as rivals_module
from graphcond.data.open import open_data
from graphcond.errors import GraphcondError, InputError
from graphcond.model import GraphModel
from graphcond.recipe import load_recipe
from graphcond.samplers import SAMPLERS
from graphcond.scene_graph import SceneGraph
from graphcond.sweep import engine
from graphcond.sweep.exam import Shared
from graphcond.sweep.rows import RowPlan
from graphcond.training.metrics import append_record
from graphcond.training.paths import RunFolder
from graphcond.training.trainer import Trainer


class Bright:
    """Sees the graph that was asked for in pictures whose corner is bright, and nothing in others."""

    identity = "bright"

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        return [
            graph if picture.getpixel((0, 0))[0] > 127 else SceneGraph(())  # type: ignore[index]
            for picture, graph in zip(pictures, asked, strict=True)
        ]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs a bench whose sweep is as small as it gets."""
    shipped = module._shipped

    def shrunk(name: str, base: str, seed: int) -> dict[str, Any]:
        values = shipped(name, base, seed)
        values["set"] = {
            **values.get("set", {}),
            "training.steps": 1,
            "training.batch_size": 2,
            "training.validate_every": None,
            "training.preview_every": None,
        }
        if name == "scenes":
            values["set"]["data.scenes"] = 40
            values["scores"][0] |= {"steps": 1, "redrawn": 2}
            values["scores"][1]["steps"] = 1
        elif name == "injectors":
            values["set"]["data.paintings_per_artist"] = 20
            values["scores"][0]["steps"] = 1
        elif name == "guidance":
            values["set"]["data.paintings_per_artist"] = 20
            values["scores"][0]["steps"] = 1
            values["scores"][1] |= {"pictures": 2, "repeats": 2, "steps": 2}
        else:
            values["grid"] = {"data.noise": {"hard": 0.6}}
            values["set"]["data.paintings_per_artist"] = 20
            values["scores"][1]["steps"] = 1
        return values

    monkeypatch.setattr(module, "_shipped", shrunk)
    monkeypatch.setattr(engine, "Shared", lambda device: Shared(torch.device("cpu"), detector=Bright()))

    def bench(*args: object) -> Any:
        result = CliRunner().invoke(app, ["bench", *map(str, args)], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result

    return bench


@pytest.fixture(scope="module")
def art_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the art world with random weights, so that neighbors change its pictures."""
    folder = tmp_path_factory.mktemp("model") / "model"
    model = GraphModel.build(load_recipe("instructg2i", base="tiny"), feature_width=64)
    noise = torch.Generator().manual_seed(0)
    for group in model.trainable_parameters().values():
        for parameter in group.values():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=noise)
    model.save_pretrained(folder)
    return folder


class SavesUntrained:
    """Stands in for training."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, plan: RowPlan, shared: Shared) -> None:
        run, recipe = RunFolder(plan.folder), plan.row.recipe
        self.names.append(plan.row.name)
        model = GraphModel.build(recipe, feature_width=64)
        model.save_pretrained(run.final)
        recipe.save(run.recipe)
        counts = {
            name: sum(parameter.numel() for parameter in group.values())
            for name, group in model.trainable_parameters().items()
        }
        append_record(run.metrics, {"step": 0, "kind": "start", "parameters": counts})


def figures(row: dict[str, Any]) -> dict[tuple[str, str], dict[str, float]]:
    return {(one["metric"], one["arm"]): one["over_targets"] for one in row["figures"]}


def test_one_model_draws_with_all_options_of_guidance(
    small: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = SavesUntrained()
    monkeypatch.setattr(engine, "train_row", trainer)
    small("guidance", "--out", tmp_path, "--limit", 20, "--only", "full,s_G = s_T,reuse 2,no guidance")
    assert trainer.names == ["model"]
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    made = {row["name"]: figures(row)["predictions", ""]["mean"] for row in rows}
    assert made == {"full": 6, "s_G = s_T": 4, "no guidance": 2, "reuse 2": 4}
    assert all(("style_accuracy", "graph") in figures(row) for row in rows)


def test_scenes_are_trained_scored_and_written_once(
    small: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = SavesUntrained()
    monkeypatch.setattr(engine, "train_row", trainer)
    args = ("scenes", "--out", tmp_path, "--limit", 4, "--pairs", 2, "--seed", 5)
    small(*args, "--only", "sgcond-vi, sgcond-i")
    read = json.loads((tmp_path / "table.json").read_text())
    text_only, graph = read["rows"]
    assert [row["name"] for row in read["rows"]] == ["sgcond-i", "sgcond-vi"]
    assert (text_only["parts"]["encoder"], text_only["parameters"]) == ("sentence", 0)
    assert graph["parts"]["injector"] == "gated_self_attention"
    assert graph["parameters"] > 0
    for row in read["rows"]:
        found = figures(row)
        assert {arm for _, arm in found} == {"no_graph", "graph", "shuffled_graph"}
        assert found["relation_accuracy", "graph"]["n"] == 4
        assert found["diversity", "graph"]["n"] == 2
        assert found["swap_both", "graph"]["n"] == 2
    assert read["sweep"]["seed"] == 5
    text = (tmp_path / "table.md").read_text()
    assert "best graph recipe by relation_accuracy: sgcond-vi" in text
    assert "relation_accuracy" in text
    assert "by bright" in text
    assert "- boxes were hidden, and no encoder predicts any (sgcond-i)" in text
    assert "- boxes were hidden, and predicted (sgcond-vi)" in text
    assert Image.open(tmp_path / "pictures.png").width > 600
    monkeypatch.setattr(engine, "score_row", None)  # a second call may not score again
    again = small(*args, "--only", "sgcond-i,sgcond-vi", "--json")
    assert json.loads(again.stdout) == read
    assert trainer.names == ["sgcond-i", "sgcond-vi"]


def test_settings_and_seeds_of_every_row(
    small: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(module, "do_sweep", lambda config, *_, **__: seen.append(config))
    small(
        "scenes", "--out", tmp_path, "--seeds", "0, 2", "--set", "data.scenes=60", "--set", "training.steps=2"
    )
    small("scenes", "--out", tmp_path, "--exam", "data.difficulty=hard", "--exam", "data.scenes=80")
    config, exam = seen
    assert exam.exam == {"data.difficulty": "hard", "data.scenes": 80}
    assert [score.kind for score in exam.scores] == ["evaluation"]
    assert config.seeds == (0, 2)
    assert (config.set["data.scenes"], config.set["training.steps"]) == (60, 2)
    assert config.set["training.batch_size"] == 2, "what the sweep itself sets stays"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "0,x"], "--seeds: expected numbers with commas between, got 'x'"),
        (["--seeds", ""], "--seeds: expected numbers"),
        (["--set", "data"], "--set: 'data' is not an assignment"),
        (["--exam", "data"], "--exam: 'data' is not an assignment"),
        (["--exam", "data.difficulty=easy"], "exam: data.difficulty: expected 'plain' or 'hard'"),
        (["--exam", "training.steps=4"], "exam.training.steps: nothing is trained for it"),
    ],
)
def test_nonsense_as_seeds_or_settings(options: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, ["bench", "scenes", "--out", str(tmp_path), *options], catch_exceptions=False)
    assert message in str(caught.value)


def test_samplers_draw_with_one_model(small: Callable[..., Any], tmp_path: Path, art_model: Path) -> None:
    small("samplers", "--model", art_model, "--out", tmp_path, "--limit", 20)
    table = json.loads((tmp_path / "table.json").read_text())
    rows = {row["labels"]["row"]: figures(row) for row in table["rows"]}
    names = [row["name"] for row in table["sweep"]["rows"]]
    assert list(rows) == names
    assert len(names) == 7
    for row in rows.values():
        assert {metric for metric, _ in row} == {
            "same_artist",
            "chance_artist",
            "neighbors",
            "style_accuracy",
            "oracle_distance",
        }
    key = ("same_artist", "")
    assert rows["random"][key]["mean"] < rows["ppr"][key]["mean"]
    # The means of two steps are averages of other pictures than the neighbors of any other sampler.
    distances = {name: row["oracle_distance", "graph"]["mean"] for name, row in rows.items()}
    assert distances["hop_mean"] not in [one for name, one in distances.items() if name != "hop_mean"]
    assert (tmp_path / "table.md").read_text().count("\n| hard, ") > 7
    assert (tmp_path / "pictures.png").is_file()
    assert any(finding.startswith("hard: best is ") for finding in table["findings"])


def test_an_injector_is_trained_for_the_steps_asked_and_goes_on_after_a_stop(
    small: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step, taken, stop_after = Trainer._after_step, 0, 1

    def counted(self: Trainer, *given: Any) -> None:
        nonlocal taken
        taken += 1
        step(self, *given)
        if taken == stop_after:  # after the checkpoint of the first step
            raise KeyboardInterrupt

    monkeypatch.setattr(Trainer, "_after_step", counted)
    args = ("injectors", "--only", "prompt_tokens + lokr", "--steps", 2, "--limit", 20, "--out")
    with pytest.raises(AssertionError, match="the same call goes on"):
        small(*args, tmp_path / "stopped")
    assert not (tmp_path / "stopped" / "table.md").exists()
    shown = small(*args, tmp_path / "stopped").stdout
    assert taken == 2, "the second call trains what the first one left"
    small(*args, tmp_path / "whole")
    (stopped,), (whole,) = (
        json.loads((tmp_path / name / "table.json").read_text())["rows"] for name in ("stopped", "whole")
    )
    assert stopped["figures"] == whole["figures"]
    assert {arm for _, arm in figures(whole)} == {"graph", "no_graph", "shuffled_graph", "no_update"}
    assert figures(whole)["style_accuracy", "graph"]["n"] == 20
    assert whole["parameters"] > 100_032, "the update is trained beside the tokens"
    assert "| prompt_tokens + lokr | 109,216 |" in shown
    assert "| peak memory (MB) |" in shown


def test_a_graph_of_ones_own(
    small: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a model nothing is trained and nothing drawn."""
    monkeypatch.setattr(engine, "train_row", None)
    recipe = load_recipe("instructg2i", base="tiny", overrides=["data.paintings_per_artist=20"])
    folder = open_data(recipe.data).root
    result = small("samplers", "--graph", folder, "--label", "movement", "--out", tmp_path, "--limit", 20)
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert {"random", "ppr"} <= {row["name"] for row in rows}
    for row in rows:
        found = figures(row)
        assert 0 < found["chance_movement", ""]["mean"] < 1
        assert found["same_movement", ""]["n"] == 20
    assert "same_movement ↑ (n = 20)" in result.stdout


def test_a_model_draws_on_a_graph_of_ones_own(
    small: Callable[..., Any], tmp_path: Path, art_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its accuracy is that of the classes of the label, in the feature space of its recipe."""
    recipe = load_recipe("instructg2i", base="tiny", overrides=["data.paintings_per_artist=20"])
    data = open_data(recipe.data)
    two = {name: SAMPLERS[name].model_validate({"kind": name}) for name in ("random", "ppr")}
    monkeypatch.setattr(rivals_module, "rivals", lambda graph, columns: two)
    small("samplers", "--graph", data.root, "--label", "artist", "--model", art_model, "--out", tmp_path)
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["random", "ppr"]
    for row in rows:
        found = figures(row)
        assert 0 <= found["same_class", "graph"]["mean"] <= 1
        assert found["same_artist", ""]["n"] == found["same_class", "graph"]["n"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["scenes", "--only", "sgcond-x"], "there is no experiment 'sgcond-x'. Did you mean 'sgcond-"),
        (["scenes", "--only", " , "], "no experiment is named"),
        (["injectors", "--only", "lokra"], "there is no experiment 'lokra'"),
        (["guidance", "--world", "artt"], "there is no comparison on a world 'artt'. Did you mean 'art'"),
        (["references", "--seeds", "0,x"], "expected numbers with commas between, got 'x'"),
        (["references", "--only", "lora"], "there is no experiment 'lora'"),
        (["scenes", "--base", "huge"], "there is no base 'huge'"),
        (["scenes", "--jobs", "0"], "expected at least 1, got 0"),
        (["scenes", "--out", "{file}"], "cannot be written"),
        (["samplers", "--graph", "somewhere"], "expected a graph and a column of labels"),
        (["samplers", "--label", "artist"], "expected a graph and a column of labels"),
        (["samplers", "--graph", "{file}", "--label", "artist"], "file"),
        (["samplers", "--model", "{file}"], "file"),
    ],
)
def test_bad_input_is_said_before_anything_is_trained(
    args: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(engine, "train_row", None)
    with pytest.raises(GraphcondError) as caught:
        CliRunner().invoke(
            app, ["bench", *(arg.replace("{file}", str(file)) for arg in args)], catch_exceptions=False
        )
    assert message in str(caught.value)
    assert not (tmp_path / "outputs").exists()
