"""Writes that happen whole or not at all; paths that stay in their folder."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event

import pytest
import torch
from safetensors.torch import save_file

from graphcond.errors import InputError, StorageError, did_you_mean
from graphcond.io import files
from graphcond.io.files import (
    atomic_file,
    atomic_folder,
    check_replaceable,
    check_writable,
    inside,
    read_json,
    read_text,
    write_json,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def fail_within(block: AbstractContextManager[Path], write: Callable[[Path], object]) -> None:
    """A kill in the middle of writing."""

    def killed() -> None:
        with block as temporary:
            write(temporary)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "a.txt"
    with atomic_file(file) as temporary:
        temporary.write_text("one")
        assert not file.exists()
    fail_within(atomic_file(file), lambda temporary: temporary.write_text("half"))
    assert (file.read_text(), names(file.parent)) == ("one", ["a.txt"])


def test_a_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    with atomic_folder(folder) as temporary:
        (temporary / "one").write_text("1")
    fail_within(atomic_folder(folder), lambda temporary: (temporary / "half").write_text("2"))
    assert (names(folder), names(tmp_path)) == (["one"], ["model"])
    with atomic_folder(folder) as temporary:
        (temporary / "two").write_text("2")
    assert (names(folder), names(tmp_path)) == (["two"], ["model"])


def test_json_round_trip_and_complaints(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"ü": [1, None]})
    assert read_json(tmp_path / "a.json") == {"ü": [1, None]}
    for content, message in ((b"{\n1", r"a\.json:2: the text is not JSON"), (b"\xff", "not UTF-8")):
        (tmp_path / "a.json").write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_json(tmp_path / "a.json")
    with pytest.raises(InputError, match="no such file"):
        read_json(tmp_path / "b.json")


@pytest.mark.parametrize("path", ["../secret", "a/../../secret", "/etc/passwd", "..\\secret"])
def test_paths_may_not_leave_their_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(InputError, match=r"line 3: .* leaves the folder"):
        inside(tmp_path, path, place="line 3")


def test_links_may_not_leave_it_either(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(InputError):
        inside(root, "link/secret")
    assert inside(root, "a/./b.png") == "a/b.png"


def test_names_that_are_no_paths(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for name in ("loop", "a\0b"):
        with pytest.raises(InputError, match=r"row 2: .* is not a path"):
            inside(tmp_path, name, place="row 2")


def test_errors_read_as_sentences() -> None:
    error = InputError("is broken", place="file:3", remedy="mend it")
    assert str(error) == "file:3: is broken. Mend it"
    assert did_you_mean("pprr", ["ppr", "khop"]) == "did you mean 'ppr'?"
    assert did_you_mean("zzz", ["ppr", "khop"]) == "choose one of: khop, ppr"


def test_what_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=r"file/a: cannot be written \(.*\)\. Choose another place"):
        write_json(tmp_path / "file" / "a", 1)
    with pytest.raises(StorageError, match="folder: cannot be written"):
        write_json(tmp_path / "folder", 1)
    with (
        pytest.raises(StorageError, match="file/a: cannot be written"),
        atomic_folder(tmp_path / "file" / "a"),
    ):
        pass
    assert names(tmp_path) == ["file", "folder"]


def test_a_full_disk_names_what_was_to_be_written(tmp_path: Path) -> None:
    with (
        pytest.raises(StorageError, match=r"model: cannot be written \(No space left on device\)"),
        atomic_folder(tmp_path / "model") as new,
        atomic_file(new / "weights"),
    ):
        raise OSError(28, "No space left on device")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "save",
    [lambda file: save_file({"a": torch.ones(9999)}, file), lambda file: torch.save(torch.ones(9999), file)],
)
def test_a_full_disk_as_the_libraries_tell_it(tmp_path: Path, save: Callable[[Path], None]) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with (
            pytest.raises(StorageError, match=r"model: cannot be written .* make room on its disk"),
            atomic_file(tmp_path / "model") as new,
        ):
            save(new)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert names(tmp_path) == []


@pytest.mark.parametrize("path", ["folder", "file/a", "file/a/b"])
def test_a_place_can_be_tried_before(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StorageError, match=f"{path}: cannot be written"):
        check_writable(tmp_path / path)
    check_writable(tmp_path / "new" / "deep" / "a")
    assert names(tmp_path) == ["file", "folder"]


def test_a_place_that_refuses_is_found_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write everywhere
    with pytest.raises(StorageError, match="Permission denied"):
        check_writable(tmp_path / "a")


def test_text_says_why_it_cannot_be_read(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(b"\xef\xbb\xbfone")
    assert read_text(file, encoding="utf-8-sig", most=6) == "one"
    assert read_text(file) == "\ufeffone"
    with pytest.raises(InputError, match=r"a\.txt: the file is larger than 0 MB. Split it"):
        read_text(file, most=5)
    with pytest.raises(InputError, match="expected a file, got a folder"):
        read_text(tmp_path)


def test_only_what_is_known_is_replaced(tmp_path: Path) -> None:
    check_replaceable(tmp_path / "new", "known")
    folder = tmp_path / "folder"
    folder.mkdir()
    check_replaceable(folder, "known")
    (folder / "thesis.txt").touch()
    with pytest.raises(InputError, match="the folder holds something else, which would be lost"):
        check_replaceable(folder, "known")
    with pytest.raises(InputError, match="there is a file, which would be lost"):
        check_replaceable(folder / "thesis.txt", "known")
    (folder / "known").touch()
    check_replaceable(folder, "known")


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_is_written_where_a_link_leads(tmp_path: Path, there: bool) -> None:
    (tmp_path / "disk").mkdir()
    if there:
        (tmp_path / "disk" / "model").mkdir()
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "disk" / "model")
    with atomic_folder(link) as new:
        (new / "file").write_text("text")
    assert link.is_symlink()
    assert (tmp_path / "disk" / "model" / "file").read_text() == "text"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk", "link"]
    assert [path.name for path in (tmp_path / "disk").iterdir()] == ["model"]


@pytest.mark.parametrize("at_once", [True, False])
def test_writers_of_one_folder_do_not_disturb_each_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_once: bool
) -> None:
    if not at_once:
        monkeypatch.setattr(files, "exchange", lambda one, other: False)
    folder, ended = tmp_path / "folder", Event()

    def write(writer: int) -> None:
        for _ in range(40):
            with atomic_folder(folder) as new:
                (new / "writer").write_text(str(writer))

    def read() -> int:
        missing = 0
        while not ended.is_set():
            missing += not folder.exists()
        return missing

    with atomic_folder(folder):
        pass
    with ThreadPoolExecutor(4) as pool:
        reader, writers = pool.submit(read), [pool.submit(write, number) for number in range(3)]
        for writer in writers:
            writer.result()
        ended.set()
        missing = reader.result()
    assert missing == 0 or not at_once
    assert names(tmp_path) == ["folder"]
    assert (folder / "writer").is_file()


@pytest.mark.parametrize(
    ("umask", "file_mode", "folder_mode"), [(0o022, 0o644, 0o755), (0o077, 0o600, 0o700)]
)
def test_what_is_written_has_the_rights_that_the_umask_leaves(
    tmp_path: Path, umask: int, file_mode: int, folder_mode: int
) -> None:
    before = os.umask(umask)
    try:
        write_json(tmp_path / "a.json", {})
        with atomic_folder(tmp_path / "model") as folder:
            (folder / "parts").mkdir()
            (folder / "parts" / "weights").touch(0o600)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    files, folders = ("a.json", "weights"), ("model", "parts")
    assert modes == dict.fromkeys(files, file_mode) | dict.fromkeys(folders, folder_mode)


def test_a_name_that_the_locale_cannot_write(tmp_path: Path) -> None:
    code = "from graphcond.io.files import inside, Path; inside(Path('.'), 'na\\u00efve.png')"
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert "cannot be written in this locale's ascii. Set LC_ALL=C.UTF-8" in done.stderr
