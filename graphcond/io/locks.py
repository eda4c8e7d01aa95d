"""Folders that one process at a time works in."""

from __future__ import annotations

import errno
import json
import os
import platform
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from graphcond.errors import InputError, Notice
from graphcond.io.files import read_json, writing
from graphcond.io.strict_json import parse_json

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP)
"""The errors of a file system that has no locks, such as NFS without its lock daemon."""


@contextmanager
def locked(file: Path, work: str) -> Iterator[None]:
    """Keep other processes out of ``work`` for the length of the block.

    The operating system frees the lock when the process ends in any way. The file says who holds it, and is
    deleted at the end.

    Args:
        file: the lock, in an existing folder.
        work: what the process does, as a noun: "a run".

    Raises:
        InputError: another process holds it.
        StorageError: the file cannot be written.
    """
    with writing(file):
        held = _acquired(file, work)
    try:
        yield
    finally:
        with suppress(OSError):
            file.unlink()
        held.close()


def held(file: Path) -> bool:
    """True if a lock names a process that is running, or one of another machine, which cannot be seen.

    The lock is only read, so that nobody who wants it at this moment is kept out.
    """
    import psutil  # slow to import

    try:
        who: Any = read_json(file)
        return bool(who["host"] != platform.node() or psutil.pid_exists(int(who["pid"])))
    except (ValueError, KeyError, TypeError, OverflowError):
        return False


def _acquired(file: Path, work: str) -> TextIO:
    while True:
        opened = file.open("a+", encoding="utf-8")
        try:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            opened.seek(0)
            holder = opened.read()
            opened.close()
            try:
                who = parse_json(holder, file)
                process = f"process {who['pid']} on {who['host']} works on it since {who['since']}"
            except (InputError, KeyError, TypeError):  # it is about to write its name, or to delete the file
                process = "another process works on it"
            problem = f"{work} is in use: {process}"
            raise InputError(problem, place=file.parent, remedy="wait until it ends, or stop it") from None
        except (ImportError, OSError) as error:
            if isinstance(error, OSError) and error.errno not in NO_LOCKS:
                raise
            warnings.warn(
                f"{file.parent}: this file system has no locks, so another process that works in the same "
                "folder would not be noticed",
                Notice,
                stacklevel=2,
            )
        # Whoever held the lock may have deleted the file just now; then this is the lock of a deleted file.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(opened.fileno()), file.stat()):
                break
        opened.close()
    opened.truncate(0)
    mine = {"pid": os.getpid(), "host": platform.node(), "since": f"{datetime.now():%Y-%m-%d %H:%M:%S}"}
    opened.write(json.dumps(mine) + "\n")
    opened.flush()
    return opened


@contextmanager
def in_turn(file: Path | None) -> Iterator[None]:
    """Let processes that name the same file run the block one after the other; None waits for nobody.

    The operating system frees the lock when a process ends in any way. Without locks nobody waits.

    Args:
        file: the lock, in an existing folder; it stays.

    Raises:
        StorageError: the file cannot be written.
    """
    if file is None:
        yield
        return
    with claimed(file, wait=True):
        yield


@contextmanager
def claimed(file: Path, *, wait: bool = False) -> Iterator[bool]:
    """Hold a lock for the length of the block; False inside it if another process holds the lock.

    Args:
        file: the lock; it stays, and its folder is made. Without locks the answer is always True.
        wait: wait until the lock is free.

    Raises:
        StorageError: the file cannot be written.
    """
    with writing(file):
        file.parent.mkdir(parents=True, exist_ok=True)
        try:
            opened = file.open("a")
        except FileNotFoundError:  # just now, another process that is done has deleted the folder
            file.parent.mkdir(parents=True, exist_ok=True)
            opened = file.open("a")
    with opened:
        mine = True
        try:
            import fcntl

            fcntl.flock(opened, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            mine = False
        except (ImportError, OSError):
            pass
        yield mine


def divided(
    folder: Path, parts: Sequence[str], done: Callable[[str], bool], do: Callable[[str], None]
) -> None:
    """Do the parts that are not done; processes that call this with the same folder divide them.

    On return all parts are done. If a process ends within a part, another one does that part.

    Args:
        folder: where the locks are; every process names the same one.
        parts: their names, in the order in which they are tried.
        done: whether a part is done, by any process.
        do: does one part.

    Raises:
        StorageError: the folder cannot be written.
    """
    for wait in (False, True):  # first the parts that are free, then those that others did not finish
        for part in parts:
            if not done(part):
                with claimed(folder / f"{part}.lock", wait=wait) as mine:
                    if mine and not done(part):
                        do(part)
