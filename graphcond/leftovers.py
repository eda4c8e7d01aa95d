"""Temporary files and folders that say who makes them, so that those of killed processes can be deleted."""

from __future__ import annotations

import os
import platform
import re
import shutil
import zlib
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Literal

Role = Literal["new", "old"]
"""What is being written, or what it takes the place of."""


def temporary_prefix(path: Path, role: Role = "new") -> str:
    """How a temporary name beside ``path`` begins; eight signs drawn at random follow."""
    return f".{path.name}.{role}.{_machine()}-{os.getpid()}."


@cache
def sweep(folder: Path) -> None:
    """Delete what killed processes of this machine were writing in ``folder``, if it was not done before."""
    delete_leftovers(folder, ".+", "new")


def delete_leftovers(folder: Path, names: str, role: Role) -> None:
    """Delete what killed processes of this machine left in ``folder``, as far as it can be deleted.

    Args:
        folder: where they wrote.
        names: a regular expression of what they wrote.
        role: what is deleted.
    """
    pattern = re.compile(rf"\.(?:{names})\.{role}\.{_machine()}-(\d{{1,9}})\.\w{{8}}")
    with suppress(OSError):
        for left in folder.iterdir():
            found = pattern.fullmatch(left.name)
            if found and not _runs(int(found[1])):
                _delete(left)


def _runs(process: int) -> bool:
    import psutil  # what takes a while, and is hardly ever needed

    return psutil.pid_exists(process)


def _delete(left: Path) -> None:
    if left.is_dir() and not left.is_symlink():
        shutil.rmtree(left, ignore_errors=True)
    else:
        left.unlink(missing_ok=True)


@cache
def _machine() -> str:
    """Eight digits for where numbers of processes mean the same: a machine, or a container on it."""
    known = [platform.node()]
    with suppress(OSError):
        known.append(Path("/etc/machine-id").read_text(encoding="utf-8"))
    with suppress(OSError):
        known.append(os.readlink("/proc/self/ns/pid"))
    return f"{zlib.crc32(repr(known).encode()):08x}"
