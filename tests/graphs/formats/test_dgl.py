from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphcond.errors import InputError
from graphcond.graphs import embeddings_from_dgl, from_dgl, load_graph, read_features
from graphcond.io.optional import optional
from tests.graphs.graphs import assert_same, node_table

try:
    dgl = optional("dgl", "dgl")
except InputError:
    pytest.skip("needs graphcond[dgl]", allow_module_level=True)


def homogeneous() -> Any:
    graph = dgl.graph((torch.tensor([0, 1, 1, 2]), torch.tensor([1, 0, 2, 1])), num_nodes=4)
    graph.ndata["feat"] = torch.arange(8.0).reshape(4, 2)
    graph.ndata["label"] = torch.tensor([3, 1, 2, 0])
    graph.ndata["train_mask"] = torch.tensor([True, True, False, False])
    graph.ndata["test_mask"] = torch.tensor([0, 0, 0, 1])
    graph.edata["weight"] = torch.tensor([2.0, 2.0, 0.5, 0.5])
    return graph


def heterogeneous() -> Any:
    graph = dgl.heterograph(
        {
            ("paper", "cites", "paper"): (torch.tensor([0]), torch.tensor([2])),
            ("author", "writes", "paper"): (torch.tensor([0, 1]), torch.tensor([2, 1])),
        }
    )
    graph.nodes["paper"].data["feat"] = torch.ones(3, 2)
    return graph


def test_a_homogeneous_graph() -> None:
    graph = from_dgl(homogeneous())
    assert list(graph.nodes.ids) == ["0", "1", "2", "3"]
    assert graph.nodes.types is None
    assert graph.nodes.attributes == {"label": ["3", "1", "2", "0"]}
    assert graph.nodes.splits == ["train", "train", "", "test"]
    assert [graph.neighbors(node).tolist() for node in range(4)] == [[1], [0, 2], [1], []]
    assert graph.edge_types is None
    assert graph.weights is not None
    assert graph.weights.tolist() == [2, 2, 0.5, 0.5]


def test_a_heterogeneous_graph() -> None:
    graph = from_dgl(heterogeneous())
    assert list(graph.nodes.ids) == ["author:0", "author:1", "paper:0", "paper:1", "paper:2"]
    assert graph.nodes.types == ["author", "author", "paper", "paper", "paper"]
    assert graph.edge_type_names == ("cites", "writes")
    assert graph.neighbors(4).tolist() == [0, 2]


def test_types_as_numbers() -> None:
    graph = from_dgl(dgl.to_homogeneous(heterogeneous()))
    assert graph.nodes.types == ["0", "0", "1", "1", "1"]
    assert graph.edge_type_names == ("0", "1")


def test_a_node_table_and_the_direction_of_edges() -> None:
    graph = from_dgl(heterogeneous(), nodes=node_table(5), directed=True)
    assert list(graph.nodes.texts)[2] == "text 2"
    assert graph.neighbors(4).tolist() == []
    with pytest.raises(InputError, match="the node table has 4 rows for 5 nodes"):
        from_dgl(heterogeneous(), nodes=node_table(4))


def test_features() -> None:
    extra = embeddings_from_dgl(homogeneous()).extra
    assert extra is not None
    assert extra.tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    extra = embeddings_from_dgl(heterogeneous()).extra
    assert extra is not None
    assert extra.tolist() == [[0, 0], [0, 0], [1, 1], [1, 1], [1, 1]]
    with pytest.raises(InputError, match="Choose among their vectors: feat"):
        embeddings_from_dgl(heterogeneous(), extra="x")


@pytest.mark.parametrize("weight", [-1.0, float("inf")])
def test_bad_weights(weight: float) -> None:
    graph = homogeneous()
    graph.edata["weight"][2] = weight
    with pytest.raises(InputError, match="edge 2 has the weight"):
        from_dgl(graph)


def test_a_column_that_there_is_not() -> None:
    with pytest.raises(InputError, match="no column is called 'w'"):
        from_dgl(homogeneous(), {"weight": "w"})


@pytest.mark.parametrize("make", [homogeneous, heterogeneous])
@pytest.mark.parametrize("name", ["graph.pt", "graph.bin"])
def test_files(make: Any, name: str, tmp_path: Path) -> None:
    dgl.save_graphs(str(tmp_path / name), [make()])
    assert_same(load_graph(tmp_path / name), from_dgl(make()))
    np.testing.assert_array_equal(read_features(tmp_path / name), embeddings_from_dgl(make()).extra)


def test_a_file_of_two_graphs(tmp_path: Path) -> None:
    dgl.save_graphs(str(tmp_path / "two.bin"), [homogeneous(), homogeneous()])
    with pytest.raises(InputError, match=r"two\.bin: expected one graph, got 2"):
        load_graph(tmp_path / "two.bin")


@pytest.mark.parametrize("read", [load_graph, read_features])
def test_a_file_of_more_nodes_than_fit(read: Any, tmp_path: Path) -> None:
    graph = dgl.graph((torch.tensor([0]), torch.tensor([1])), num_nodes=10**12)
    dgl.save_graphs(str(tmp_path / "huge.bin"), [graph])
    with pytest.raises(InputError, match=r"huge\.bin: there are 1000000000000 nodes, and .* GiB of memory"):
        read(tmp_path / "huge.bin")


@pytest.mark.parametrize("share", [0.01, 0.5])
def test_a_file_cut_short(share: float, tmp_path: Path) -> None:
    file = tmp_path / "cut.bin"
    dgl.save_graphs(str(file), [homogeneous()])
    content = file.read_bytes()
    file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=r"cut\.bin: the file cannot be read: [^\n]+$"):
        load_graph(file)


def test_without_dgl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dgl.save_graphs(str(tmp_path / "g.pt"), [homogeneous()])
    monkeypatch.setitem(__import__("sys").modules, "dgl", None)
    with pytest.raises(InputError, match=r"dgl cannot be imported .* `pip install 'graphcond\[dgl\]'"):
        load_graph(tmp_path / "g.pt")
