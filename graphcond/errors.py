"""Errors that people meet: one sentence that names the place and the remedy."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """The user's input is at fault: a file, a recipe, a graph, a picture, a checkpoint, an argument.

    The command line prints it as one line and exits with 2.

    Args:
        problem: what is wrong, without a final period.
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


class WriteError(InputError):
    """A file or a folder cannot be written: the place refuses, or its disk is full."""


class TrainingError(InputError):
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
