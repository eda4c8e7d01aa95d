from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.errors import InputError
from tests.report.folders import RECIPE, train_line, validation_line, write_run
from tests.report.latex import check_latex
from tests.report.test_page import full_run


def call(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=True)
    if isinstance(done.exception, InputError):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def test_all_formats_of_two_runs_of_one_name(tmp_path: Path) -> None:
    runs = [full_run(tmp_path / folder / "run") for folder in ("one", "two")]
    files = {kind: tmp_path / f"out.{kind}" for kind in ("html", "csv", "tex", "pdf")}
    said = call(
        *("report", *runs, "--out", files["html"], "--csv", files["csv"]),
        *("--latex", files["tex"], "--pdf", files["pdf"]),
    )
    assert said.splitlines() == [f"wrote {file}" for file in files.values()]
    assert "paintings (one/run)" in files["html"].read_text(encoding="utf-8")
    rows = list(csv.DictReader(files["csv"].read_text(encoding="utf-8").splitlines()))
    assert [row["run"] for row in rows] == ["paintings (one/run)", "paintings (two/run)"]
    assert [float(rows[0][f"gap_percent{end}"]) for end in ("", "_low", "_high", "_n")] == [25, 10, 40, 8]
    assert int(rows[0]["parameters_a"]) == 12
    assert float(rows[0]["peak_memory_bytes"]) == 2e9
    assert float(rows[0]["test/the gates are shut/clip_i/graph_high"]) == 0.6
    tex = files["tex"].read_text(encoding="utf-8")
    assert tex.count(r"\begin{tabular}") == 3
    check_latex(tex, tmp_path)
    assert files["pdf"].read_bytes().startswith(b"%PDF")


def test_a_page_alone_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(tmp_path / "run", [train_line(10)])
    monkeypatch.chdir(tmp_path)
    call("report", run)
    assert (tmp_path / "report.html").is_file()
    call("report", run, run, "--csv", "a.csv")
    assert len((tmp_path / "a.csv").read_text().splitlines()) == 2, "one run named twice has one row"


def test_a_folder_that_is_no_run_and_no_runs_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"not a run folder.*graphcond runs"):
        call("report", tmp_path)
    assert CliRunner().invoke(app, ["report"]).exit_code == 2
    assert call("runs", tmp_path) == f"no runs under {tmp_path}\n"
    assert json.loads(call("runs", tmp_path, "--json")) == []
    with pytest.raises(InputError, match="no such folder"):
        call("runs", tmp_path / "nowhere")


def test_runs_are_listed_with_their_state(tmp_path: Path) -> None:
    write_run(tmp_path / "a" / "done", [train_line(20), validation_line(20, 0.8, 0.6)], final=True)
    write_run(tmp_path / "b", [train_line(5)], recipe=RECIPE | {"name": "[bold]books"})
    rows = {row["run"]: row for row in json.loads(call("runs", tmp_path, "--json"))}
    assert rows["a/done"]["state"] == "finished"
    assert rows["a/done"]["gap %"] == pytest.approx(25)
    assert (rows["b"]["state"], rows["b"]["steps"], rows["b"]["gap %"]) == ("stopped", "5/20", None)
    assert "bold" in call("runs", tmp_path)


def test_a_long_path_stays_whole(tmp_path: Path) -> None:
    path = Path("a-comparison-of-several-injectors") / "gated_self_attention-by-coverage" / "seed-1"
    write_run(tmp_path / path, [train_line(20)])
    (line,) = [line for line in call("runs", tmp_path).splitlines() if "seed-1" in line]
    assert line.split()[0] == str(path)
