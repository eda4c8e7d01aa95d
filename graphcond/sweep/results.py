"""The figures of a sweep: over targets and seeds, and their paired differences to one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np
from jaxtyping import Float64

from graphcond.intervals import Measurement, measured
from graphcond.report import read_run
from graphcond.sweep.config import SweepConfig
from graphcond.sweep.rows import ROW, RowPlan
from graphcond.sweep.scores.base import Example, Figure, Scored

STUDENT = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
)
"""The 0.975 quantiles of Student's t with 1 to 20 degrees of freedom.

Beyond, 1.96 + 2.4 / degrees is right to 0.3 %.
"""

Key = tuple[str, str]
"""A metric and an arm."""


@dataclass(frozen=True)
class Value:
    """A figure of a row over all its seeds.

    Args:
        over_targets: the mean of its seeds, with the interval over targets.
        over_seeds: the same with the interval over seeds (Student's t); None with one seed.
    """

    over_targets: Measurement
    over_seeds: Measurement | None = None

    @property
    def sign(self) -> int:
        """1 or -1 where no interval holds 0, else 0."""
        intervals = [one for one in (self.over_targets, self.over_seeds) if one is not None]
        if all(one.low > 0 for one in intervals):
            return 1
        return -1 if all(one.high < 0 for one in intervals) else 0


@dataclass(frozen=True)
class Difference:
    """A figure of a row less that of the reference row.

    Args:
        value: the difference, paired by target and seed.
        verdict: ``better``, ``worse``, or that there is no difference to be seen.
    """

    value: Value
    verdict: str


NO_DIFFERENCE = "no difference shown"
WORDS = {None: ("lower", "higher"), True: ("worse", "better"), False: ("better", "worse")}
"""By whether higher is better: what a lower and a higher figure is called."""


@dataclass(frozen=True)
class Group:
    """A row of the table: all its seeds.

    Args:
        name: of the row.
        seeds: those that are done.
        labels: by axis the name of the value there.
        parts: the encoders, injectors and samplers of its recipe.
        parameters: number of trained parameters.
        memory: peak memory in bytes, the largest of its seeds.
        seconds: of the training steps, the mean of its seeds.
        processor_seconds: user and system time of training and scores, the mean of its seeds; unlike
            ``seconds`` it hardly depends on what else the machine does.
        figures: by metric and arm, one for each seed.
        values: by metric and arm.
        notes: what scores and training say.
        failed: why seeds failed.
        examples: pictures of the first seed.
    """

    name: str
    seeds: tuple[int, ...]
    labels: Mapping[str, str]
    parts: Mapping[str, str]
    parameters: int | None
    memory: float | None
    seconds: float | None
    figures: Mapping[Key, tuple[Figure, ...]] = field(repr=False)
    values: Mapping[Key, Value] = field(repr=False)
    notes: tuple[str, ...] = ()
    processor_seconds: float | None = None
    failed: Mapping[int, str] = field(default_factory=dict)
    examples: tuple[Example, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Results:
    """The table of a sweep.

    Args:
        groups: its rows.
        reference: the row that others are compared with: one for all, or one of the sweep's list of rows, at
            the same place of its grid.
        seed: of the intervals.
    """

    groups: tuple[Group, ...]
    reference: str
    seed: int
    _known: dict[tuple[str, str, Key, Key], Difference | None] = field(
        default_factory=dict, repr=False, compare=False
    )

    def reference_of(self, group: Group) -> Group | None:
        """The row that a row is compared with; None for that row itself, or where it has no figures."""
        at = {**group.labels, ROW: self.reference}
        found = next((one for one in self.groups if self.reference == one.name or one.labels == at), None)
        return found if found is not None and found.values and found is not group else None

    @property
    def keys(self) -> list[Key]:
        """Every metric and arm that some row has, in order of appearance."""
        return list(dict.fromkeys(key for group in self.groups for key in group.values))

    def group(self, name: str) -> Group:
        """A row by its name."""
        return next(group for group in self.groups if group.name == name)

    def higher_is_better(self, metric: str) -> bool | None:
        """Whether more of a metric is better; None where neither is."""
        named = (ones[0] for group in self.groups for key, ones in group.figures.items() if key[0] == metric)
        return next((figure.higher_is_better for figure in named), None)

    def difference(self, name: str, other: str, key: Key) -> Difference | None:
        """A figure of a row less that of another, paired by target and seed.

        None where one of them has no such figure, or the targets, networks or seeds are not the same.
        """
        return self._paired(self.group(name), self.group(other), key, key)

    def gain(self, name: str, metric: str, over: str) -> Difference | None:
        """What the graph adds to a metric of a row over another arm, paired by target and seed."""
        group = self.group(name)
        return self._paired(group, group, (metric, "graph"), (metric, over))

    def _paired(self, one: Group, other: Group, key: Key, other_key: Key) -> Difference | None:
        at = (one.name, other.name, key, other_key)
        if at in self._known:  # each takes thousands of resamples, and several tables show it
            return self._known[at]
        ours, theirs = one.figures.get(key, ()), other.figures.get(other_key, ())
        basis, found = attrgetter("metric", "how", "n", "network", "targets"), None
        if ours and one.seeds == other.seeds and [*map(basis, ours)] == [*map(basis, theirs)]:
            evidence = [a.evidence - b.evidence for a, b in zip(ours, theirs, strict=True)]
            value = value_of(ours, evidence, seed=self.seed)
            words = WORDS[ours[0].higher_is_better]
            found = Difference(value, NO_DIFFERENCE if value.sign == 0 else words[value.sign > 0])
        self._known[at] = found
        return found


def results_of(
    config: SweepConfig,
    plans: Sequence[RowPlan],
    done: Mapping[str, Scored],
    failed: Mapping[str, str],
) -> Results:
    """The table of rows.

    Args:
        config: the sweep.
        plans: its rows.
        done: by the name of a row, what was measured.
        failed: by the name of a row, why it failed.
    """
    by_group: dict[str, list[RowPlan]] = {}
    for plan in plans:
        by_group.setdefault(plan.row.group, []).append(plan)
    groups = tuple(_group(ones, done, failed, config.seed) for ones in by_group.values())
    whole = [group for group in groups if group.seeds]
    reference = config.reference
    if reference is None and whole:
        reference = whole[0].labels.get(ROW, whole[0].name)
    return Results(groups, reference or "", config.seed)


def _group(
    plans: Sequence[RowPlan], done: Mapping[str, Scored], failed: Mapping[str, str], seed: int
) -> Group:
    """The row of the table for all seeds of a row."""
    found = [(plan, done[plan.row.name]) for plan in plans if plan.row.name in done]
    runs = [read_run(plan.folder) for plan, _ in found if plan.trains]
    figures: dict[Key, tuple[Figure, ...]] = {}
    for _, scored in found:
        for figure in scored.figures:
            key = (figure.metric, figure.arm)
            figures[key] = (*figures.get(key, ()), figure)
    notes = [note for _, scored in found for note in scored.notes]
    notes += [f"training: {warning}" for run in runs for warning in run.warnings]
    seconds = [run.seconds["training"] for run in runs if "training" in run.seconds]
    spent = [one for plan, _ in found if (one := plan.processor_seconds()) is not None]
    memory = [run.peak_memory[1] for run in runs if run.peak_memory is not None]
    trained = next((run.parameters for run in runs if run.parameters), {})
    row = plans[0].row
    kinds = {
        part: " + ".join(dict.fromkeys(getattr(condition, part).kind for condition in row.recipe.conditions))
        for part in ("sampler", "encoder", "injector")
    }
    return Group(
        name=row.group,
        seeds=tuple(plan.row.seed for plan, _ in found),
        labels=row.labels,
        parts=kinds | {"injector": " + ".join([kinds["injector"], *row.recipe.updates])},
        parameters=sum(trained.values()) if runs else None,
        memory=max(memory, default=None),
        seconds=sum(seconds) / len(seconds) if seconds else None,
        figures=figures,
        values={
            key: value_of(ones, [one.evidence for one in ones], seed=seed) for key, ones in figures.items()
        },
        notes=tuple(dict.fromkeys(notes)),
        processor_seconds=sum(spent) / len(spent) if spent else None,
        failed={plan.row.seed: failed[plan.row.name] for plan in plans if plan.row.name in failed},
        examples=tuple(found[0][1].examples) if found else (),
    )


def value_of(figures: Sequence[Figure], evidence: Sequence[Float64[np.ndarray, " _"]], *, seed: int) -> Value:
    """The mean over seeds of a figure, or of differences of figures, from the evidence of each seed.

    Args:
        figures: of each seed.
        evidence: theirs, or that of their differences.
        seed: of the interval over targets.
    """
    first = figures[0]
    same_length = len({len(one) for one in evidence}) == 1
    together = np.mean(evidence, axis=0) if same_length else np.concatenate(evidence)
    targets = measured(first.metric, together, first.n, first.how, seed=seed)
    if len(figures) == 1:
        return Value(targets)
    each = np.array([one.mean() if first.how == "mean" else one[0] for one in evidence])
    reach = student(len(each) - 1) * float(each.std(ddof=1)) / len(each) ** 0.5
    mean = float(each.mean())
    return Value(targets, Measurement(first.metric, mean, mean - reach, mean + reach, len(each)))


def student(freedom: int) -> float:
    """The 0.975 quantile of Student's t."""
    return STUDENT[freedom - 1] if freedom <= len(STUDENT) else 1.96 + 2.4 / freedom
