"""The comparison as a document and as one picture."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from graphcond.bench.scene_exam import SceneExamples
from graphcond.bench.scene_table import to_markdown, write_bench
from graphcond.bench.scenes import SceneBench
from graphcond.evaluation import PictureSet
from graphcond.scene_graph import SceneGraph
from tests.bench.scene_builders import row
from tests.evaluation.doubles import plain
from tests.evaluation.scene_doubles import Reads, scene, scene_targets

GRAPHS = (scene("star ring", (0, "left of", 1), colors="red blue"), scene("moon"))


@pytest.fixture
def bench() -> SceneBench:
    rows = (row("sgcond-i", seconds=None), row("sgcond-v"))
    return SceneBench(rows, ("first finding", "second finding"), n=120, pairs=100, steps=8, seed=0)


def test_the_tables_say_all_that_was_asked(bench: SceneBench) -> None:
    text = to_markdown(bench)
    assert (
        "| sgcond-v | triple_gcn over tiny | gated_self_attention | 1,234,567 | 90 s | 50 % [46, 54] |"
    ) in text
    assert "| sgcond-i | triple_gcn over tiny | gated_self_attention | 1,234,567 | resumed |" in text
    assert "| sgcond-v | graph | 90 % [86, 94] | 50 % [46, 54] | 70 % [66, 74] |" in text
    assert "|  | no graph | 20 % [16, 24] | 20 % [16, 24] | 10 % [6, 14] |" in text
    assert text.count("|  | shuffled graph |") == 2
    assert "| sgcond-v | 50 % [46, 54] | 80 % [76, 84] | 4 % [0, 8] |" in text
    assert "0.300 [0.260, 0.340] (0.300), n = 24 |" in text
    assert text.index("- first finding") < text.index("- second finding")
    assert "- relation_accuracy: 312 relations in 120 graphs" in text
    assert "n = 120 held-out graphs" in text


def test_three_files(bench: SceneBench, tmp_path: Path) -> None:
    pictures = [plain("red", 64), plain("blue", 64)]
    targets = replace(scene_targets(*GRAPHS), truths=PictureSet(pictures))
    examples = SceneExamples(targets, {"sgcond-i": pictures, "sgcond-v": pictures}, Reads(GRAPHS))
    write_bench(bench, examples, tmp_path)
    read = json.loads((tmp_path / "scenes.json").read_text())
    assert read["findings"] == ["first finding", "second finding"]
    figure = read["rows"][1]["scores"]["report"]["arms"]["graph"]["relation_accuracy"]
    assert (figure["mean"], figure["n"]) == (0.7, 120)
    assert (tmp_path / "scenes.md").read_text() == to_markdown(bench)
    assert (tmp_path / "scenes.png").stat().st_size > 1000


def test_only_right_pictures_are_ticked(bench: SceneBench) -> None:
    from graphcond.bench.scene_table import _marked

    turned = scene("star ring", (1, "left of", 0), colors="red blue")
    seen = Reads((turned, GRAPHS[1]))
    cells = _marked(SceneExamples(scene_targets(*GRAPHS), {}, seen), [plain("red")] * 2)
    assert [cell.good for cell in cells] == [False, True]


def test_graphs_without_true_pictures_leave_their_place_empty(tmp_path: Path) -> None:
    from graphcond.bench.scene_table import draw_sheet

    empty = Reads((SceneGraph(()),) * 2)
    assert draw_sheet(SceneExamples(scene_targets(*GRAPHS), {"a": [plain("red")] * 2}, empty)).width > 400
