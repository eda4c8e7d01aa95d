"""Formats of files: how a path finds its reader, and how other packages add one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from graphcond.config import registered
from graphcond.errors import InputError

Given = TypeVar("Given")


@dataclass(frozen=True, kw_only=True)
class Format(Generic[Given]):
    """One format that graphs or scenes are read from; derived records add the reader.

    Args:
        name: the name of the format in messages and options; each name exists once.
        files: the files that mark the format, for messages: ``raw/edge.csv.gz``.
        signs: whether a path is in this format, told by names of files or by their first bytes. It answers
            False for every other path, and changes nothing.
        hides: formats that do not count where this one is found, because its folders may hold files that
            look like theirs.
    """

    name: str
    files: str
    signs: Callable[[Given], bool]
    hides: tuple[str, ...] = ()


F = TypeVar("F", bound=Format)


def formats_by_name(own: Iterable[F], kind: type[F], group: str) -> dict[str, F]:
    """The package's own formats and those of other packages, by name, in that order.

    Args:
        own: the formats of this package.
        kind: what a format is.
        group: the entry point under which other packages offer theirs.

    Raises:
        InputError: as `graphcond.config.registered`.
    """
    return registered(
        own,
        group,
        name=lambda one: one.name,
        accepts=lambda found: isinstance(found, kind),
        expected=f"a {kind.__name__}",
    )


def find_format(
    given: Given, formats: Mapping[str, F], *, place: Path, noun: str, several: str, remedy: str
) -> F:
    """The one format of ``given``.

    Args:
        given: the path or value to detect.
        formats: all formats, by name.
        place: the path, for the error.
        noun: the thing to read, such as "a graph".
        several: the remedy if the path has the signs of several formats.
        remedy: the remedy if it has the signs of none.

    Raises:
        InputError: the path does not exist, or is in no format or in several.
    """
    if not place.exists():
        raise InputError("no such file or folder", place=place, remedy="check the path")
    signed = [kind for kind in formats.values() if kind.signs(given)]
    hidden = {name for kind in signed for name in kind.hides}
    found = [kind for kind in signed if kind.name not in hidden]
    if not found:
        known = "; ".join(f"{kind.name} ({kind.files})" for kind in formats.values())
        raise InputError(f"expected {noun} in one of the formats {known}", place=place, remedy=remedy)
    if len(found) > 1:
        names = " and ".join(f"{kind.name} ({kind.files})" for kind in found)
        raise InputError(f"expected {noun} in one format, found {names}", place=place, remedy=several)
    return found[0]
