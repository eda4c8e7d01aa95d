from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from graphcond.errors import InputError
from graphcond.graphs import load_graph, read_features, read_source


def write(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


PLAIN = {
    "meta.yaml": yaml.safe_dump(
        {
            "dataset_name": "small",
            "node_data": [{"file_name": "nodes.csv"}],
            "edge_data": [{"file_name": "edges.csv"}],
        }
    ),
    "nodes.csv": 'node_id,text,label,train_mask,test_mask,feat\n7,a house,0,True,False,"1,2"\n'
    '9,"red, old",1,0,1,"3,4"\n8,,2,0,0,"5,6"\n',
    "edges.csv": "src_id,dst_id,weight\n7,9,0.5\n9,8,2\n",
}

TYPED = {
    "meta.yaml": yaml.safe_dump(
        {
            "version": "1.0.0",
            "dataset_name": "typed",
            "separator": ";",
            "node_data": [
                {"file_name": "authors.csv", "ntype": "author", "node_id_field": "name"},
                {"file_name": "papers.csv", "ntype": "paper"},
            ],
            "edge_data": [
                {"file_name": "writes.csv", "etype": ["author", "writes", "paper"], "src_id_field": "who"},
                {"file_name": "cites.csv", "etype": ["paper", "cites", "paper"]},
            ],
        }
    ),
    "authors.csv": "name;graph_id\nJin;0\nLi;0\n",
    "papers.csv": "node_id;title;vector\n0;one;1.5,2\n1;two;3,4\n",
    "writes.csv": "who;dst_id\nJin;0\nLi;1\n",
    "cites.csv": "src_id;dst_id\n1;0\n",
}


def test_a_graph_of_one_type(tmp_path: Path) -> None:
    graph = load_graph(write(tmp_path, PLAIN))
    assert list(graph.nodes.ids) == ["7", "9", "8"]
    assert list(graph.nodes.texts) == ["a house", "red, old", ""]
    assert graph.nodes.splits == ["train", "test", ""]
    assert graph.nodes.attributes == {"label": ["0", "1", "2"]}
    assert graph.nodes.types is None
    assert [graph.neighbors(node).tolist() for node in range(3)] == [[1], [0, 2], [1]]
    assert graph.weights is not None
    assert graph.weights.tolist() == [0.5, 0.5, 2, 2]
    assert read_features(tmp_path).tolist() == [[1, 2], [3, 4], [5, 6]]


def test_the_names_that_dgl_gives_the_only_type(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAIN)
    change("meta.yaml", "file_name: nodes.csv", "file_name: nodes.csv\n  ntype: _V")(folder)
    assert load_graph(folder).nodes.types is None


def test_a_graph_of_several_types(tmp_path: Path) -> None:
    graph = read_source(write(tmp_path, TYPED), {"text": "title"}).graph()
    assert list(graph.nodes.ids) == ["author:Jin", "author:Li", "paper:0", "paper:1"]
    assert list(graph.nodes.texts) == ["", "", "one", "two"]
    assert graph.nodes.types == ["author", "author", "paper", "paper"]
    assert graph.edge_type_names == ("cites", "writes")
    assert [graph.neighbors(node).tolist() for node in range(4)] == [[2], [3], [0, 3], [1, 2]]
    assert read_features(tmp_path, "vector").tolist() == [[0, 0], [0, 0], [1.5, 2], [3, 4]]


def change(name: str, old: str, new: str) -> Callable[[Path], None]:
    def mend(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return mend


def remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (remove("nodes.csv"), r"nodes\.csv: the file is missing"),
        (remove("edges.csv"), r"edges\.csv: the file is missing"),
        (change("meta.yaml", "nodes.csv", "../nodes.csv"), r"the path '\.\./nodes\.csv' leaves the folder"),
        (change("meta.yaml", "nodes.csv", "/etc/passwd"), "leaves the folder"),
        (change("meta.yaml", "node_data", "nodedata"), "node_data: is missing"),
        (change("meta.yaml", "dataset_name: small", "version: 2.0.0"), "version: expected '1.0.0'"),
        (
            change("meta.yaml", "dataset_name: small", "a: !!python/object/apply:os.system [x]"),
            "not YAML: could not determine",
        ),
        (
            change("nodes.csv", "node_id", "nid"),
            r"there is no column 'node_id' \(there is nid, text",
        ),
        (change("nodes.csv", "\n9,", "\n7,"), r"nodes\.csv, row 2: the id '7' occurs a second time"),
        (change("nodes.csv", "\n9,", "\n,"), r"nodes\.csv, row 2: the id is empty"),
        (change("nodes.csv", "\n9,", "\n9,x,"), r"nodes\.csv: the file cannot be read"),
        (change("nodes.csv", "0,1,", "1,1,"), "node 1 is in the splits 'train' and 'test'"),
        (change("nodes.csv", "node_id,text", "node_id,graph_id"), "expected one graph, got 3"),
        (change("nodes.csv", "node_id,text", "node_id,image"), None),
        (change("edges.csv", "src_id", "source"), r"edges\.csv: there is no column 'src_id'"),
        (change("edges.csv", "9,8", "9,80"), r"edges\.csv, row 2: there is no node '80'"),
        (change("edges.csv", "9,8", ",8"), r"edges\.csv, row 2: there is no node ''"),
        (change("edges.csv", "0.5", "-1"), "edge 0 has the weight -1"),
        (change("edges.csv", "0.5", "nan"), "edge 0 has the weight nan"),
        (change("edges.csv", "0.5", "heavy"), "expected a number in 'weight' of edge"),
    ],
)
def test_bad_folders(tmp_path: Path, spoil: Callable[[Path], None], problem: str | None) -> None:
    folder = write(tmp_path, PLAIN)
    spoil(folder)
    if problem is None:
        assert load_graph(folder).nodes.pictures[0] == "a house"
        return
    with pytest.raises(InputError, match=problem):
        load_graph(folder)


def test_edges_between_unknown_types(tmp_path: Path) -> None:
    folder = write(tmp_path, TYPED)
    change("meta.yaml", "- author\n", "- editor\n")(folder)
    with pytest.raises(InputError, match=r"writes\.csv: there are no nodes of type 'editor'"):
        load_graph(folder)


def test_unknown_columns(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no column is called 'titel'"):
        read_source(write(tmp_path, TYPED), {"text": "titel"})
    with pytest.raises(InputError, match=r"there is no column 'texts' to rename\. Did you mean 'text'"):
        read_source(tmp_path, {"texts": "title"})


def test_a_picture_that_leaves_the_folder(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAIN)
    change("nodes.csv", "text", "image")(folder)
    change("nodes.csv", "a house", "../house.png")(folder)
    with pytest.raises(InputError, match="leaves the folder"):
        load_graph(folder)


def test_vectors_of_several_lengths(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAIN)
    change("nodes.csv", '"3,4"', '"3,4,5"')(folder)
    with pytest.raises(InputError, match="expected 2 numbers as 'feat' of row 2"):
        read_features(folder)


def test_vectors_that_are_not_finite(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAIN)
    change("nodes.csv", '"3,4"', '"3,inf"')(folder)
    with pytest.raises(InputError, match=r"nodes\.csv, 'feat': row 1, counted from 0, holds NaN or infinity"):
        read_features(folder)
