from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from graphcond.attributed_graph import AttributedGraph
from graphcond.cli import app
from graphcond.errors import InputError
from graphcond.graphs import save_graph
from tests.training.scenes import scene_recipe
from tests.training.toys import toy_recipe, write_graph


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)])


def error_of(*arguments: object) -> str:
    result = train(*arguments)
    assert isinstance(result.exception, InputError), result.output
    return str(result.exception)


@pytest.fixture
def graph(tmp_path: Path) -> AttributedGraph:
    graph = write_graph(tmp_path / "pictures")
    save_graph(graph, tmp_path / "graph")
    return graph


@pytest.fixture
def recipe(sd_folder: Path, clip_folder: Path, tmp_path: Path, graph: AttributedGraph) -> Path:
    values = yaml.safe_load(toy_recipe(sd_folder, clip_folder, steps=1).to_yaml())
    values["data"]["path"] = str(tmp_path / "graph")
    file = tmp_path / "toy.yaml"
    file.write_text(yaml.safe_dump(values))
    return file


def test_trains_and_says_what_to_try(recipe: Path, tmp_path: Path, graph: AttributedGraph) -> None:
    run = tmp_path / "run"
    done = train(recipe, "--out", run, "--set", "training.validate_every=1", "--device", "cpu")
    assert done.exit_code == 0, done.output
    lines = done.stdout.strip().splitlines()
    assert lines[-3].startswith("graph gap: ")
    assert lines[-2] == f"model: {run / 'final'}"
    command = shlex.split(lines[-1].removeprefix("try: "))
    assert command[:3] == ["graphcond", "generate", str(run / "final")]
    assert command[-1] in graph.nodes.ids
    drawn = CliRunner().invoke(
        app, [*command[1:], "--steps", "1", "--size", "64", "--out", str(tmp_path / "p.png")]
    )
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "p.png").is_file()


def test_resumes_with_the_runs_own_recipe(recipe: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(recipe, "--out", run, "--device", "cpu").exit_code == 0
    resumed = train("--resume", run, "--set", "training.steps=2", "--device", "cpu")
    assert resumed.exit_code == 0, resumed.output
    assert (run / "checkpoints" / "step-00000002").is_dir()
    assert "training.seed was 0 and is 3" in error_of("--resume", run, "--set", "training.seed=3")


def test_a_run_goes_on_from_anywhere_and_with_data_that_moved(
    recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    assert train(recipe, "--set", "data.path=graph", "--out", "run", "--device", "cpu").exit_code == 0
    monkeypatch.chdir(tmp_path / "elsewhere")
    again = ["--resume", "../run", "--device", "cpu"]
    assert train(*again).exit_code == 0
    for folder in ("graph", "pictures"):
        (tmp_path / folder).rename(tmp_path / "elsewhere" / folder)
    assert f"{tmp_path / 'graph'}: " in error_of(*again)
    moved = train(*again, "--set", "data.path=graph", "--set", "training.steps=2")
    assert moved.exit_code == 0, moved.output
    assert train(*again).exit_code == 0  # the run remembers the new place
    kept = tmp_path / "run" / "recipe.yaml"
    own = kept.read_text()
    kept.write_text(own.replace("kind: adamw", "kind: muon"))
    assert "it was written with adamw, and the recipe has muon" in error_of(*again)
    kept.write_text(own)

    save_graph(write_graph(tmp_path / "other", splits=False), tmp_path / "other-graph")
    message = error_of(*again, "--set", f"data.path={tmp_path / 'other-graph'}")
    assert "the training data is not what the run was started with" in message


def test_bad_input(recipe: Path, tmp_path: Path) -> None:
    assert "RECIPE: the recipe is missing" in error_of()
    assert "no such recipe" in error_of("instructg2")
    assert "did you mean 'steps'" in error_of(recipe, "--set", "training.step=3").lower()
    assert "is not a run folder" in error_of("--resume", tmp_path)
    assert "a resumed run stays where it is" in error_of("--resume", tmp_path, "--out", tmp_path / "x")
    assert "a resumed run keeps its base" in error_of("--resume", tmp_path, "--base", "tiny")
    assert "there is no base 'tini'" in error_of(recipe, "--base", "tini")
    assert "there is no device 'cdua'" in error_of(recipe, "--device", "cdua")
    assert not (tmp_path / "x").exists()


def test_help_shows_an_example() -> None:
    shown = train("--help")
    assert shown.exit_code == 0
    assert "graphcond train instructg2i --base tiny" in shown.stdout


def test_scenes_are_trained_on_and_drawn(sd_folder: Path, clip_folder: Path, tmp_path: Path) -> None:
    world = {"kind": "world", "world": "scenes", "scenes": 12}
    file, run = tmp_path / "scenes.yaml", tmp_path / "run"
    file.write_text(scene_recipe(sd_folder, clip_folder, data=world, steps=1).to_yaml())
    done = train(file, "--out", run, "--device", "cpu")
    assert done.exit_code == 0, done.output
    command = shlex.split(done.stdout.strip().splitlines()[-1].removeprefix("try: "))
    assert command[3] == "--scene"
    drawn = CliRunner().invoke(
        app, [*command[1:], "--steps", "1", "--size", "64", "--out", str(tmp_path / "p.png")]
    )
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "p.png").is_file()
