from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from graphcond.errors import InputError, StorageError
from graphcond.recipe import Recipe
from graphcond.training.run_folder import check_same_recipe, new_run
from tests.training.toys import toy_condition, toy_recipe


@pytest.fixture
def recipe(sd_folder: Path, clip_folder: Path) -> Recipe:
    return toy_recipe(sd_folder, clip_folder)


def test_a_run_is_called_after_its_recipe_and_the_time(
    recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert re.fullmatch(r"outputs/toy-\d{8}-\d{6}", new_run(recipe, None).root.as_posix())
    assert new_run(recipe, tmp_path / "new").root == tmp_path / "new"


def test_a_run_that_cannot_be_written_is_refused_at_once(recipe: Recipe, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="exists already"):
        new_run(recipe, tmp_path / "file")
    with pytest.raises(StorageError, match="cannot be written"):
        new_run(recipe, tmp_path / "file" / "run")


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
def test_harmless_changes(changes: Any, recipe: Recipe, sd_folder: Path, clip_folder: Path) -> None:
    check_same_recipe(recipe, toy_recipe(sd_folder, clip_folder, **changes), place=Path())


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
def test_other_changes_are_named(
    changes: Any, named: str, recipe: Recipe, sd_folder: Path, clip_folder: Path
) -> None:
    with pytest.raises(InputError) as error:
        check_same_recipe(recipe, toy_recipe(sd_folder, clip_folder, **changes), place=Path("recipe.yaml"))
    assert named in str(error.value)
