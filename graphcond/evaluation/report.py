"""What an evaluation found: every figure of every arm, and what the graph added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from graphcond.evaluation.measurement import Measurement

DIFFERENCES = (("graph", "no_graph"), ("graph", "shuffled_graph"))
"""Pairs of arms whose difference is reported: what the graph adds, and what the *right* graph adds."""


@dataclass(frozen=True)
class EvaluationReport:
    """Figures side by side, all over the same targets and seeds.

    Args:
        title: what was evaluated, a protocol's name for instance.
        n: how many targets.
        seed: of the pictures and the intervals.
        arms: arm, then metric, to its figure.
        differences: ``graph - no_graph`` and the like, then metric, to the paired difference.
        networks: metric to the network that looked.
        higher_is_better: metric to whether more is better.
        cautions: what to keep in mind when reading.
    """

    title: str
    n: int
    seed: int
    arms: Mapping[str, Mapping[str, Measurement]]
    differences: Mapping[str, Mapping[str, Measurement]]
    networks: Mapping[str, str]
    higher_is_better: Mapping[str, bool]
    cautions: tuple[str, ...] = ()

    def figure(self, arm: str, metric: str) -> Measurement:
        """One figure, by arm and metric."""
        return self.arms[arm][metric]

    def to_json(self) -> dict[str, object]:
        """The report as plain values, to be written as JSON."""
        return asdict(self)

    def to_markdown(self) -> str:
        """The report as a Markdown table."""
        from graphcond.evaluation.table import to_markdown

        return to_markdown(self)

    def print(self) -> None:
        """Print the report as a table on the terminal."""
        from graphcond.evaluation.table import print_report

        print_report(self)
