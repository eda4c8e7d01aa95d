"""Pictures with several prompts, one of which is drawn at every step."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.dataset import as_dataset
from graphcond.errors import InputError
from graphcond.graphs import load_graph, read_source, save_graph
from graphcond.graphs.columns import PROMPTS, several_prompts
from graphcond.scenes import load_scene_set
from graphcond.training.randomness import Purpose, numbers_of
from tests.training.toys import Toy, prepare_toy, run_toy, same, trained_weights

TWO = ["a star", "a blue star"]


@pytest.fixture
def graph(toy_graph: AttributedGraph) -> AttributedGraph:
    """The toy graph, whose first node has two prompts."""
    several = [json.dumps(TWO), *[""] * (len(toy_graph) - 1)]
    return replace(toy_graph, nodes=replace(toy_graph.nodes, attributes={PROMPTS: several}))


def test_one_of_the_prompts_is_drawn_and_validation_takes_the_first(toy: Toy, graph: AttributedGraph) -> None:
    prepared, _ = prepare_toy(toy(), graph)
    table, rows = prepared.train.prompts, np.array([0, 0, 1])
    first, other, same_ = table.drawn(rows, np.array([0.1, 0.9, 0.9])).tolist()
    assert first != other
    assert same_ == table.rows[1]
    assert table.drawn(rows, None).tolist() == table.rows[rows].tolist() == [first, first, same_]
    encoded = prepared.model.base.encode_prompt(TWO).hidden
    got = table.tokens(np.array([first, other]), torch.device("cpu")).hidden
    torch.testing.assert_close(got, encoded)


def test_a_run_draws_them_by_its_seed_and_without_them_is_as_before(
    toy: Toy, toy_graph: AttributedGraph, graph: AttributedGraph, tmp_path: Path
) -> None:
    recipe = toy(batch_size=11)
    runs = [run_toy(recipe, one, tmp_path / str(n)) for n, one in enumerate((graph, graph, toy_graph))]
    again, other = (same(trained_weights(runs[0]), trained_weights(run)) for run in runs[1:])
    assert again
    assert not other
    nodes = replace(toy_graph.nodes, attributes={PROMPTS: [""] * len(toy_graph)})
    alone = run_toy(recipe, replace(toy_graph, nodes=nodes), tmp_path / "alone")
    assert same(trained_weights(alone), trained_weights(runs[2]))


def test_prompts_come_as_often_as_each_other() -> None:
    counts = Counter((numbers_of(0, np.arange(3000), Purpose.PROMPT) * 3).astype(int).tolist())
    assert all(900 < counts[number] < 1100 for number in range(3))


@pytest.mark.parametrize("ending", ["jsonl", "csv"])
def test_a_list_in_the_text_column_is_several_prompts(ending: str, tmp_path: Path) -> None:
    text = json.dumps(TWO)
    if ending == "jsonl":
        nodes = f'{{"id": "a", "text": {text}}}\n{{"id": "b", "text": "[a cup]"}}\n'
    else:
        quoted = text.replace('"', '""')
        nodes = f'id,text\na,"{quoted}"\nb,[a cup]\n'
    (tmp_path / f"nodes.{ending}").write_text(nodes)
    (tmp_path / "edges.csv").write_text("src,dst\na,b\n")
    graph = read_source(tmp_path).graph()
    assert list(graph.nodes.texts) == ["a star", "[a cup]"]
    save_graph(graph, tmp_path / "graph")
    data = as_dataset(load_graph(tmp_path / "graph"))
    assert [tuple(data.prompts(row)) for row in range(2)] == [tuple(TWO), ("[a cup]",)]


def test_a_text_of_opening_brackets_is_a_text() -> None:
    texts = ["[" * 100_000, "a cup"]
    assert several_prompts(texts) == (texts, None)


def test_metadata_may_give_several(toy_graph: AttributedGraph, tmp_path: Path) -> None:
    for name in ("00.png", "01.png"):
        (tmp_path / name).write_bytes(((toy_graph.root or Path()) / name).read_bytes())
    line = {"center": "00.png", "text": TWO, "neighbors": ["01.png"]}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(line) + "\n")
    data = as_dataset(load_graph(tmp_path))
    assert tuple(data.prompts(0)) == tuple(TWO)
    assert data.texts[0] == TWO[0]
    for wrong in (["a", 5], []):
        (tmp_path / "metadata.jsonl").write_text(json.dumps(line | {"text": wrong}) + "\n")
        with pytest.raises(InputError, match=re.escape(f"'text' is {wrong}, not a string")):
            load_graph(tmp_path)


def test_scenes_may_give_several(tmp_path: Path) -> None:
    rows = [
        {"objects": ["star"], "prompt": TWO},
        {"objects": ["cup"], "prompt": "a cup"},
        {"objects": ["fish"]},
    ]
    file = tmp_path / "scenes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    data = as_dataset(load_scene_set(file))
    assert [tuple(data.prompts(row)) for row in range(3)] == [tuple(TWO), ("a cup",), ("an image",)]
    assert data.texts[0] == TWO[0]
    for wrong in ([], 5, ["a", 5]):
        file.write_text(json.dumps({"objects": ["star"], "prompt": wrong}) + "\n")
        with pytest.raises(InputError, match="prompt"):
            load_scene_set(file)
