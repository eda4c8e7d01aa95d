"""One process at a time, and what becomes of the lock of a process that ended."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from graphcond.errors import InputError, Notice
from graphcond.io.locks import claimed, divided, in_turn, locked

HOLDER = """
import sys, time, pathlib
from graphcond.io.locks import locked
with locked(pathlib.Path(sys.argv[1]), "a run"):
    print("held", flush=True)
    time.sleep(60)
"""


def holder_of(lock: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(lock)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_holder_is_named_and_its_lock_ends_with_it(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    process = holder_of(lock)
    with (
        pytest.raises(InputError, match=rf"a run is in use: process {process.pid} on .* since 20\d\d-"),
        locked(lock, "a run"),
    ):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert lock.exists()
    with locked(lock, "a run"):
        assert f'"pid": {os.getpid()},' in lock.read_text()
    assert not lock.exists()


def test_a_lock_that_was_deleted_is_no_lock(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    with locked(lock, "a run"):
        lock.unlink()
        with locked(lock, "a run"):  # as after somebody cleaned up by hand
            assert lock.exists()


@pytest.mark.parametrize("content", ["", '{"pid": 1', "[1]", "{}", "[" * 100_000])
def test_a_holder_that_has_not_written_its_name(tmp_path: Path, content: str) -> None:
    with locked(tmp_path / ".lock", "a run"):
        (tmp_path / ".lock").write_text(content)
        with (
            pytest.raises(InputError, match="another process works on it"),
            locked(tmp_path / ".lock", "a run"),
        ):
            pass


def test_a_file_system_without_locks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object, operation: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with pytest.warns(Notice, match="this file system has no locks"), locked(tmp_path / ".lock", "a run"):
        pass


def test_the_block_is_run_by_one_after_the_other(tmp_path: Path) -> None:
    first, done = Event(), list[str]()

    def other() -> None:
        first.wait(30)
        with in_turn(tmp_path / "turns"):
            done.append("second")

    thread = Thread(target=other)
    thread.start()
    with in_turn(tmp_path / "turns"):
        first.set()
        thread.join(0.2)
        done.append("first")
    thread.join(30)
    assert done == ["first", "second"]


def test_an_error_in_the_block_is_its_own_and_frees_the_lock(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), in_turn(tmp_path / "turns"):
        (tmp_path / "gone").read_text()
    with in_turn(tmp_path / "turns"), in_turn(None):
        pass


def test_work_is_done_once_and_that_of_a_dead_process_by_another(tmp_path: Path) -> None:
    did: list[str] = []
    process = holder_of(tmp_path / "b.lock")

    def do(part: str) -> None:
        did.append(part)
        if part == "c":  # so the others are done before what somebody works on is waited for
            process.kill()
            process.wait()

    divided(tmp_path, ["a", "b", "c"], lambda part: part in did, do)
    assert did == ["a", "c", "b"]


def test_a_folder_of_locks_that_another_process_deletes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, real = tmp_path / "work", Path.open

    def after_deletion(path: Path, *args: Any) -> Any:
        monkeypatch.undo()
        folder.rmdir()
        return real(path, *args)

    monkeypatch.setattr(Path, "open", after_deletion)
    with claimed(folder / "part.lock") as mine:
        assert mine
    assert [path.name for path in folder.iterdir()] == ["part.lock"]
