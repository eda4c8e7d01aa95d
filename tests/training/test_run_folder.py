from __future__ import annotations

import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from graphcond.errors import InputError, StorageError
from graphcond.io.files import temporary_prefix
from graphcond.recipe import Recipe
from graphcond.training.run_folder import check_same_recipe, new_run, place_of_run, resumed_run
from tests.training.toys import Toy, toy_condition

PID = os.getpid()


@pytest.fixture
def recipe(toy: Toy) -> Recipe:
    return toy()


def test_a_run_is_called_after_its_recipe_and_the_time(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(r"outputs/toy-\d{8}-\d{6}", place_of_run(recipe, None).as_posix())
    assert place_of_run(recipe, tmp_path / "new") == tmp_path / "new"


def enter(recipe: Recipe, folder: Path) -> None:
    with new_run(recipe, folder):
        pass


def test_a_run_that_cannot_be_written_is_refused_at_once(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="exists already"):
        enter(recipe, tmp_path / "file")
    with pytest.raises(StorageError, match="cannot be written"):
        enter(recipe, tmp_path / "file" / "run")


def test_a_run_keeps_others_out_while_it_lives(recipe: Recipe, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with (
        new_run(recipe, run),
        pytest.raises(InputError, match=rf"run: the run folder is in use: process {PID}"),
    ):
        enter(recipe, run)
    assert [file.name for file in run.iterdir()] == ["recipe.yaml"]
    with pytest.raises(InputError, match="exists already"):
        enter(recipe, run)
    with (
        resumed_run(recipe, run) as (_, checkpoint),
        pytest.raises(InputError, match="is in use"),
        resumed_run(recipe, run),
    ):
        pass
    assert checkpoint is None


def test_of_many_runs_in_one_folder_one_begins(recipe: Recipe, tmp_path: Path) -> None:
    ready, done = Barrier(8), Barrier(8)

    def begin(number: int) -> str:
        ready.wait()
        try:
            with new_run(recipe.model_copy(update={"name": f"run-{number}"}), tmp_path / "run"):
                done.wait()
                return "began"
        except InputError as error:
            done.wait()
            return error.problem

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(begin, range(8)))
    assert found.count("began") == 1
    assert all(one == "began" or "in use" in one or one == "exists already" for one in found)
    assert f"name: run-{found.index('began')}\n" in (tmp_path / "run" / "recipe.yaml").read_text()


@pytest.mark.parametrize("there", [True, False])
def test_a_run_that_fails_before_it_begins_leaves_its_folder_as_it_was(
    recipe: Recipe, tmp_path: Path, there: bool
) -> None:
    if there:
        (tmp_path / "run").mkdir()
    with pytest.raises(InputError), new_run(recipe, tmp_path / "run"):
        raise InputError("no such graph")
    assert (tmp_path / "run").exists() == there
    enter(recipe, tmp_path / "run")


def test_a_run_that_was_killed_as_it_began_is_begun_again(recipe: Recipe, tmp_path: Path) -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    left = temporary_prefix(tmp_path / "recipe.yaml").replace(f"-{PID}.", f"-{child.pid}.")
    (tmp_path / f"{left}abcdefgh").touch()
    (tmp_path / ".lock").touch()
    enter(recipe, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["recipe.yaml"]


def test_a_stopped_run_can_be_resumed_wherever_it_was_stopped(recipe: Recipe, tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), new_run(recipe, tmp_path / "run"):
        raise KeyboardInterrupt
    with resumed_run(recipe, tmp_path / "run") as (_, checkpoint):
        assert checkpoint is None


def test_data_may_move(recipe: Recipe, toy: Toy) -> None:
    here, there = (
        toy(data={"kind": "mmag", "path": path, "resolution": 64}) for path in ("graph", "elsewhere/graph")
    )
    check_same_recipe(here, there, place=Path())


@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 9},
        {"preview_every": 7},
        {"keep_checkpoints": 5},
        {"validation_samples": 2},
        {"log_every": 3},
    ],
)
def test_harmless_changes(changes: Any, recipe: Recipe, toy: Toy) -> None:
    check_same_recipe(recipe, toy(**changes), place=Path())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"seed": 4}, "training.seed was 0 and is 4"),
        ({"drop": {"text": 0.2}}, "training.drop.text was 0.05 and is 0.2"),
        (
            {"conditions": [toy_condition(without_graph="zeros")]},
            "conditions.0.without_graph was 'absent' and is 'zeros'",
        ),
        ({"lora": {"rank": 2}}, "lora"),
    ],
)
def test_other_changes_are_named(changes: Any, named: str, recipe: Recipe, toy: Toy) -> None:
    with pytest.raises(InputError) as error:
        check_same_recipe(recipe, toy(**changes), place=Path("recipe.yaml"))
    assert named in str(error.value)
