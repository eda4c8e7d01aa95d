"""Standard streams that cannot stop a command: what is printed is worth less than what was made.

And the word on standard error before the seconds in which nothing else can be said.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Lasting(io.FileIO):
    """A stream of which a write that fails is remembered; the command goes on without it."""

    failure: OSError | None = None

    def write(self, content: Any, /) -> int:
        try:
            while (written := super().write(content)) is None:  # a pipe that does not wait is full
                select.select([], [self], [])
        except OSError as error:
            self.failure = error
            return memoryview(content).nbytes
        return written


def make_streams_last() -> _Lasting | None:
    """Replace standard output and error, unless something else did before, as tests do.

    A character that the encoding of a stream lacks is written as its escape. A closed stream goes nowhere.

    Returns:
        Standard output, of which the failure can be asked; None if it was replaced before.
    """
    found = {"stdout": _lasting("stdout", 1), "stderr": _lasting("stderr", 2)}
    return found["stdout"]


def _lasting(name: str, number: int) -> _Lasting | None:
    stream = getattr(sys, name)
    if stream is not getattr(sys, f"__{name}__"):
        return None
    if stream is None:  # what the number is opened for next would receive what libraries print
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != number:
            os.dup2(nowhere, number)
            os.close(nowhere)
    lasting = _Lasting(number, "w", closefd=False)
    text = io.TextIOWrapper(
        io.BufferedWriter(lasting),
        encoding=getattr(stream, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=getattr(stream, "line_buffering", False),
    )
    setattr(sys, name, text)
    return lasting


SLOW = "torch"
"""What every slow command imports first; with what stands on it, it takes seconds."""


class SayLoading(MetaPathFinder):
    """Says once that libraries are loaded, when the first slow one is."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find nothing: the others do."""
        if name == SLOW:
            sys.meta_path.remove(self)
            print("loading torch and diffusers ...", file=sys.stderr, flush=True)
        return None
