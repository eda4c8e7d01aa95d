"""Errors that people meet: one sentence that names the place and the remedy.

    GraphcondError
    ├── InputError      the input must change: a file, a setting, an argument
    ├── StorageError    the disk is full, or a place refuses to be written
    └── TrainingError   training cannot go on

The command line prints each as one line and exits with 2. Anything else is an error of graphcond itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GraphcondError(Exception):
    """What graphcond raises for a person to read; catch it to catch all of them.

    Args:
        problem: what is wrong, as a sentence without a final period: "expected X, got Y".
        place: where: a file, ``file:line``, a recipe path, an option.
        remedy: what to do about it, as a short imperative.
    """

    def __init__(self, problem: str, *, place: object = None, remedy: str | None = None) -> None:
        self.problem, self.place, self.remedy = problem, place, remedy
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        where = f"{self.place}: " if self.place is not None else ""
        what_to_do = f". {self.remedy[0].upper()}{self.remedy[1:]}" if self.remedy else ""
        return f"{where}{self.problem}{what_to_do}"


class InputError(GraphcondError, ValueError):
    """The input must change: a file, a recipe, a graph, a picture, a checkpoint, an argument."""


class StorageError(GraphcondError):
    """A file or a folder cannot be written: the place refuses, or its disk is full."""


class TrainingError(GraphcondError):
    """Training cannot go on (a loss that is not a number); what was saved before stays usable."""


class Notice(FutureWarning):
    """Something that still works and that the user should change; the command line prints it as one line."""


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A remedy that names the nearest choice, or lists them all."""
    names = sorted(choices)
    nearest = get_close_matches(word, names, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean '{nearest[0]}'?"
    return f"choose one of: {', '.join(names)}"
