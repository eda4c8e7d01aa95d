"""Files and folders that appear whole or not at all, and paths that may not leave their folder."""

from __future__ import annotations

import ctypes
import errno
import json
import math
import os
import platform
import re
import shutil
import stat
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import Any, Literal

from graphcond.errors import InputError, StorageError
from graphcond.io.readable import check_readable, unreadable
from graphcond.io.strict_json import parse_json

Role = Literal["new", "old"]
"""A temporary name holds a new version that is being written, or an old one that it replaces."""


def temporary_prefix(path: Path, role: Role = "new") -> str:
    """The beginning of a temporary name beside ``path``; eight random characters follow."""
    return f".{path.name}.{role}.{_machine()}-{os.getpid()}."


@cache
def sweep(folder: Path) -> None:
    """Delete partial files of killed processes of this machine in ``folder``, once in this process."""
    delete_leftovers(folder, ".+", "new")


def delete_leftovers(folder: Path, names: str, role: Role) -> None:
    """Delete temporary files and folders of killed processes of this machine, as far as they can be deleted.

    Those of running processes stay, and those of other machines, whose processes cannot be seen from here:
    a folder may be shared.

    Args:
        folder: the folder that they wrote in.
        names: a regular expression of the names that they wrote.
        role: the role of the temporary names to delete.
    """
    pattern = re.compile(rf"\.(?:{names})\.{role}\.{_machine()}-(\d{{1,9}})\.\w{{8}}")
    with suppress(OSError):
        left = {path: found for path in folder.iterdir() if (found := pattern.fullmatch(path.name))}
        if not left:
            return
        import psutil  # slow to import, and hardly ever needed

        for path, found in left.items():
            if psutil.pid_exists(int(found[1])):
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Eight digits for the space in which process ids are unique: a machine, or a container on it."""
    known = [platform.node()]
    with suppress(OSError):
        known.append(Path("/etc/machine-id").read_text(encoding="utf-8"))
    with suppress(OSError):
        known.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32(repr(known).encode()):08x}"


REFUSED = ("I/O error", "PytorchStreamWriter failed", "unexpected pos")
"""Texts of errors of safetensors and torch about failed writes, which are not of type OSError."""


def default_cache_folder() -> Path:
    """``$GRAPHCOND_CACHE``, or ``~/.cache/graphcond``."""
    return Path(os.environ.get("GRAPHCOND_CACHE") or Path.home() / ".cache" / "graphcond").expanduser()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it onto ``path`` if the block succeeds.

    Partial files of killed processes of this machine are deleted at the first write to the folder.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    path = Path(path)
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent.absolute())
        temporary = path.with_name(f"{temporary_prefix(path)}{token_hex(4)}")
        temporary.touch(exist_ok=False)
        mode = stat.S_IMODE(temporary.stat().st_mode)  # as the umask has it
        try:
            yield temporary
            _sync(temporary)
            temporary.chmod(mode)  # some libraries write for their user only
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder beside ``path``; it takes the place of ``path`` if the block succeeds.

    An existing folder at ``path`` is only removed once the new one is complete. Partial folders
    of killed processes of this machine are deleted at the first write beside them.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    with writing(path):
        path = Path(path).resolve()  # a link stays one
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent.absolute())
        temporary = path.with_name(f"{temporary_prefix(path)}{token_hex(4)}")
        temporary.mkdir()
        mode = stat.S_IMODE(temporary.stat().st_mode) & 0o666  # as the umask has it
        try:
            yield temporary
            for file in temporary.rglob("*"):
                if file.is_file():
                    file.chmod(mode)  # some libraries write for their user only
                    _sync(file)
            _put(temporary, path)
            delete_leftovers(path.parent, re.escape(path.name), "old")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _put(new: Path, path: Path) -> None:
    """Put a folder at ``path``; what is there now is deleted, or is at ``new`` afterwards."""
    while not (path.is_dir() and exchange(new, path)):
        # What is there moves aside first: a folder cannot replace one that has content.
        old = Path(tempfile.mkdtemp(prefix=temporary_prefix(path, "old"), dir=path.parent))
        with suppress(FileNotFoundError):
            path.replace(old / "was")
        try:
            new.replace(path)
        except OSError as error:  # another process put its folder there meanwhile
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        shutil.rmtree(old, ignore_errors=True)
        if not new.exists():
            return


def exchange(one: Path, other: Path) -> bool:
    """Let two folders change places at once, so that there is always one; False where nothing can do that."""
    at_working_folder, exchanging = -100, 2  # of Linux's fcntl.h and fs.h
    rename = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if rename is None:
        return False
    paths = os.fsencode(one.absolute()), os.fsencode(other.absolute())
    return bool(rename(at_working_folder, paths[0], at_working_folder, paths[1], exchanging) == 0)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Tell in one sentence if the block cannot write ``path``, or a file that belongs to it.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    try:
        yield
    except StorageError as error:  # of a temporary file inside
        raise StorageError(error.problem, place=path, remedy=error.remedy) from error
    except Exception as error:
        told = any(words in str(error) for words in REFUSED) and not isinstance(error, InputError)
        if not (told or isinstance(error, OSError)):
            raise
        first = refused_by(error)
        raise StorageError(
            f"cannot be written ({getattr(error, 'strerror', None) or error})",
            place=path,
            remedy=f"{first}, or choose another place"
            if first
            else "choose another place, or make room on its disk",
        ) from error


def refused_by(error: BaseException) -> str | None:
    """What lets a file be written that could not be: room or permission; None if neither was the matter."""
    behind: BaseException | None = error
    while behind is not None:
        match getattr(behind, "errno", None):
            case errno.ENOSPC | errno.EDQUOT:
                return "make room on its disk"
            case errno.EACCES | errno.EPERM | errno.EROFS:
                return "allow this user to write there"
        behind = behind.__cause__
    return None


def check_writable(path: Path) -> None:
    """Check before long work that a file can be written at ``path``; nothing is written.

    Raises:
        StorageError: there is a folder at ``path``, or writing is not permitted.
    """
    with writing(path):
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _check_parent(path)


def check_new_folder(path: Path, *, remedy: str) -> None:
    """Check before long work that a new folder can be made at ``path``; nothing is written.

    Args:
        path: a path that is free, or an empty folder.
        remedy: the remedy if it is not.

    Raises:
        InputError: the path is occupied.
        StorageError: the place refuses.
    """
    if would_lose(path):
        raise InputError("exists already", place=path, remedy=remedy)
    with writing(path):
        _check_parent(path)


def would_lose(path: Path, *known: Path | str) -> bool:
    """True if writing a folder at ``path`` would destroy something.

    False if the path is free, is an empty folder, or holds every file in ``known``, which marks it as a
    folder of the same kind.
    """
    if not path.exists() or (path.is_dir() and not any(path.iterdir())):
        return False
    return not (known and all((path / file).is_file() for file in known))


def check_replaceable(path: Path, *known: Path | str) -> None:
    """Check that nothing is lost if a folder is written at ``path``.

    Args:
        path: a new place, an empty folder, or a folder that holds all of ``known``.
        known: as for `would_lose`.

    Raises:
        InputError: ``path`` is anything else.
    """
    if would_lose(path, *known):
        found = "the folder holds something else" if path.is_dir() else "there is a file"
        raise InputError(f"{found}, which would be lost", place=path, remedy="choose a new folder")


def _check_parent(path: Path) -> None:
    nearest = next(folder for folder in path.absolute().parents if folder.exists())
    if not nearest.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, f"{nearest} is not a folder")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def write_json(path: Path, value: object) -> None:
    """Write ``value`` as indented JSON, atomically.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


MOST_JSON = 4_000_000_000
"""A larger JSON file is refused: reading it takes many times its size in memory."""


def read_json(path: Path, *, nan: bool = False) -> Any:
    """Read JSON strictly; UTF-8 with or without a byte order mark.

    Args:
        path: the file.
        nan: accept NaN and infinity.

    Raises:
        InputError: the file is missing, no regular file, too large or not UTF-8; or as
            `graphcond.io.strict_json.parse_json`.
    """
    return parse_json(read_text(path, encoding="utf-8-sig", most=MOST_JSON), path, nan=nan)


def read_text(path: Path, *, encoding: str = "utf-8", most: float = math.inf) -> str:
    """The text of a UTF-8 file of at most ``most`` bytes; ``utf-8-sig`` passes over a byte order mark.

    Raises:
        InputError: the file is missing, no regular file, too large or not UTF-8.
    """
    check_readable(Path(path))
    if Path(path).stat().st_size > most:
        raise InputError(
            f"the file is larger than {most / 1e6:.0f} MB", place=path, remedy="split it into several files"
        )
    try:
        return Path(path).read_text(encoding=encoding)
    except OSError as error:
        raise unreadable(Path(path), error) from None
    except UnicodeDecodeError as error:
        raise InputError(
            f"the file is not UTF-8 (byte {error.start})", place=path, remedy="save it as UTF-8"
        ) from None


def inside(root: Path, relative: str, *, place: object = None) -> str:
    """``relative`` as a clean POSIX path below ``root``, if it stays inside it, symbolic links followed.

    An absolute path into ``root`` becomes relative to it, so that the folder can be moved.

    Raises:
        InputError: the path leaves the folder or is none.
    """
    clean = PurePosixPath(relative.replace("\\", "/"))
    if clean.is_relative_to(root.absolute().as_posix()):
        clean = clean.relative_to(root.absolute().as_posix())
    try:
        resolved = (root / clean).resolve()
    except UnicodeEncodeError as error:
        raise InputError(
            f"the name {relative!r} cannot be written in this locale's {error.encoding}",
            place=place,
            remedy="set LC_ALL=C.UTF-8, or correct the name",
        ) from None
    except (OSError, ValueError, RuntimeError):
        raise InputError(f"{relative!r} is not a path", place=place, remedy="correct the name") from None
    if clean.is_absolute() or not resolved.is_relative_to(root.resolve()):
        raise InputError(
            f"the path '{relative}' leaves the folder {root}",
            place=place,
            remedy="use paths relative to the folder that holds the data",
        )
    return clean.as_posix()


def file_inside(root: Path | None, relative: str | None) -> Path | None:
    """The path of a file that data name relative to their folder; None for no file.

    Data come from anywhere: a graph folder that was edited may name any file of this machine.

    Raises:
        InputError: it would leave the folder.
    """
    return None if relative is None else (root or Path()) / inside(root or Path(), relative)


class FilesInside(Sequence[Path | None]):
    """The files of `file_inside` for many names.

    Each is checked when it is requested: checking the pictures of a whole graph to read a few takes seconds.
    """

    def __init__(self, root: Path | None, names: Sequence[str | None]) -> None:
        self._root, self._names = root, names

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return FilesInside(self._root, self._names[place])
        return file_inside(self._root, self._names[place])


def _sync(file: Path) -> None:
    with file.open("rb") as handle:
        os.fsync(handle.fileno())
