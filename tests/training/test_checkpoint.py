"""What a kill leaves of a checkpoint."""

from __future__ import annotations

from pathlib import Path

from graphcond.training.checkpoint import remove_unfinished


def test_what_a_kill_left_is_removed(tmp_path: Path) -> None:
    for name in ("step-00000001", ".step-00000002.a1b2", "..step-00000002.a1b2.c3d4"):
        (tmp_path / name).mkdir()
    remove_unfinished(tmp_path)
    assert [folder.name for folder in tmp_path.iterdir()] == ["step-00000001"]
