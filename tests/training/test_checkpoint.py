"""What a kill leaves of a checkpoint."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.io.files import write_json
from graphcond.training.checkpoint import Standing, read_standing, remove_unfinished


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    for name in ("step-00000001", ".step-00000002.a1b2", "..step-00000002.a1b2.c3d4"):
        (tmp_path / name).mkdir()
    remove_unfinished(tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000001"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ('{"step": "x", "effective_batch": 2, "data": "d"}', "step: expected a valid integer"),
        ('{"step": -1, "effective_batch": 2, "data": "d"}', "step: expected greater than or equal to 0"),
        ('{"step": 1, "effective_batch": [], "data": "d"}', "effective_batch: expected a valid integer"),
        ('{"step": 1, "effective_batch": 2, "data": "d", "scaler": {"scale": "x"}}', "scaler"),
        ('{"step": 1, "step": 2, "effective_batch": 2, "data": "d"}', "the key 'step' occurs twice"),
        ('{"step": 1}', "effective_batch: is missing"),
        ("[" * 10_000, "nested too deeply"),
        ("[1]", "expected an object"),
        ("{", "not JSON"),
    ],
)
def test_a_state_that_is_not_one(tmp_path: Path, content: str, problem: str) -> None:
    (tmp_path / "training_state.json").write_text(content)
    with pytest.raises(InputError, match=rf"training_state\.json.*{problem}.*checkpoint to continue"):
        read_standing(tmp_path)


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    standing = Standing(step=3, effective_batch=4, data="d", scaler={"scale": 0.5, "growth_interval": 2000})
    write_json(tmp_path / "training_state.json", standing.model_dump())
    again = read_standing(tmp_path)
    assert again == standing
    assert isinstance(again.scaler["growth_interval"], int)
