from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings, NodeTable
from graphcond.errors import InputError
from graphcond.graphs import build_graph, embeddings_from_pyg, from_pyg, load_graph, read_source, to_pyg
from graphcond.graphs.formats.pyg import write_pyg
from tests.graphs.graphs import assert_same, edge_list, node_table, rich_graph
from tests.graphs.pickles import Malicious

pytest.importorskip("torch_geometric", reason="needs graphcond[pyg]")

from torch_geometric.data import Data, HeteroData
from torch_geometric.transforms import ToUndirected


def grouped_graph() -> AttributedGraph:
    """A typed graph whose nodes stand type after type, as PyG holds them."""
    nodes = NodeTable(
        ids=["p0", "p1", "p2", "m"],
        texts=["A house", "", "Zwei\nHäuser", "Museum"],
        pictures=["a.png", None, "sub/ü.png", None],
        types=["painting", "painting", "painting", "museum"],
        splits=["train", "", "test", "train"],
        attributes={"year": ["1900", "1901", "1902", "1793"], "code": ["007", "", "a", "b"]},
    )
    weights = np.array([1.5, 2.0, 0.5], np.float32)
    edges = edge_list([(0, 1), (3, 2), (1, 3)], weights=weights, types=["style", "hangs", "style"])
    return build_graph(nodes, edges)


def plain(graph: AttributedGraph) -> AttributedGraph:
    """The same graph with nodes of one type, and without given neighbors."""
    return replace(graph, nodes=replace(graph.nodes, types=None), given=None)


@pytest.mark.parametrize("graph", [plain(rich_graph()), grouped_graph()], ids=["Data", "HeteroData"])
def test_round_trip(graph: AttributedGraph) -> None:
    data = to_pyg(graph)
    assert data.validate()
    back = from_pyg(data)
    attributes = {"attribute_text" if k == "text" else k: v for k, v in graph.nodes.attributes.items()}
    assert_same(back, replace(graph, nodes=replace(graph.nodes, attributes=attributes)))


def test_round_trip_of_a_directed_graph() -> None:
    graph = build_graph(node_table(3), edge_list([(0, 1), (2, 1), (1, 0)]), directed=True)
    assert_same(from_pyg(to_pyg(graph), directed=True), graph)


def test_round_trip_of_types_that_stand_mixed() -> None:
    graph = rich_graph()
    data = to_pyg(graph)
    assert data["painting"].id == ["a", "ü c", "d"]
    assert data["painting", "year", "museum"].edge_index.tolist() == [[1], [0]]
    back = from_pyg(data)
    rows = [back.nodes.index[node_id] for node_id in graph.nodes.ids]
    assert [back.nodes.texts[row] for row in rows] == list(graph.nodes.texts)
    for node, row in enumerate(rows):
        theirs = {back.nodes.ids[other] for other in back.neighbors(row)}
        assert theirs == {graph.nodes.ids[other] for other in graph.neighbors(node)}


def test_an_empty_graph_and_a_graph_without_edges() -> None:
    for count in (0, 2):
        graph = build_graph(node_table(count), edge_list([]))
        assert_same(from_pyg(to_pyg(graph)), graph)


def test_what_pyg_calls_things() -> None:
    data = Data(
        x=torch.ones(3, 2),
        edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]),
        edge_weight=torch.tensor([2.0, 2.0, 3.0, 3.0]),
        y=torch.tensor([4, 5, -1]),
        train_mask=torch.tensor([True, False, False]),
        val_mask=torch.tensor([False, True, False]),
        raw_texts=["a", "b", "c"],
    )
    graph = from_pyg(data, {"text": "raw_texts"})
    assert list(graph.nodes.ids) == ["0", "1", "2"]
    assert list(graph.nodes.texts) == ["a", "b", "c"]
    assert graph.nodes.splits == ["train", "val", ""]
    assert graph.nodes.attributes == {"y": ["4", "5", "-1"]}
    assert graph.weights is not None
    assert graph.weights.tolist() == [2, 2, 3, 3]  # not 4 and 6: both directions are one edge


def test_weights_of_both_directions_are_summed_where_they_differ() -> None:
    data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), edge_weight=torch.tensor([2.0, 3.0]), num_nodes=2)
    weights = from_pyg(data).weights
    assert weights is not None
    assert weights.tolist() == [5, 5]


def test_relations_that_pyg_added_are_left_out() -> None:
    data = HeteroData()
    data["author"].num_nodes = 1
    data["paper"].x = torch.ones(2, 3)
    data["author", "writes", "paper"].edge_index = torch.tensor([[0, 0], [0, 1]])
    graph = from_pyg(ToUndirected()(data))
    assert graph.edge_type_names == ("writes",)
    assert list(graph.nodes.ids) == ["author:0", "paper:0", "paper:1"]
    assert graph.nodes.types == ["author", "paper", "paper"]
    assert graph.neighbors(0).tolist() == [1, 2]


def test_a_node_table_beside_the_data() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    assert list(from_pyg(data, nodes=node_table(2)).nodes.ids) == ["n0", "n1"]
    with pytest.raises(InputError, match="the node table has 3 rows for 2 nodes"):
        from_pyg(data, nodes=node_table(3))


def test_features_go_and_come() -> None:
    graph = rich_graph()
    rows = np.arange(8, dtype=np.float16).reshape(4, 2)
    data = to_pyg(graph, NodeEmbeddings(extra=rows, texts=rows * 2))
    back = embeddings_from_pyg(data)
    order = [graph.nodes.index[node_id] for node_id in from_pyg(data).nodes.ids]
    assert back.pictures is None
    assert back.extra is not None
    assert back.texts is not None
    np.testing.assert_array_equal(back.extra, rows[order])
    np.testing.assert_array_equal(back.texts, rows[order] * 2)
    assert back.extra.dtype == np.float16


def test_features_of_some_types() -> None:
    data = HeteroData()
    data["author"].num_nodes = 1
    data["paper"].x = torch.ones(2, 3, dtype=torch.float64)
    extra = embeddings_from_pyg(data).extra
    assert extra is not None
    assert extra.tolist() == [[0, 0, 0], [1, 1, 1], [1, 1, 1]]
    assert extra.dtype == np.float32
    data["author"].x = torch.ones(1, 2)
    with pytest.raises(InputError, match="'x' has several widths: 'author' 2, 'paper' 3"):
        embeddings_from_pyg(data)
    with pytest.raises(InputError, match=r"no nodes have 'emb'.* Choose among their vectors: x"):
        embeddings_from_pyg(data, extra="emb")


EDGE = torch.tensor([[0], [1]])


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"x": torch.ones(2, 2)}, r"there is no 'edge_index' \(there is x\)"),
        (
            {"edge_index": torch.tensor([[0, 1]])},
            r"of shape \(2, edges\), got \(1, 2\)",
        ),
        ({"edge_index": EDGE.float()}, "'edge_index', got float32"),
        ({"edge_index": EDGE, "num_nodes": 1}, "edge 0 ends at node 1, and there are 1 nodes"),
        ({"edge_index": -EDGE, "num_nodes": 2}, "edge 0 ends at node -1"),
        ({"edge_index": EDGE << 40}, r"there are 1099511627777 nodes, .* GiB of memory do not hold so many"),
        ({"edge_index": EDGE, "num_nodes": 1 << 40}, "there are 1099511627776 nodes"),
        ({"edge_index": EDGE, "x": torch.ones(1, 2).expand(1 << 40, 2)}, "there are 1099511627776 nodes"),
        ({"edge_index": EDGE, "num_nodes": 2, "text": ["a"]}, "'text' has 1 entries for 2 nodes"),
        ({"edge_index": EDGE, "num_nodes": 2, "id": ["a", "a"]}, "the node id 'a' occurs more than once"),
        (
            {"edge_index": EDGE, "edge_weight": torch.ones(2)},
            r"'edge_weight' has the shape \(2,\) for 1 edges",
        ),
        ({"edge_index": EDGE, "edge_weight": torch.tensor([torch.nan])}, "edge 0 has the weight nan"),
        ({"edge_index": EDGE, "edge_weight": torch.tensor([-1.0])}, "edge 0 has the weight -1"),
        ({"edge_index": EDGE, "edge_weight": ["a"]}, "expected a number in 'edge_weight' of edge"),
        ({"edge_index": EDGE, "edge_type": torch.tensor([0, 1])}, "'edge_type' has 2 entries for 1 edges"),
        (
            {"edge_index": EDGE, "edge_type": torch.tensor([2]), "edge_type_names": ["a"]},
            "'edge_type' is 2, and 1 relations have names",
        ),
        (
            {"edge_index": EDGE, "train_mask": torch.ones(2, 10, dtype=torch.bool)},
            r"'train_mask' has the shape \(2, 10\)",
        ),
        (
            {"edge_index": EDGE, "a_mask": torch.tensor([1, 1]), "b_mask": torch.tensor([0, 1])},
            "node 1 is in the splits 'a' and 'b'",
        ),
    ],
)
def test_bad_data(columns: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        from_pyg(Data.from_dict(columns))


def test_bad_heterogeneous_data() -> None:
    data = HeteroData()
    data["paper"].num_nodes = 2
    data["paper", "cites", "paper"].edge_index = torch.tensor([[0], [5]])
    with pytest.raises(InputError, match="edge 0 of 'paper cites paper' ends at node 5"):
        from_pyg(data)


def test_a_column_that_there_is_not() -> None:
    data = Data(edge_index=EDGE, num_nodes=2)
    with pytest.raises(InputError, match="no column is called 'title'"):
        from_pyg(data, {"text": "title"})
    with pytest.raises(InputError, match="Did you mean 'text'"):
        from_pyg(data, {"txt": "title"})


def saved(value: Any, file: Path) -> Path:
    torch.save(value, file)
    return file


@pytest.mark.parametrize("graph", [plain(rich_graph()), grouped_graph()], ids=["Data", "HeteroData"])
def test_files_in_every_form(graph: AttributedGraph, tmp_path: Path) -> None:
    data = to_pyg(graph)
    write_pyg(graph, tmp_path / "written.pt")
    for file in (
        tmp_path / "written.pt",
        saved(data, tmp_path / "object.pt"),
        saved(data.to_dict(), tmp_path / "dict.pt"),
        saved((data.to_dict(), None, type(data)), tmp_path / "dataset.pt"),
    ):
        assert_same(load_graph(file), from_pyg(data))
    again = type(data).from_dict(torch.load(tmp_path / "written.pt", weights_only=True))
    assert_same(from_pyg(again), from_pyg(data))


def test_a_pickle_is_refused_and_never_run(tmp_path: Path) -> None:
    file = saved({"edge_index": EDGE, "x": Malicious(tmp_path / "ran")}, tmp_path / "g.pt")
    with pytest.raises(InputError, match=r"g\.pt: .* is not opened: it could run code"):
        load_graph(file)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_cut_short(tmp_path: Path, share: float) -> None:
    file = saved(to_pyg(plain(rich_graph())).to_dict(), tmp_path / "g.pt")
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"g\.pt: the file (cannot be read|is damaged)"):
        read_source(file)


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([1, 2], "expected a graph, got list"),
        (torch.ones(2), "expected a graph, got Tensor"),
        (({}, {"x": 1}), "expected a graph, got tuple"),
        ({"edge_index": EDGE, "num_nodes": "two"}, "the nodes cannot be counted"),
        ({"edge_index": EDGE, "x": 3}, "the nodes cannot be counted"),
        (
            {("a", "r"): {"edge_index": EDGE}},
            r"as an edge type, got \('a', 'r'\)",
        ),
        ({("a", "r", "b"): {}}, "there is no 'edge_index'"),
        (
            {("a", "r", "b"): {"edge_index": EDGE}, "a": torch.ones(2)},
            "mapping as 'a', got Tensor",
        ),
    ],
)
def test_files_with_something_else(tmp_path: Path, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_source(saved(value, tmp_path / "g.pt"))


def test_a_picture_outside_of_the_files_folder(tmp_path: Path) -> None:
    content = {"edge_index": EDGE, "image": ["a.png", "../b.png"]}
    with pytest.raises(InputError, match=r"the path '\.\./b\.png' leaves the folder"):
        read_source(saved(content, tmp_path / "g.pt"))


def test_without_pyg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = plain(rich_graph())
    saved(to_pyg(graph), tmp_path / "object.pt")
    monkeypatch.setitem(__import__("sys").modules, "torch_geometric.data", None)
    write_pyg(graph, tmp_path / "dict.pt")
    assert len(load_graph(tmp_path / "dict.pt")) == 4
    with pytest.raises(InputError, match=r"pip install 'graphcond\[pyg\]'"):
        to_pyg(graph)
    with pytest.raises(InputError, match=r"a PyG graph, `pip install 'graphcond\[pyg\]'`"):
        load_graph(tmp_path / "object.pt")
