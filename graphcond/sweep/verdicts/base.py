"""The contract of a verdict: from the figures of a sweep to sentences."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

from graphcond.intervals import Measurement
from graphcond.sweep.results import Results


class Verdict(ABC):
    """Says what figures show. Its config is in `graphcond.sweep.verdicts.config`.

    Other packages offer configs of theirs under the entry point ``graphcond.verdicts``.
    """

    @abstractmethod
    def findings(self, results: Results) -> Iterator[str]:
        """One sentence for each finding; rows that failed are passed over."""


def share(figure: Measurement) -> str:
    """A share in percent, with its interval."""
    return f"{100 * figure.mean:.0f} % [{100 * figure.low:.0f}, {100 * figure.high:.0f}]"
