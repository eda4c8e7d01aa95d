"""Runs beside each other: their figures, the differences of their recipes, their evaluations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from graphcond.intervals import Measurement
from graphcond.progress import duration
from graphcond.report.runs import Run, measurement
from graphcond.report.table import Cell, Table

GAP = "graph gap, % of the loss without graph"
GAP_HIDDEN = "graph gap with boxes hidden, %"


def summary(runs: Sequence[Run]) -> Table:
    """A row for each run, as a reader wants it."""
    hidden = any(run.gap_boxes_hidden is not None for run in runs)
    rows: list[Mapping[str, Cell]] = [
        {
            "run": run.label,
            "state": run.state,
            "steps": progress_of(run),
            "loss": run.loss,
            GAP: run.gap,
            **({GAP_HIDDEN: run.gap_boxes_hidden} if hidden else {}),
            "trained parameters": sum(run.parameters.values()) or None,
            "peak memory": memory_of(run),
            "seconds per step": run.step_seconds,
            "seconds in all": sum_of_stages(run),
        }
        for run in runs
    ]
    measured = any(isinstance(run.gap, Measurement) for run in runs)
    notes = ["in brackets 95 % intervals, from resampled validation samples"] if measured else []
    return Table.of(rows, title="Runs", notes=notes)


def listing(runs: Sequence[Run], folder: Path) -> Table:
    """A row for each run under a folder, in short."""
    rows: list[Mapping[str, Cell]] = [
        {
            "run": str(run.folder.relative_to(folder)),
            "recipe": run.name,
            "when": f"{run.modified:%m-%d %H:%M}",
            "steps": progress_of(run),
            "state": run.state,
            "loss": run.loss,
            "gap %": run.gap,
            "time": "" if (seconds := sum_of_stages(run)) is None else duration(seconds),
            "size": decimal(run.size),
        }
        for run in runs
    ]
    return Table.of(rows)


def figures(runs: Sequence[Run]) -> Table:
    """A row for each run with everything that is a number, for programs."""
    rows = []
    for run in runs:
        row: dict[str, Cell] = {"run": run.label, "folder": str(run.folder), "recipe": run.name}
        row |= {"state": run.state, "steps_done": run.done, "steps": run.steps}
        row |= {"loss": run.loss, "gap_percent": run.gap}
        for arm in ("graph", "no_graph", "shuffled"):
            row[f"validation_loss_{arm}"] = next(reversed(run.curve("validation", "loss", arm).values), None)
        row |= {f"parameters_{group}": count for group, count in run.parameters.items()}
        place, peak = run.peak_memory or (None, None)
        row |= {"peak_memory_bytes": peak, "peak_memory_of": place, "seconds_per_step": run.step_seconds}
        row |= {f"seconds_{stage}": seconds for stage, seconds in run.seconds.items()}
        row["warnings"] = "; ".join(run.warnings)
        for part, report in run.evaluations.items():
            for metric, arms in evaluated(report).items():
                row |= {f"{part}/{metric}/{arm}": figure for arm, figure in arms.items()}
        rows.append(row)
    return Table.of(rows)


def differences(runs: Sequence[Run]) -> Table:
    """The settings in which the recipes differ, with a column for each run."""
    settings = dict.fromkeys(key for run in runs for key in run.settings)
    rows = [(key, *(str(run.settings.get(key, "(not set)")) for run in runs)) for key in settings]
    return Table(
        ("setting", *(run.label for run in runs)),
        tuple(row for row in rows if len(set(row[1:])) > 1),
        "Differences between the recipes",
    )


def all_tables(runs: Sequence[Run]) -> list[Table]:
    """The tables of a report: the runs, the differences where there are several, and the evaluations."""
    return [summary(runs), *([differences(runs)] if len(runs) > 1 else []), *evaluations(runs)]


def evaluations(runs: Sequence[Run]) -> list[Table]:
    """A table for each evaluated part, with a row for each run and metric and a column for each arm."""
    parts = dict.fromkeys(name for run in runs for name in run.evaluations)
    tables = []
    for part in parts:
        rows: list[Mapping[str, Cell]] = [
            {"run": run.label, "metric": metric, **{arm.replace("_", " "): one for arm, one in arms.items()}}
            for run in runs
            if part in run.evaluations
            for metric, arms in evaluated(run.evaluations[part]).items()
        ]
        if rows:
            tables.append(Table.of(rows, title=part, notes=["in brackets 95 % intervals"]))
    return tables


def evaluated(report: Mapping[str, Any]) -> dict[str, dict[str, Measurement]]:
    """The figures in a report of `graphcond evaluate`, by metric, then by arm and difference of arms."""
    found: dict[str, dict[str, Measurement]] = {}
    for group in ("arms", "differences"):
        columns = report.get(group)
        for column, by_metric in columns.items() if isinstance(columns, Mapping) else ():
            for metric, figure in by_metric.items() if isinstance(by_metric, Mapping) else ():
                if (measured := measurement(figure, str(metric))) is not None:
                    found.setdefault(str(metric), {})[str(column)] = measured
    return found


def progress_of(run: Run) -> str:
    """The steps done, and of how many."""
    return f"{run.done:,}" if run.steps is None else f"{run.done:,}/{run.steps:,}"


def memory_of(run: Run) -> str | None:
    """The peak memory, and the place where it was measured."""
    return None if (peak := run.peak_memory) is None else f"{decimal(int(peak[1]))} ({peak[0]})"


def sum_of_stages(run: Run) -> float | None:
    """Seconds from the first stage to the end, as far as they were recorded."""
    inside = ("validation", "previews", "checkpoints")  # of the training
    return sum(seconds for name, seconds in run.seconds.items() if name not in inside) or None
