"""Run folders as training leaves them, read tolerantly: a run may be unfinished, old or damaged in part."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, TypeAlias

from graphcond.errors import InputError
from graphcond.intervals import Measurement
from graphcond.io.files import read_json
from graphcond.io.locks import held
from graphcond.io.strict_yaml import read_yaml
from graphcond.recipe.overrides import leaves
from graphcond.training.metrics import read_records
from graphcond.training.paths import RunFolder

State: TypeAlias = Literal["running", "finished", "stopped", "failed"]

PREVIEW = re.compile(r"step-(\d+)\.png")


@dataclass(frozen=True)
class Curve:
    """Values over steps, in the order in which they were written."""

    steps: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True)
class Run:
    """The content of a run folder.

    Args:
        folder: the folder.
        settings: the recipe's settings by path, such as ``training.steps``.
        records: the lines of metrics.jsonl.
        previews: the contact sheets by their step, in order.
        evaluations: the reports of `graphcond evaluate` in the folder, by file and part.
        label: a name that no other run beside it has.
    """

    folder: Path
    settings: Mapping[str, Any]
    records: Sequence[Mapping[str, Any]] = ()
    previews: Mapping[int, Path] = field(default_factory=dict)
    evaluations: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    label: str = ""

    @property
    def name(self) -> str:
        """The name of the recipe."""
        return str(self.settings.get("name", self.folder.name))

    @property
    def steps(self) -> int | None:
        """The optimizer steps that the recipe wants."""
        return _integer(self.settings.get("training.steps"))

    @cached_property
    def done(self) -> int:
        """The optimizer steps of which the folder tells."""
        return max((int(record["step"]) for record in self.records), default=0)

    @property
    def state(self) -> State:
        """Whether a process works on the run; else whether it reached its end, was stopped, or failed."""
        if held(RunFolder(self.folder).lock):
            return "running"
        if self.records and self.records[-1].get("kind") == "failure":
            return "failed"
        trained = any(True for _ in self.of("train"))
        complete = self.steps is None or self.done >= self.steps or not trained
        has_model = (RunFolder(self.folder).final / "graphcond.json").is_file()
        return "finished" if has_model and complete else "stopped"

    @property
    def resumed_at(self) -> tuple[int, ...]:
        """The steps from which the run was resumed."""
        return tuple(int(record["step"]) for record in list(self.of("start"))[1:])

    @property
    def failure(self) -> str | None:
        """The error that ended the run."""
        return str(self.records[-1].get("error", "")) if self.state == "failed" else None

    @property
    def modified(self) -> datetime:
        """When the run last wrote figures, in local time."""
        file = RunFolder(self.folder).metrics
        return datetime.fromtimestamp((file if file.exists() else self.folder).stat().st_mtime)

    @property
    def loss(self) -> float | None:
        """The training loss of the newest line that has one."""
        return next(reversed(self.curve("train", "loss").values), None)

    @property
    def gap(self) -> Measurement | float | None:
        """What the graph takes off the newest validation loss, in per cent of the loss without graph.

        A figure without interval in folders of versions that recorded none; None without validation.
        """
        return self._newest_gap("")

    @property
    def gap_boxes_hidden(self) -> Measurement | float | None:
        """As `gap`, with the graph but without its boxes; None where a run hides none."""
        return self._newest_gap(BOXES_HIDDEN)

    def _newest_gap(self, condition: str) -> Measurement | float | None:
        newest = next(reversed(list(self.of("validation"))), None)
        return None if newest is None else gap_of(newest, condition)

    @property
    def parameters(self) -> dict[str, int]:
        """The number of trained parameters by group; empty in folders of old versions."""
        return {
            name: count
            for record in self.of("start")
            for name, count in _mapping(record.get("parameters")).items()
            if _integer(count) is not None
        }

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds by stage, over all sittings of the run; see `graphcond.training.TrainedRun`."""
        total: dict[str, float] = {}
        for record in (*self.of("end"), *self.of("failure")):
            for name, value in _mapping(record.get("seconds")).items():
                if (seconds := _number(value)) is not None:
                    total[name] = total.get(name, 0.0) + seconds
        return total

    @property
    def step_seconds(self) -> float | None:
        """Seconds of a step, the middle one of the lines."""
        values = sorted(self.curve("train", "seconds_per_step").values)
        return values[len(values) // 2] if values else None

    @property
    def peak_memory(self) -> tuple[str, float] | None:
        """The place whose memory was measured (``process`` or ``GPU``), and the peak in bytes."""
        peaks = {
            str(_at(record, ("memory", "of"))): peak
            for record in self.of("train")
            if (peak := _number(_at(record, ("memory", "bytes")))) is not None
        }
        return next(iter(peaks.items()), None)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What training warned of, each sentence once."""
        found = (record.get("warnings") for record in self.of("warning"))
        return tuple(dict.fromkeys(str(text) for one in found if isinstance(one, list) for text in one))

    @property
    def stages(self) -> dict[str, dict[str, float]]:
        """The last figures of each stage before the main training."""
        return {
            str(record.get("stage")): {
                name: value
                for name, value in record.items()
                if name not in ("step", "kind", "stage") and _number(value) is not None
            }
            for record in self.of("stage")
        }

    @property
    def size(self) -> int:
        """Bytes of the folder."""
        return sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file())

    def of(self, kind: str) -> Iterator[Mapping[str, Any]]:
        """The records of a kind, in order."""
        return (record for record in self.records if record.get("kind") == kind)

    def curve(self, kind: str, *path: str) -> Curve:
        """The figure at ``path`` inside the records of a kind; records without it are left out."""
        found = {
            int(record["step"]): value
            for record in self.of(kind)
            if (value := _number(_at(record, path))) is not None
        }
        return Curve(tuple(found), tuple(found.values()))

    def names(self, kind: str, *path: str) -> list[str]:
        """The keys that stand at ``path`` in any record of a kind."""
        return list(dict.fromkeys(key for record in self.of(kind) for key in _mapping(_at(record, path))))


BOXES_HIDDEN = "_boxes_hidden"
"""Ends the names of the figures of graphs without their boxes."""


def gap_of(record: Mapping[str, Any], condition: str = "") -> Measurement | float | None:
    """The graph gap of a validation record in per cent of the loss without graph.

    Args:
        record: the record.
        condition: `BOXES_HIDDEN` for the gap of graphs without their boxes.
    """
    if (percent := measurement(record.get(f"gap_percent{condition}"), "gap")) is not None:
        return percent
    gap, without = _number(record.get(f"graph_gap{condition}")), _number(_at(record, ("loss", "no_graph")))
    return None if gap is None or not without else 100 * gap / without


def measurement(values: Any, name: str) -> Measurement | None:
    """A figure with its interval, if the plain ``values`` are one."""
    match values:
        case {
            "mean": float() | int() as mean,
            "low": float() | int() as low,
            "high": float() | int() as high,
            "n": int() as n,
        }:
            return Measurement(name, mean, low, high, n)
    return None


def read_run(folder: str | Path) -> Run:
    """Read a run folder; what is missing or damaged in it is left out.

    Raises:
        InputError: the folder is not a run.
    """
    paths = RunFolder(Path(folder))
    if not paths.recipe.is_file():
        raise InputError(
            "the folder is not a run folder",
            place=folder,
            remedy="give a folder that `graphcond train` wrote; `graphcond runs` lists them",
        )
    settings: dict[str, Any] = {}
    with suppress(InputError):
        settings = dict(leaves(read_yaml(paths.recipe)))
    records = [record for record in read_records(paths.metrics) if _integer(record["step"]) is not None]
    sheets = paths.previews.iterdir() if paths.previews.is_dir() else ()
    previews = {int(found[1]): file for file in sheets if (found := PREVIEW.fullmatch(file.name))}
    return Run(
        folder=paths.root,
        settings=settings,
        records=tuple(records),
        previews=dict(sorted(previews.items())),
        evaluations=dict(_evaluations(paths.root)),
        label=str(settings.get("name", paths.root.name)),
    )


def find_runs(folder: str | Path) -> list[Run]:
    """All runs under a folder, the oldest first.

    Raises:
        InputError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError("no such folder", place=folder, remedy="name a folder that holds runs")
    runs = []
    for file in folder.rglob("recipe.yaml"):
        paths = RunFolder(file.parent)
        if any(one.exists() for one in (paths.metrics, paths.checkpoints, paths.final, paths.lock)):
            runs.append(read_run(file.parent))
    return sorted(labeled(runs), key=lambda run: (run.modified, str(run.folder)))


def labeled(runs: Sequence[Run]) -> list[Run]:
    """The runs with labels that tell them apart: their names, and where names repeat, their folders."""
    result = []
    for run in runs:
        twins = [other.folder for other in runs if other.name == run.name and other is not run]
        label = run.name if not twins else f"{run.name} ({apart(run.folder, twins)})"
        result.append(replace(run, label=label))
    return result


def apart(folder: Path, others: Sequence[Path]) -> str:
    """The shortest end of a path that no other one has."""
    parts = folder.resolve().parts
    for count in range(1, len(parts) + 1):
        if all(other.resolve().parts[-count:] != parts[-count:] for other in others):
            return "/".join(parts[-count:])
    return str(folder)


def _evaluations(folder: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The reports in JSON files of the folder, which hold ``arms`` by name."""
    patterns = ("*.json", "*/report.json", "evaluations/*.json", "evaluations/*/report.json")
    for file in sorted({file for pattern in patterns for file in folder.glob(pattern)}):
        name = file.parent.name if file.name == "report.json" and file.parent != folder else file.stem
        with suppress(InputError):
            for part, report in _mapping(read_json(file, nan=True)).items():
                if isinstance(report, dict) and isinstance(report.get("arms"), dict):
                    yield f"{name}/{part}", report


def _at(record: Any, path: Sequence[str]) -> Any:
    """What stands at ``path`` inside a record; None where nothing does."""
    for key in path:
        record = _mapping(record).get(key)
    return record


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
