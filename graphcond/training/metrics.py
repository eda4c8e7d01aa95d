"""metrics.jsonl: one line per record, each a JSON object with its ``step``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphcond.errors import InputError
from graphcond.io.files import read_text, write_text
from graphcond.io.strict_json import parse_json

if TYPE_CHECKING:  # it loads torch
    from graphcond.training.step import StepFigures


def append_record(file: Path, record: Mapping[str, Any]) -> None:
    """Add a line."""
    with file.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def read_records(file: Path) -> list[dict[str, Any]]:
    """All lines; a line that an interrupted run left incomplete is skipped."""
    if not file.exists():
        return []
    records = []
    for line in read_text(file).splitlines():
        with suppress(InputError):
            record = parse_json(line, file, nan=True)
            if isinstance(record, dict) and isinstance(record.get("step"), int):
                records.append(record)
    return records


def cut_after(file: Path, step: int, *, stage: str | None = None) -> None:
    """Remove records after ``step``, of a stage only its own; a resumed run writes them again."""
    records = read_records(file)
    if stage is None:
        kept = [one for one in records if one["step"] <= step]
    else:
        kept = [one for one in records if one.get("stage") != stage or one["stage_step"] <= step]
    if stage is None or len(kept) < len(records):
        write_text(file, "".join(json.dumps(record) + "\n" for record in kept))


@dataclass
class Recent:
    """Figures since the last line: means over steps, sums over samples."""

    losses: list[float] = field(default_factory=list)
    trained: int = 0
    samples: int = 0
    steps: int = 0
    seconds: float = 0.0

    def add(self, figures: StepFigures, samples: int, seconds: float) -> None:
        """Take in one step."""
        self.losses += [] if figures.loss is None else [figures.loss]
        self.trained += figures.trained
        self.samples += samples
        self.steps += 1
        self.seconds += seconds

    @property
    def loss(self) -> float | None:
        """Mean loss of the steps that trained on anything."""
        return sum(self.losses) / len(self.losses) if self.losses else None

    @property
    def rate(self) -> float:
        """Samples per second, dropped ones included."""
        return self.samples / max(self.seconds, 1e-9)

    @property
    def step_seconds(self) -> float | None:
        """Seconds of a step; None before the first."""
        return self.seconds / self.steps if self.steps else None
