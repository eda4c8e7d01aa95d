"""Errors for users: one sentence that names the place, the problem and the remedy.

    GraphcondError
    ├── InputError      the input must change: a file, a setting, an argument
    ├── StorageError    the disk is full, or a place refuses to be written
    └── TrainingError   training cannot go on

The command line prints each as one line and exits with 2. Anything else is an error of graphcond itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from unicodedata import normalize


class GraphcondError(Exception):
    """Base class of the errors that graphcond raises for a user to read.

    Args:
        problem: the problem, as a sentence without a final period: "expected X, got Y".
        place: a file, ``file:line``, a recipe path or an option.
        remedy: the remedy, as a short imperative.
    """

    def __init__(self, problem: str, *, place: object = None, remedy: str | None = None) -> None:
        self.problem, self.place, self.remedy = problem, place, remedy
        where = f"{place}: " if place is not None else ""
        what_to_do = f". {remedy[0].upper()}{remedy[1:]}" if remedy else ""
        super().__init__(f"{where}{problem}{what_to_do}")


class InputError(GraphcondError, ValueError):
    """The input must change: a file, a recipe, a graph, a picture, a checkpoint, an argument."""


@contextmanager
def at(place: object) -> Iterator[None]:
    """Put ``place`` before the place of an error that the block raises; None leaves it as it is.

    Raises:
        InputError: the error of the block, with the longer place.
    """
    try:
        yield
    except InputError as error:
        known = [str(one) for one in (place, error.place) if one is not None]
        raise type(error)(error.problem, place=": ".join(known) or None, remedy=error.remedy) from None


class StorageError(GraphcondError):
    """A file or a folder cannot be written: the place refuses, or its disk is full."""


class TrainingError(GraphcondError):
    """Training cannot continue (the loss is not a number); earlier checkpoints stay usable."""


class Notice(FutureWarning):
    """What a user should know although the work goes on; the command line prints it as one line.

    A setting that should be changed, say, or a cache entry that was damaged.
    """


def first_line(error: BaseException) -> str:
    """What another library's error says, for the middle of a sentence: its first line, or its type."""
    return str(error).strip().partition("\n")[0].rstrip(":.") or type(error).__name__


OUT_OF_MEMORY = ("can't allocate memory", "out of memory")
"""Torch's messages for too little memory, on a CPU and on a GPU."""


def out_of_memory(error: Exception) -> bool:
    """True if numpy or torch ran out of memory; for torch only the message tells."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(words in str(error) for words in OUT_OF_MEMORY)
    )


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A remedy that names the nearest choice, or lists them all."""
    names = sorted(choices)
    nearest = get_close_matches(word, names, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean '{nearest[0]}'?"
    return f"choose one of: {', '.join(names)}"


_NUMBER = re.compile(r"([+-]?)0*(\d+?)(?:\.0*)?")

_SPELLINGS: dict[str, Callable[[str], str]] = {
    "how its letters are encoded (Unicode NFC and NFD)": lambda name: normalize("NFC", name),
    "blanks": lambda name: " ".join(name.split()),
    "capitals": str.casefold,
    "how the number is written": lambda name: _NUMBER.sub(r"\1\2", name) if _NUMBER.fullmatch(name) else name,
}
"""The ways to spell a name, by what differs in them; each function gives the one form of a name."""


def respelled(name: str, choices: Iterable[str]) -> str | None:
    """A remedy that names the choice which differs from ``name`` in its spelling only; None without one.

    Spellings are capitals, blanks, ``1.0`` and ``001`` for ``1``, and letters with accents in one or two code
    points.
    """
    wanted = _one_spelling(name)
    choice = next((one for one in choices if one != name and _one_spelling(one) == wanted), None)
    if choice is None:
        return None
    differences = [
        what
        for what in _SPELLINGS
        if _one_spelling(name, without=what) != _one_spelling(choice, without=what)
    ]
    return f"did you mean '{choice}'? It differs in {' and '.join(differences)}"


def _one_spelling(name: str, without: str = "") -> str:
    for what, one_form in _SPELLINGS.items():
        name = name if what == without else one_form(name)
    return name
