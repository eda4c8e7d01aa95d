"""The share of a target's neighbors that have its label, beside the share by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from graphcond.io.fingerprint import fingerprint
from graphcond.sweep.exam import Exam
from graphcond.sweep.scores.base import Figure, Score, Scored
from graphcond.sweep.scores.config import LabelsScoreConfig

DEFAULT = LabelsScoreConfig.model_construct(column="")


@dataclass(frozen=True, kw_only=True)
class LabelsScore(Score):
    """Samples the neighbors of targets, and counts those with the target's label.

    ``same_<column>``: the share of a target's neighbors; 0 where it has none.
    ``chance_<column>``: the share if neighbors were drawn at random from all nodes that a sampler may choose.
    ``neighbors``: how many neighbors a target gets.

    Args:
        column: the column of the node table that holds the labels.
        split: whose nodes are targets; all nodes where nothing is held out.
        limit: most targets.
    """

    column: str
    split: str | None = DEFAULT.split
    limit: int | None = DEFAULT.limit

    def score(self, exam: Exam) -> Scored:
        """The three figures.

        Raises:
            InputError: the graph has no such column, or no target has a label.
        """
        labels = np.array([label or "" for label in exam.data.labels(self.column)])
        held_out = len(exam.data.examined(exam.recipe.data)) > 1
        among = exam.rows(self.split, None) if self.split or held_out else np.arange(len(labels))
        rows = exam.data.labelled(self.column, among, limit=self.limit, seed=exam.seed)
        context = next(iter(exam.views(self.split).values())).sample(rows)
        forbidden = exam.forbidden(self.split)
        pictures = np.array([picture is not None for picture in exam.data.columns.pictures])
        free = np.ones(len(labels), bool) if not pictures.any() else pictures
        free[forbidden] = False
        found = {
            f"same_{self.column}": (context.agreement(labels.tolist()), True),
            f"chance_{self.column}": (chance_share(labels, rows, np.flatnonzero(free)), None),
            "neighbors": (context.present.sum(1).astype(np.float64), None),
        }
        named = fingerprint(exam.shared.data_identity(exam.recipe.data), rows)
        return Scored(
            [
                Figure(name, "", values, len(rows), "mean", better, "no network", named)
                for name, (values, better) in found.items()
            ]
        )


def chance_share(
    labels: np.ndarray, targets: Int64[np.ndarray, " n"], free: Int64[np.ndarray, " f"]
) -> Float64[np.ndarray, " n"]:
    """Of the ``free`` nodes other than a target, the share with its label."""
    names, counts = np.unique(labels[free], return_counts=True)
    count_of = dict(zip(names.tolist(), counts.tolist(), strict=True))
    own = np.isin(targets, free)
    same = np.array([count_of.get(label, 0) for label in labels[targets].tolist()]) - own
    return same / np.maximum(len(free) - own, 1)
