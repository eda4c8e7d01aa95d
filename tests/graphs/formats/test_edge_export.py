from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

from graphcond.attributed_graph import AttributedGraph, NodeTable
from graphcond.errors import InputError, StorageError
from graphcond.graphs import build_graph, export_edges, open_graph, read_tables, save_graph
from graphcond.graphs.formats import tables as edge_export
from tests.graphs.graphs import assert_same, edge_list, node_table

ENDINGS = [".csv", ".csv.gz", ".parquet"]


def graph(*, directed: bool = False, rich: bool = True, nodes: int = 40) -> AttributedGraph:
    """Random edges with weights, ids that CSV must quote, and a node without edges."""
    generator = np.random.default_rng(3)
    ids = [f'n"{row},\n' if row % 7 == 0 else f"ü {row}" for row in range(nodes)]
    table = NodeTable(ids, [""] * nodes, [None] * nodes)
    pairs = generator.integers(0, nodes - 1, (5 * nodes, 2)).tolist()
    weights = generator.random(len(pairs), np.float32) if rich else None
    types = generator.choice(["a", "b,c", ""], len(pairs)).tolist() if rich else None
    return build_graph(table, edge_list(pairs, weights=weights, types=types), directed=directed)


def write_nodes(made: AttributedGraph, folder: Path) -> None:
    columns = {"id": list(made.nodes.ids), "text": list(made.nodes.texts)}
    pyarrow.parquet.write_table(pyarrow.table(columns), folder / "nodes.parquet")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("rich", [False, True])
@pytest.mark.parametrize("block", [1, 50, 1 << 20])
def test_built_again_it_is_the_same_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str, directed: bool, rich: bool, block: int
) -> None:
    monkeypatch.setattr(edge_export, "BLOCK", block)
    made = graph(directed=directed, rich=rich)
    told: list[tuple[int, int]] = []
    written = export_edges(made, tmp_path / f"edges{ending}", lambda *counts: told.append(counts))
    assert written == len(made.indices) // (1 if directed else 2)
    assert told[-1] == (len(made.indices), len(made.indices))
    write_nodes(made, tmp_path)
    assert_same(read_tables(tmp_path).graph(directed=directed), made)


def test_a_graph_folder_is_read_from_its_memory_maps(tmp_path: Path) -> None:
    save_graph(graph(), tmp_path / "graph")
    export_edges(open_graph(tmp_path / "graph"), tmp_path / "edges.csv")
    write_nodes(graph(), tmp_path)
    assert_same(read_tables(tmp_path).graph(), graph())


def test_what_stands_in_the_file(tmp_path: Path) -> None:
    weights = np.array([0.1, 2], np.float32)
    made = build_graph(node_table(3), edge_list([(1, 0), (1, 2)], weights=weights, types=["x", "y"]))
    export_edges(made, tmp_path / "e.csv")
    lines = (tmp_path / "e.csv").read_text().replace('"', "").splitlines()
    assert lines == ["src,dst,type,weight", "n0,n1,x,0.1", "n1,n2,y,2"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_graph_without_edges(tmp_path: Path, ending: str) -> None:
    empty = build_graph(node_table(2), edge_list([]))
    assert export_edges(empty, tmp_path / f"edges{ending}") == 0
    write_nodes(empty, tmp_path)
    assert_same(read_tables(tmp_path).graph(), empty)


def test_another_ending(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"edges\.tsv: expected a file that ends in \.csv, "):
        export_edges(graph(), tmp_path / "edges.tsv")


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_disk_that_fills_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    file = tmp_path / f"edges{ending}"
    file.write_text("old")

    def blocks(made: AttributedGraph) -> Any:
        yield next(whole)
        raise OSError(errno.ENOSPC, "No space left on device")

    whole = edge_export._blocks(graph())
    monkeypatch.setattr(edge_export, "_blocks", blocks)
    with pytest.raises(StorageError, match="No space left"):
        export_edges(graph(), file)
    assert [entry.name for entry in tmp_path.iterdir()] == [file.name]
    assert file.read_text() == "old"
