"""A pickle that does something when it is loaded carelessly."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path


class Malicious:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.file,)
