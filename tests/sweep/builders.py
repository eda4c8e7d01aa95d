"""Rows of a sweep with figures set by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from graphcond.sweep.results import Group, Results, value_of
from graphcond.sweep.rows import ROW
from graphcond.sweep.scores.base import Figure

N = 200


def figure(
    metric: str,
    mean: float,
    arm: str = "graph",
    *,
    spread: float = 0.2,
    targets: str = "t",
    higher: bool | None = True,
    shift: int = 0,
) -> Figure:
    """A figure with scores around its mean; those of equal ``shift`` vary together."""
    scores = mean + spread * np.sin(np.arange(N) + shift)
    scores += mean - scores.mean()
    return Figure(metric, arm, scores, N, "mean", higher, "eye", targets)


def group(
    name: str,
    *figures: Figure,
    labels: Mapping[str, str] | None = None,
    again: Sequence[Sequence[Figure]] = (),
    failed: Mapping[int, str] | None = None,
) -> Group:
    """A row with one figure of each sort, and more seeds in ``again``."""
    seeds = [figures, *again] if figures else []
    keys = [(one.metric, one.arm) for one in figures]
    by_key = {key: tuple(seed[place] for seed in seeds) for place, key in enumerate(keys)}
    return Group(
        name=name,
        seeds=tuple(range(len(seeds))),
        labels=labels or {ROW: name},
        parts={"sampler": "ppr", "encoder": "gcn", "injector": name},
        parameters=1_234_567,
        memory=2.5e8,
        seconds=90.0,
        figures=by_key,
        values={key: value_of(ones, [f.evidence for f in ones], seed=0) for key, ones in by_key.items()},
        notes=("relation_accuracy: 312 relations in 120 graphs",),
        failed=failed or {},
    )


def results(*groups: Group) -> Results:
    """A table whose reference is its first row."""
    return Results(groups, groups[0].name, 0)
