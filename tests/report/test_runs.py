from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.intervals import Measurement
from graphcond.io.locks import locked
from graphcond.report import find_runs, read_run
from graphcond.report.runs import labeled
from graphcond.report.summaries import GAP_HIDDEN, summary
from tests.report.folders import RECIPE, train_line, validation_line, write_run


def test_the_figures_of_a_run(tmp_path: Path) -> None:
    percent = {"mean": 25.0, "low": 10.0, "high": 40.0, "n": 8}
    records = [
        {"step": 0, "kind": "start", "parameters": {"a": 12, "base": 900}},
        train_line(10, 0.9, seconds_per_step=0.4, memory={"of": "process", "bytes": 2e9}),
        validation_line(10, 0.8, 0.7),
        {"step": 10, "kind": "start", "parameters": {"a": 12, "base": 900}},
        train_line(20, None, seconds_per_step=0.2),
        validation_line(20, 0.8, 0.6, gap_percent=percent),
        {"step": 20, "kind": "warning", "warnings": ["the gates are shut"]},
        {"step": 20, "kind": "end", "seconds": {"training": 5.0}},
    ]
    run = read_run(write_run(tmp_path / "r", records, final=True, previews=(20, 0)))
    assert (run.name, run.steps, run.done, run.state) == ("paintings", 20, 20, "finished")
    assert run.loss == 0.9, "a line without a loss was taken for the newest one"
    assert run.gap == Measurement("gap", 25.0, 10.0, 40.0, 8)
    assert run.parameters == {"a": 12, "base": 900}
    assert run.peak_memory == ("process", 2e9)
    assert run.step_seconds == 0.4
    assert run.seconds == {"training": 5.0}
    assert run.resumed_at == (10,)
    assert run.warnings == ("the gates are shut",)
    assert list(run.previews) == [0, 20]
    assert run.curve("validation", "loss", "no_graph").values == (0.8, 0.8)
    assert run.curve("train", "loss").steps == (10,)
    assert run.names("train", "learning_rate") == ["a"]


def test_a_gap_that_an_old_version_recorded_is_a_figure_without_interval(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path / "r", [train_line(20), validation_line(20, 0.8, 0.6)]))
    assert run.gap == pytest.approx(25.0)


def test_a_gap_with_hidden_boxes_has_a_column_where_some_run_measured_one(tmp_path: Path) -> None:
    percent = {"mean": 5.0, "low": 1.0, "high": 9.0, "n": 8}
    hidden = validation_line(20, 0.8, 0.6, gap_percent_boxes_hidden=percent)
    runs = [
        read_run(write_run(tmp_path / name, [train_line(20), line]))
        for name, line in (("hidden", hidden), ("plain", validation_line(20, 0.8, 0.6)))
    ]
    assert [run.gap_boxes_hidden for run in runs] == [Measurement("gap", 5.0, 1.0, 9.0, 8), None]
    assert GAP_HIDDEN in summary(runs).columns
    assert GAP_HIDDEN not in summary(runs[1:]).columns


@pytest.mark.parametrize(
    ("records", "final", "state"),
    [
        ([train_line(10)], False, "stopped"),
        ([train_line(20)], False, "stopped"),
        ([train_line(20)], True, "finished"),
        ([train_line(10)], True, "stopped"),  # a finished run that goes on with more steps
        ([validation_line(0, 0.8, 0.8)], True, "finished"),  # nothing to train
        ([train_line(10), {"step": 11, "kind": "failure", "error": "the loss is nan"}], False, "failed"),
        ([{"step": 5, "kind": "failure", "error": "x"}, train_line(10)], False, "stopped"),
        ([], False, "stopped"),
    ],
)
def test_the_state_of_a_run(
    records: list[dict[str, object]], final: bool, state: str, tmp_path: Path
) -> None:
    assert read_run(write_run(tmp_path / "r", records, final=final)).state == state


def test_a_run_that_a_process_works_on_is_running(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r", [train_line(10)])
    with locked(folder / ".lock", "a run"):
        assert [run.state for run in find_runs(tmp_path)] == ["running"]
        lock = (folder / ".lock").read_text(encoding="utf-8")
    assert read_run(folder).state == "stopped"
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    for left, state in (
        (lock, "running"),
        (lock.replace(str(os.getpid()), str(gone.pid)), "stopped"),
        ('{"host": "elsewhere", "pid": 1}', "running"),
        ("", "stopped"),
        ('{"pid": 1}', "stopped"),
        ("[" * 9, "stopped"),
    ):
        (folder / ".lock").write_text(left, encoding="utf-8")
        assert read_run(folder).state == state, left


def test_what_is_damaged_is_left_out(tmp_path: Path) -> None:
    records = [
        '{"step": 1, "kind": "tra',
        "[1, 2]",
        '{"step": "x", "kind": "train", "loss": 1.0}',
        '{"step": 2, "kind": "train", "loss": "much", "memory": 3, "learning_rate": [1]}',
        '{"step": 2, "kind": "validation", "loss": 7, "graph_gap": null, "gap_percent": "?"}',
        '{"step": 2, "kind": "warning", "warnings": 9}',
        '{"step": 2, "kind": "end", "seconds": [1]}',
        train_line(3, 0.25),
    ]
    folder = write_run(tmp_path / "r", records)
    (folder / "recipe.yaml").write_text("name: [", encoding="utf-8")
    (folder / "broken.json").write_text("{", encoding="utf-8")
    run = read_run(folder)
    assert (run.name, run.done, run.loss, run.gap) == ("r", 3, 0.25, None)
    assert (run.warnings, run.seconds, run.peak_memory, dict(run.evaluations)) == ((), {}, None, {})


def test_reports_of_evaluate_are_found(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "r")
    (folder / "test.json").write_text('{"art": {"arms": {}}, "other": 3}', encoding="utf-8")
    (folder / "evaluations").mkdir()
    (folder / "evaluations" / "val.json").write_text('{"art": {"arms": {"graph": {}}}}', encoding="utf-8")
    (folder / "evaluations" / "own-test").mkdir()
    (folder / "evaluations" / "own-test" / "report.json").write_text(
        '{"separate": {"arms": {}}}', encoding="utf-8"
    )
    assert set(read_run(folder).evaluations) == {"test/art", "val/art", "own-test/separate"}


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder"):
        read_run(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        find_runs(tmp_path / "nowhere")


def test_runs_under_a_folder_and_the_names_of_twins(tmp_path: Path) -> None:
    write_run(tmp_path / "one" / "run", [train_line(1)])
    write_run(tmp_path / "two" / "run", [train_line(1)])
    write_run(tmp_path / "three" / "other", [train_line(1)], recipe=RECIPE | {"name": "books"})
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "recipe.yaml").write_text("name: no_run", encoding="utf-8")
    found = labeled(find_runs(tmp_path))
    assert sorted(run.label for run in found) == ["books", "paintings (one/run)", "paintings (two/run)"]


def test_reading_runs_loads_no_torch() -> None:
    code = "import sys, graphcond.report; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
