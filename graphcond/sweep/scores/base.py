"""The contract of a score: from the data and the model of a row to figures with their evidence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from PIL import Image

from graphcond.intervals import How, Measurement, measured
from graphcond.sweep.exam import Exam


@dataclass(frozen=True)
class Figure:
    """A figure of a row, as the evidence from which it follows.

    The evidence of two rows over the same targets, subtracted, is that of their difference, paired by
    target; the mean of several is that of their mean figure.

    Args:
        metric: name.
        arm: what was drawn: ``graph``, ``no_graph``, ``shuffled_graph`` or ``no_update``; empty
            where nothing was.
        evidence: see `graphcond.evaluation.Metric.evidence`.
        n: targets.
        how: how the figure follows from the evidence.
        higher_is_better: None where neither is.
        network: the network that looked; figures of different networks do not compare.
        targets: names the targets; figures over others are not paired.
    """

    metric: str
    arm: str
    evidence: Float64[np.ndarray, " evidence"]
    n: int
    how: How
    higher_is_better: bool | None
    network: str
    targets: str

    def measured(self, *, seed: int) -> Measurement:
        """The figure with its interval over targets."""
        return measured(self.metric, self.evidence, self.n, self.how, seed=seed)


@dataclass(frozen=True)
class Example:
    """A picture for the sheet.

    Args:
        label: describes the target.
        drawn: the picture.
        graph: a drawing of its scene graph, if it has one.
        truth: the true picture, if it is known.
        right: whether the picture shows its scene graph; None where that is not asked.
    """

    label: str
    drawn: Image.Image
    graph: Image.Image | None = None
    truth: Image.Image | None = None
    right: bool | None = None


@dataclass(frozen=True)
class Scored:
    """What a score found.

    Args:
        figures: the figures.
        notes: sentences for the reader.
        examples: pictures of the first targets.
    """

    figures: Sequence[Figure]
    notes: Sequence[str] = ()
    examples: Sequence[Example] = ()


class Score(ABC):
    """Measures something of a row. Its config is in `graphcond.sweep.scores.config`.

    Other packages offer configs of theirs under the entry point ``graphcond.scores``.
    """

    @abstractmethod
    def score(self, exam: Exam) -> Scored:
        """The figures of a row.

        They depend on the row's model and data and on ``exam.seed`` alone.

        Raises:
            InputError: the row lacks something that is scored.
        """
