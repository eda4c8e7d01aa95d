"""What killed processes were writing goes; what others are writing stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphcond.io.files import atomic_file, atomic_folder, sweep, temporary_prefix

KILLED = """
import os, signal, sys, pathlib
from graphcond.io import files
def killed(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
if {step!r} == "write":
    with files.{block}(pathlib.Path({path!r})) as new: killed()
setattr(files.shutil, {step!r}, killed)
if not {at_once!r}: files.exchange = lambda one, other: False
with files.{block}(pathlib.Path({path!r})) as new: (new / "part").write_text("new")
"""


def kill(block: str, path: Path, step: str = "write", *, at_once: bool = True) -> None:
    script = KILLED.format(block=block, path=str(path), step=step, at_once=at_once)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9


def hidden(folder: Path) -> list[str]:
    return [file.name for file in folder.glob(".*")]


@pytest.mark.parametrize("block", ["atomic_file", "atomic_folder"])
def test_what_a_killed_process_was_writing(tmp_path: Path, block: str) -> None:
    kill(block, tmp_path / "one")
    assert len(hidden(tmp_path)) == 1
    with atomic_file(tmp_path / "other") as new:
        assert hidden(tmp_path) == [new.name]
        new.write_text("whole")
    assert not hidden(tmp_path)


def test_what_a_process_that_was_killed_as_it_replaced_left(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "graphs" / "one") as new:
        (new / "part").write_text("old")
    kill("atomic_folder", tmp_path / "graphs" / "one", "rmtree", at_once=False)
    (left,) = (tmp_path / "graphs").glob(".*")
    assert (left / "was" / "part").read_text() == "old"
    with atomic_folder(tmp_path / "graphs" / "one"):
        assert left.exists()  # until there is something better
    assert not hidden(tmp_path / "graphs")


def test_what_a_process_that_was_killed_after_folders_changed_places_left(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "one") as new:
        (new / "part").write_text("old")
    kill("atomic_folder", tmp_path / "one", "rmtree")
    (left,) = tmp_path.glob(".*")
    assert ((tmp_path / "one" / "part").read_text(), (left / "part").read_text()) == ("new", "old")
    sweep.cache_clear()  # as in another process
    with atomic_folder(tmp_path / "other"):
        assert not left.exists()  # nobody needs it


def test_what_stays(tmp_path: Path) -> None:
    (tmp_path / ".one.new.12345678-99999999.abcdefgh").mkdir()  # another machine's
    (tmp_path / ".one.abcdefgh").touch()
    (tmp_path / f"{temporary_prefix(tmp_path / 'one')}abcdefgh").mkdir()  # of a process that runs
    before = hidden(tmp_path)
    with atomic_folder(tmp_path / "one"):
        pass
    assert sorted(hidden(tmp_path)) == sorted(before)


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    kill("atomic_folder", tmp_path / "one")
    (left,) = tmp_path.glob(".*")
    left.rmdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").touch()
    left.symlink_to(tmp_path / "data")
    with atomic_folder(tmp_path / "one"):
        pass
    assert not hidden(tmp_path)
    assert (tmp_path / "data" / "precious").exists()
