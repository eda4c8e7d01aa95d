"""The usual names of columns, where files do not use ours."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from graphcond.splits import is_split

_PICTURE = re.compile(r"[^/\\:][^:]*\.(jpe?g|png|webp|gif|bmp|tiff?|avif)", re.IGNORECASE)

USUAL = {
    "id": ("id", "node id", "asin", "uid", "node", "key"),
    "text": ("text", "title", "caption", "name", "prompt", "description"),
    "image": (
        *("image", "image path", "image file", "img", "img path", "file name", "file path", "file"),
        *("picture", "picture path", "photo", "path"),
    ),
    "split": ("split", "subset", "partition"),
    "src": ("src", "source", "from", "src id", "source id", "from id", "head"),
    "dst": ("dst", "target", "to", "dst id", "target id", "to id", "tail", "destination"),
    "weight": ("weight", "edge weight"),
    "center": ("center", "centre", "target", "image", "img", "image path", "file name", "file path"),
    "neighbors": ("neighbors", "neighbours", "neighbor"),
}
"""The usual names of each of our columns, the most likely first; case and separators do not matter."""


def usual_names(ours: str, found: Iterable[str]) -> list[str]:
    """The columns among ``found`` that have a usual name of ``ours``, the most likely first."""
    by_name = {_plain(name): name for name in reversed([*found])}
    return [by_name[_plain(name)] for name in USUAL[ours] if _plain(name) in by_name]


def usual_columns(found: Iterable[str], names: Mapping[str, str], wanted: Iterable[str]) -> dict[str, str]:
    """Those of ``wanted`` that no column is called, with the usual name that is found in their place.

    Args:
        found: the columns of a file.
        names: the user's names of our columns, which are not guessed; our own names for the rest.
        wanted: our names of the columns to look for.
    """
    free = [name for name in found if name not in names.values()]
    guessed: dict[str, str] = {}
    for ours in wanted:
        if names[ours] == ours and ours not in found:
            for theirs in usual_names(ours, free)[:1]:
                guessed[ours] = theirs
                free.remove(theirs)
    return guessed


def take_usual(
    columns: dict[str, Any], wanted: Iterable[str], among: Collection[str] | None = None
) -> dict[str, str]:
    """Rename columns to those of ``wanted`` that are missing, if their names are usual and their values fit.

    Args:
        columns: the columns by name; they are renamed.
        wanted: our names.
        among: the columns that may be taken, all unless given.

    Returns:
        As `usual_columns`.
    """
    guessed: dict[str, str] = {}
    free = [name for name in columns if among is None or name in among]
    for ours in [name for name in wanted if name not in columns]:
        for theirs in usual_names(ours, free):
            if fits(ours, columns[theirs]):
                guessed[ours] = theirs
                free.remove(theirs)
                break
    for ours, theirs in guessed.items():
        columns[ours] = columns.pop(theirs)
    return guessed


def fits(ours: str, values: Iterable[str | None]) -> bool:
    """Whether a column may be taken for ``ours`` by its values.

    Pictures are relative paths of picture files, and some value of a split is the name of one. Any column may
    be a text.
    """
    some = [value for value in values if value]
    if ours == "image":
        return bool(some) and all(_PICTURE.fullmatch(value) and ".." not in value for value in some)
    return any(map(is_split, set(some))) if ours == "split" else bool(some)


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())
