"""What was read and left out is counted, the same way on disk and in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.attributed_graph import EdgeList
from graphcond.data.open import open_data
from graphcond.errors import InputError, Notice
from graphcond.graphs import build_folder, build_graph, load_graph, open_graph, read_source
from graphcond.io.tally import SKIP, BadRows, Tally
from graphcond.recipe.sections import MmagData
from tests.graphs.graphs import node_table, write_metadata

NODES = "id,text,image\na,star,\nb,boat,\n"


def write(folder: Path, nodes: str | pa.Table, edges: str, ending: str = "csv") -> Path:
    folder.mkdir(exist_ok=True)
    if isinstance(nodes, pa.Table):
        pa.parquet.write_table(nodes, folder / "nodes.parquet")
    else:
        (folder / f"nodes.{ending}").write_text(nodes)
    (folder / f"edges.{ending}").write_text(edges)
    return folder


@given(
    st.lists(st.tuples(*[st.integers(0, 3)] * 2, st.sampled_from([0.0, 1.0, 2.5]), st.sampled_from("xyz"))),
    st.booleans(),
)
def test_every_edge_is_kept_merged_or_left_out(
    edges: list[tuple[int, int, float, str]], directed: bool
) -> None:
    ends = np.array([edge[:2] for edge in edges], np.int64).reshape(-1, 2)
    weights, types = np.array([edge[2] for edge in edges], np.float32), [edge[3] for edge in edges]
    graph = build_graph(node_table(4), EdgeList(ends[:, 0], ends[:, 1], weights, types), directed=directed)
    kept: dict[tuple[int, ...], str] = {}
    lost = 0
    for a, b, weight, kind in edges:
        if a != b and weight:
            lost += kept.setdefault((a, b) if directed else tuple(sorted((a, b))), kind) != kind
    tally = graph.tally
    assert tally.read["edges"] == len(edges)
    left_out = dict(tally.left_out.get("edges", {}))
    assert left_out.get("self-loops", 0) == sum(a == b for a, b, *_ in edges)
    assert left_out.get("weight 0", 0) == sum(a != b and not weight for a, b, weight, _ in edges)
    assert left_out.get("merged with an edge of another type", 0) == lost
    assert len(edges) == len(kept) + tally.merged.get("edges", 0) + sum(left_out.values())
    assert len(graph.indices) == len(kept) * (1 if directed else 2)


BAD_ROWS = {
    "an edge to no node": (NODES, "src,dst\na,b\na,B000GONE\nC,D\n", "edges", {"an end that is no node": 2}),
    "an empty end": (NODES, "src,dst\na,b\n,b\n", "edges", {"an empty end": 1}),
    "a weight": (NODES, "src,dst,weight\na,b,1\na,b,x\nb,a,-1\n", "edges", {"a wrong weight": 2}),
    "cells": (NODES + "c,d\n", "src,dst\na,b\n", "rows", {"another number of cells than the header": 1}),
    "an id twice": (NODES + "a,ring,\n", "src,dst\na,b\n", "nodes", {"an id that occurs earlier": 1}),
    "no id": (NODES + ",ring,\n", "src,dst\na,b\n", "nodes", {"an empty id": 1}),
    "a path": (NODES + "c,ring,../c.png\n", "src,dst\na,b\n", "pictures", {"outside the folder": 1}),
}


@pytest.mark.parametrize("case", BAD_ROWS)
@pytest.mark.parametrize("memory", [None, 2**33])
def test_bad_rows_are_errors_that_name_the_flag_or_left_out(
    case: str, memory: int | None, tmp_path: Path
) -> None:
    nodes, edges, what, reasons = BAD_ROWS[case]
    source = write(tmp_path / "shop", nodes, edges)
    if "cells" not in case:
        with pytest.raises(InputError, match="--skip-bad-rows"):
            build_folder(source, tmp_path / "graph", memory=memory)
    built = build_folder(source, tmp_path / "graph", memory=memory, skip_bad_rows=True).graph
    assert dict(built.tally.left_out[what]) == reasons
    assert len(built.indices) == 2
    assert built.tally.read["edges"] == edges.count("\n") - 1
    assert open_graph(tmp_path / "graph").tally == built.tally
    with pytest.warns(Notice, match=f"shop: {what}: .*left out"):
        read = load_graph(source, skip_bad_rows=True)
    assert read.tally == built.tally


@pytest.mark.parametrize("column", [[[1.0], [2.0]], [{"bytes": b"x", "path": "a.png"}] * 2])
@pytest.mark.parametrize("name", ["emb", "image"])
def test_columns_without_text_can_be_left_out(column: list[object], name: str, tmp_path: Path) -> None:
    source = write(
        tmp_path / "hf", pa.table({"id": ["a", "b"], "text": ["x", "y"], name: column}), "src,dst\na,b\n"
    )
    with pytest.raises(InputError, match=f"the column '{name}' holds .*--skip-bad-rows"):
        read_source(source)
    graph = read_source(source, skip_bad_rows=True).graph()
    assert list(graph.tally.left_out["columns"].values()) == [1]
    assert graph.nodes.attributes == {}
    needed = write(tmp_path / "needed", pa.table({"id": ["a", "b"], "text": column}), "src,dst\na,b\n")
    with pytest.raises(InputError, match="the column 'text' holds"):
        read_source(needed, skip_bad_rows=True)


@pytest.mark.parametrize("text", ["NaN", "null", '"NaN"', '"nan"', '""'])
def test_a_missing_text_is_empty_and_counted(text: str, tmp_path: Path) -> None:
    first = '{"id": 1, "text": "Nan and I", "year": NaN}\n'
    nodes = first + f'{{"id": 2, "text": {text}, "year": 1999}}\n'
    graph = read_source(write(tmp_path, nodes, '{"src": 1, "dst": 2}\n', "jsonl")).graph()
    assert list(graph.nodes.texts) == ["Nan and I", ""]
    assert list(graph.nodes.attributes["year"]) == ["", "1999"]
    assert graph.tally.left_out == {"texts": {"empty, null or NaN": 1}}


def test_lines_of_json_that_are_broken_can_be_left_out(tmp_path: Path) -> None:
    nodes = '{"id": 1, "text": "a", "also": [2]}\n{"id": 2, "te\n{"id": 3, "text": "c"}\n'
    source = write(tmp_path, nodes, '{"src": 1, "dst": 3}\n', "jsonl")
    graph = read_source(source, skip_bad_rows=True).graph()
    assert list(graph.nodes.ids) == ["1", "3"]
    assert graph.tally.left_out["values"] == {"a list or an object": 1}
    assert sum(graph.tally.left_out["rows"].values()) == 1


def test_metadata_counts_other_folders_missing_texts_and_pictures(tmp_path: Path) -> None:
    lines = [
        {"center": "a.png", "text": None, "neighbors": ["b.png", "gone.png"]},
        {"center": "gone.png", "text": "x", "neighbors": []},
        {"center": "b.png", "text": float("nan"), "neighbors": []},
    ]
    write_metadata(tmp_path / "train", lines, ["a.png", "b.png"])
    write_metadata(tmp_path / "extra", lines[:1], ["a.png", "b.png"])
    with pytest.raises(InputError, match=r"gone\.png' is not a file") as caught:
        read_source(tmp_path)
    assert str(caught.value).count("--skip-bad-rows") == 1
    graph = read_source(tmp_path, skip_bad_rows=True).graph()
    assert list(graph.nodes.ids) == ["train/a.png", "train/b.png"]
    assert list(graph.nodes.texts) == ["", ""]
    assert graph.tally.left_out["folders"] == {"'extra' is not named after a split": 1}
    assert graph.tally.left_out["texts"] == {"empty, null or NaN": 2}
    assert sum(graph.tally.left_out["neighbors"].values()) == 1
    assert sum(graph.tally.left_out["targets"].values()) == 1


def test_training_is_told(tmp_path: Path) -> None:
    source = write(tmp_path / "shop", NODES, "src,dst\na,b\na,a\na,gone\n")
    said: list[str] = []
    data = open_data(MmagData(path=source, skip_bad_rows=True), say=said.append)
    assert said == [
        f"{source}: edges: read 3, left out 2 because: an end that is no node (1), self-loops (1)"
    ]
    build_folder(source, tmp_path / "graph", skip_bad_rows=True)
    again: list[str] = []
    open_data(MmagData(path=tmp_path / "graph"), say=again.append)
    assert again == [line.replace("shop", "graph") for line in said]
    assert data.graph.tally.losses() == [line.partition(": ")[2] for line in said]


def test_formats_without_rows_refuse_to_skip(tmp_path: Path) -> None:
    import torch

    torch.save({"edge_index": torch.tensor([[0], [1]]), "num_nodes": 2}, tmp_path / "graph.pt")
    with pytest.raises(InputError, match="the format pyg has no rows that can be skipped"):
        read_source(tmp_path / "graph.pt", skip_bad_rows=True)


def test_sums_of_tallies() -> None:
    first = Tally({"edges": 3}, {"edges": {"x": 1}}, {"edges": 1}, {"text": "title"})
    both = first + Tally({"edges": 2, "nodes": 1}, {"edges": {"x": 1, "y": 2}})
    assert both == Tally(
        {"edges": 5, "nodes": 1}, {"edges": {"x": 2, "y": 2}}, {"edges": 1}, {"text": "title"}
    )
    assert both.rows() == {
        "edges": "read 5, merged 1 with an equal one, left out 4 because: x (2), y (2)",
        "nodes": "read 1",
        "columns": "text is 'title'",
    }
    assert [line.partition(":")[0] for line in both.losses()] == ["edges", "columns"]


def test_nested_blocks_name_the_flag_once() -> None:
    bad = BadRows()
    with pytest.raises(InputError) as caught, bad.row("scenes"), bad.row("objects"):
        raise InputError("a box is broken", remedy="mend it")
    assert caught.value.remedy == f"mend it, or {SKIP}"
