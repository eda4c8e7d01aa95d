"""What was read of a source, what was left out of it, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from graphcond.errors import InputError

SKIP = (
    "leave it out (`--skip-bad-rows` of data build and inspect, `skip_bad_rows` in Python, "
    "data.skip_bad_rows in a recipe)"
)
"""The remedy of an error about a row that may be left out."""

Counts = Mapping[str, int]

COUNTED = ("nodes", "pictures", "edges", "scenes")
"""What is counted as read when a graph or a set of scenes is made."""


@dataclass(frozen=True)
class Tally:
    """Counts of a source by what was counted: nodes, texts, pictures, edges, scenes.

    ``read`` holds what the source has, ``merged`` how many were equal to another, and ``left_out`` how many
    are missing from the result, by reason. ``columns`` are the names that were taken for ours, because no
    column is called so.
    """

    read: Counts = field(default_factory=dict)
    left_out: Mapping[str, Counts] = field(default_factory=dict)
    merged: Counts = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: Tally) -> Tally:
        whats = [*self.left_out, *(what for what in other.left_out if what not in self.left_out)]
        return Tally(
            _sum(self.read, other.read),
            {what: _sum(self.left_out.get(what, {}), other.left_out.get(what, {})) for what in whats},
            _sum(self.merged, other.merged),
            {**self.columns, **other.columns},
        )

    def rows(self) -> dict[str, str]:
        """A phrase for each thing that was counted: ``read 9, left out 2 because: self-loops (2)``."""
        found = {}
        for what in dict.fromkeys((*self.read, *self.merged, *self.left_out)):
            parts = [f"read {self.read[what]}"] if what in self.read else []
            parts += [f"merged {self.merged[what]} with an equal one"] if self.merged.get(what) else []
            reasons = {reason: count for reason, count in self.left_out.get(what, {}).items() if count}
            if reasons:
                listed = ", ".join(f"{reason} ({count})" for reason, count in reasons.items())
                parts.append(f"left out {sum(reasons.values())} because: {listed}")
            found[what] = ", ".join(parts)
        if self.columns:
            found["columns"] = ", ".join(f"{ours} is '{theirs}'" for ours, theirs in self.columns.items())
        return found

    def losses(self) -> list[str]:
        """The rows that a user must know: what was left out, and which columns were taken."""
        lost = {what for what, reasons in self.left_out.items() if any(reasons.values())} | {"columns"}
        return [f"{what}: {row}" for what, row in self.rows().items() if what in lost]


def _sum(first: Counts, second: Counts) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in dict.fromkeys((*first, *second))}


def reading_row(bad: BadRows | None, what: str) -> AbstractContextManager[None]:
    """`BadRows.row`, or a block whose errors are errors where there is no ``bad``."""
    return nullcontext() if bad is None else bad.row(what)


class BadRows:
    """Decides whether a broken row is an error or is left out, and notes what a reader did.

    Args:
        skip: leave broken rows out.
    """

    def __init__(self, skip: bool = False) -> None:
        self.skip = skip
        self.left_out: dict[str, Counter[str]] = {}
        self.columns: dict[str, str] = {}
        """The columns that were taken for ours."""

    def refuse(self, what: str, error: InputError, reason: str | None = None, count: int = 1) -> None:
        """Count ``count`` of ``what`` as left out.

        Args:
            what: what is left out, such as edges.
            error: the error if broken rows are not skipped.
            reason: the reason in the tally; by default the problem of ``error`` without its details.
            count: how many.

        Raises:
            InputError: broken rows are not skipped.
        """
        named = (error.remedy or "").endswith(SKIP) or error.problem.endswith("?")  # a better remedy
        if not self.skip and named:
            raise error
        if not self.skip:
            joined = f"{error.remedy}{'. Or' if '?' in str(error.remedy) else ', or'} {SKIP}"
            remedy = joined if error.remedy else SKIP
            raise InputError(error.problem, place=error.place, remedy=remedy) from None
        reason = reason or re.sub(r"'[^']*'|\d+", "...", error.problem)
        self.left_out.setdefault(what, Counter())[reason] += count

    @contextmanager
    def row(self, what: str) -> Iterator[None]:
        """A block that reads one row; it is left where the row is broken and broken rows are skipped.

        Raises:
            InputError: the row is broken, and broken rows are not skipped.
        """
        try:
            yield
        except InputError as error:
            self.refuse(what, error)

    def tally(self) -> Tally:
        """The rows that were left out; those of `COUNTED` were read, too."""
        read = {what: reasons.total() for what, reasons in self.left_out.items() if what in COUNTED}
        left_out = {what: dict(reasons) for what, reasons in self.left_out.items()}
        return Tally(read, left_out, columns=dict(self.columns))
