"""Warnings of libraries that mean nothing here, ignored without touching what others ignore."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import Any

_LOCK = Lock()
_INSIDE: Counter[Any] = Counter()
"""The number of blocks that are open, by their filter."""


@contextmanager
def ignored(category: type[Warning] = Warning, message: str = "") -> Iterator[None]:
    """Ignore warnings of a category that start with ``message`` (a regular expression) inside the block.

    The filters belong to the process. ``warnings.catch_warnings`` restores all of them as they were when it
    began, so blocks of several threads that overlap leave filters behind. This removes its own alone, with
    the last block.
    """
    text = f"(?#graphcond){message}"  # a comment, so that it is no filter of the user's
    mine = ("ignore", re.compile(text, re.IGNORECASE), category, None, 0)
    with _LOCK:
        _INSIDE[mine] += 1
        warnings.filterwarnings("ignore", text, category)  # once, or moved to the front
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE[mine] -= 1
            if not _INSIDE[mine]:
                del _INSIDE[mine]
                with suppress(ValueError):  # others have restored theirs in between
                    warnings.filters.remove(mine)  # type: ignore[attr-defined]
