"""Errors for users: one sentence that names the place, the problem and the remedy.

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


class StorageError(GraphcondError):
    """A file or a folder cannot be written: the place refuses, or its disk is full."""


class TrainingError(GraphcondError):
    """Training cannot continue (the loss is not a number); earlier checkpoints stay usable."""


class Notice(FutureWarning):
    """What a user should know although the work goes on; the command line prints it as one line.

    A setting that should be changed, say, or a cache entry that was damaged.
    """


def did_you_mean(word: str, choices: Iterable[str]) -> str:
    """A remedy that names the nearest choice, or lists them all."""
    names = sorted(choices)
    nearest = get_close_matches(word, names, n=1, cutoff=0.6)
    if nearest:
        return f"did you mean '{nearest[0]}'?"
    return f"choose one of: {', '.join(names)}"
