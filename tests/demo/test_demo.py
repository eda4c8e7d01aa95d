"""The demo from end to end, as small as it gets: every file is there and the figures add up."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks import titles
from graphcond.cli.demo import in_words
from graphcond.demo import run
from graphcond.demo.run import run_demo
from graphcond.demo.worlds import DemoSize
from graphcond.evaluation.evaluate import ARMS
from graphcond.worlds import SUBJECTS

SMALL = DemoSize(training_steps=2, paintings_per_artist=20, held_out=12, unseen=6, swept=4)


@pytest.fixture(scope="module", params=["tiny", "tiny-dit"])
def out(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "QUICK", SMALL)
        quiet = Console(quiet=True)
        run_demo(folder, world="art", base=request.param, quick=True, device="cpu", console=quiet)
    return folder


def test_the_report_has_what_the_readme_promises(out: Path) -> None:
    report = json.loads((out / "report.json").read_text())
    arms = {"no_graph", "graph", "shuffled_graph"}
    for name in ("style_accuracy", "subject_accuracy", "unseen_artists"):
        assert set(report[name]) == arms
        assert all(0 <= share <= 1 for share in report[name].values())
    assert report["chance"] == pytest.approx(1 / 12)
    assert report["n"] == 12
    assert report["training_steps"] == 2
    assert {"world", "training", "drawing"} <= set(report["seconds"])
    assert next(iter(report["by_graph_scale"])) == "0"


def test_pictures_and_model_are_there(out: Path) -> None:
    for name in ("grid.png", "guidance.png"):
        with Image.open(out / name) as picture:
            assert min(picture.size) > 300
    assert (out / "model" / "graphcond.json").is_file()
    assert list((out / "run" / "previews").glob("*.png"))


def test_unseen_artists_were_never_targets(out: Path) -> None:
    from graphcond.graphs import open_graph

    graph = open_graph(out / "graph")
    recipe = json.loads((out / "model" / "graphcond.json").read_text())["recipe"]
    assert recipe["data"]["train_splits"] == ["train"]
    assert recipe["data"]["forbidden_splits"] == ["test"]
    unseen = {graph.nodes.attributes["artist"][row] for row in graph.nodes.in_split("unseen").tolist()}
    trained = {graph.nodes.attributes["artist"][row] for row in graph.nodes.in_split("train").tolist()}
    assert len(unseen) == 2
    assert not unseen & trained


def test_the_last_words_name_what_to_look_at(out: Path) -> None:
    from graphcond.demo import DemoReport

    report = DemoReport(**json.loads((out / "report.json").read_text()))
    words = in_words(report, out)
    assert str(out / "grid.png") in words
    assert f"generate {out / 'model'}" in words


def test_a_second_run_replaces_the_first_and_says_what_it_does(
    out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (out / "report.json").stat().st_mtime_ns
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "QUICK", SMALL)
        run_demo(out, world="art", quick=True, device="cpu", console=Console(quiet=True))
    assert (out / "report.json").stat().st_mtime_ns > before
    said = capsys.readouterr().err
    for task in ("painting pictures of the world", "no graph", "graph", "shuffled graph", "growing s_G"):
        assert re.search(rf"^{task} \.\.\.\n(.*\n)*{task}: (\d+)/\2\b", said, re.MULTILINE), task


def test_titles_that_name_the_movement_are_counted_apart(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures for all titles are those of the demo, whose pictures the script draws again."""
    report = json.loads((out / "report.json").read_text())
    monkeypatch.setattr(titles, "MOVEMENTS", SUBJECTS[::2])  # of so few titles none may name a movement
    monkeypatch.setattr("sys.argv", ["titles.py", str(out)])
    titles.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["all", "name the movement", "plain"]
    counts = np.array([int(row[1]) for row in rows])
    shares = np.array([[float(cell.split("%")[0]) for cell in row[2:]] for row in rows])
    assert counts[0] == counts[1:].sum() == report["n"]
    assert shares[0] == pytest.approx([100 * report["style_accuracy"][arm] for arm in ARMS], abs=0.06)
    assert counts[0] * shares[0] == pytest.approx(counts[1:] @ shares[1:], abs=2)
