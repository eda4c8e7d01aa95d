"""Do rows stand in the order that is expected?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from graphcond.sweep.results import Group, Results
from graphcond.sweep.rows import ROW
from graphcond.sweep.verdicts.base import Verdict
from graphcond.sweep.verdicts.config import OrderVerdictConfig

DEFAULT = OrderVerdictConfig.model_construct(metric="", pairs=())


@dataclass(frozen=True, kw_only=True)
class OrderVerdict(Verdict):
    """Says which pairs stand as expected, which against it, and which differ too little.

    A pair is told apart where no interval of its difference, paired by target, holds 0.

    Args:
        metric: the metric that decides.
        pairs: names of two rows each; the second should be better.
        source: who expects it, in words.
        saturated: a share from this on leaves no room to tell rows apart.
    """

    metric: str
    pairs: Sequence[tuple[str, str]]
    source: str = DEFAULT.source
    saturated: float = DEFAULT.saturated

    def findings(self, results: Results) -> Iterator[str]:
        """One sentence for each combination of the sweep's grid, and what a difference is called by."""
        key, seeds = (self.metric, "graph"), 0
        points: dict[str, dict[str, Group]] = {}
        for group in results.groups:
            if key in group.values:
                point = ", ".join(label for axis, label in group.labels.items() if axis != ROW)
                points.setdefault(point, {})[group.labels.get(ROW, group.name)] = group
        for point, rows in points.items():
            better = 1 if results.higher_is_better(self.metric) else -1
            signs = {}
            for lower, upper in self.pairs:
                both = {lower, upper} <= set(rows)
                found = results.difference(rows[upper].name, rows[lower].name, key) if both else None
                signs[lower, upper] = None if found is None else found.value.sign * better
            means = {name: group.values[key].over_targets.mean for name, group in rows.items()}
            seeds = max(seeds, *(len(group.seeds) for group in rows.values()))
            top = (max if better == 1 else min)(means, key=lambda name: means[name])
            full = [name for name, mean in means.items() if mean >= self.saturated]
            clauses = {
                f"as {self.source}": [pair for pair, sign in signs.items() if sign == 1],
                f"not as {self.source}": [pair for pair, sign in signs.items() if sign == -1],
                "too close to tell at this n": [pair for pair, sign in signs.items() if sign == 0],
            }
            yield (
                (f"{point}: " if point else "")
                + f"best is {top} ({means[top]:.3f})"
                + "".join(
                    f"; {what}: {', '.join(f'{low} < {high}' for low, high in pairs)}"
                    for what, pairs in clauses.items()
                    if pairs
                )
                + (f"; saturated: {', '.join(full)}" if full else "; nothing saturates")
            )
        if seeds:
            yield "a difference is called one only where its interval, paired by target, holds no 0" + (
                f", over targets and over {seeds} seeds"
                if seeds > 1
                else "; with one seed it is one of these trained models, which another training may turn"
            )
