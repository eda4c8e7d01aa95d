"""The demo of emoji on the tiny base, which draws nothing of the sort: its figures and files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from rich.console import Console

from graphcond.cli.demo import in_words
from graphcond.demo import DemoReport, judge, run
from graphcond.demo.worlds import WORLDS, DemoSize
from graphcond.errors import InputError
from graphcond.graphs import open_graph, save_world
from graphcond.worlds import ArtWorld, EmojiWorld
from graphcond.worlds.emoji.world import PICTURES

SMALL = DemoSize(training_steps=2, held_out=12, unseen=6, swept=2)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    table = pq.read_table(PICTURES)
    some = pa.array(np.sort(np.random.default_rng(0).permutation(len(table))[:250]))
    pq.write_table(table.take(some), folder / "some.parquet")
    world = replace(
        WORLDS["emoji"], base="tiny", build=lambda seed, size: EmojiWorld(folder / "some.parquet", seed=seed)
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "QUICK", SMALL)
        patch.setattr(run, "WORLDS", MappingProxyType({"emoji": world}))
        run.run_demo(folder, world="emoji", quick=True, device="cpu", console=Console(quiet=True))
    return folder


def test_the_report_tells_studios_subjects_and_the_unseen_studio_apart(out: Path) -> None:
    report = json.loads((out / "report.json").read_text())
    arms = {"no_graph", "graph", "shuffled_graph"}
    assert report["world"] == "emoji"
    assert report["chance"] == pytest.approx(1 / 6)
    assert report["n"] == 12
    for what in ("style_accuracy", "subject_accuracy", "unseen"):
        assert arms <= set(report[what])
        for arm in arms:
            low, high = report["intervals"][what][arm]
            assert low <= report[what][arm] <= high
    assert report["unseen"]["n"] == 6
    assert report["unseen"]["chance"] == pytest.approx(1 / 7)
    # The judge is right about true pictures; the tiny base cannot even rebuild an emoji.
    assert min(report["judge"][what]["real"] for what in report["judge"]) >= 0.6
    assert set(report["judge"]["unseen"]) == {"real", "rebuilt"}


def test_the_last_words_are_about_studios_and_name_a_held_out_target(out: Path) -> None:
    words = in_words(DemoReport(**json.loads((out / "report.json").read_text())), out)
    nodes = open_graph(out / "graph").nodes
    assert f"--target {nodes.ids[int(nodes.in_split('test')[0])]}" in words
    assert "style of the right studio" in words
    assert "mixed" not in words


def test_the_grid_has_three_neighbors_the_truth_and_three_arms(out: Path) -> None:
    with Image.open(out / "grid.png") as picture:
        assert picture.width > 7 * 128
        assert picture.height > 3 * 128
    with Image.open(out / "guidance.png") as picture:
        assert min(picture.size) > 300


def test_a_world_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no world 'emojis' to show.*emoji"):
        run.run_demo(tmp_path, world="emojis")
    assert not any(tmp_path.iterdir())


def test_a_base_that_does_not_draw_the_world_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no base 'tiny-dit' draws the world 'emoji'.*[Ee]xpected emoji"):
        run.run_demo(tmp_path, world="emoji", base="tiny-dit")
    assert not any(tmp_path.iterdir())


def test_the_graph_of_another_world_is_refused(tmp_path: Path) -> None:
    graph = save_world(ArtWorld(paintings_per_artist=2, series_length=1), tmp_path / "graph")
    with pytest.raises(InputError, match="do not say their studio"):
        judge.WorldJudge(graph, WORLDS["emoji"])
