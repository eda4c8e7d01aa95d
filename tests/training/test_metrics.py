from __future__ import annotations

from pathlib import Path

import pytest

from graphcond.training.metrics import Recent, append_record, cut_after, read_records
from graphcond.training.step import StepFigures


def test_lines_go_round_and_are_cut(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    assert read_records(file) == []
    for step in (1, 2, 3):
        append_record(file, {"step": step, "loss": None})
    with file.open("a") as stream:
        stream.write('{"step": 4, "lo')
    assert [record["step"] for record in read_records(file)] == [1, 2, 3]
    cut_after(file, 2)
    assert file.read_text() == '{"step": 1, "loss": null}\n{"step": 2, "loss": null}\n'


def test_means_are_over_steps_that_trained() -> None:
    recent = Recent()
    assert recent.loss is None
    for loss, trained in ((1.0, 4), (None, 0), (2.0, 2)):
        recent.add(StepFigures(loss, trained, {}, None, {}, {}), samples=4, seconds=0.5)
    assert recent.loss == 1.5
    assert recent.trained == 6
    assert recent.rate == pytest.approx(8)
