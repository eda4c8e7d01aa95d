from __future__ import annotations

import gzip
from collections.abc import Mapping
from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.graphs import load_graph, read_features, read_source

PLAIN = {
    "raw/edge.csv.gz": "0,1\n1,2\n3,0\n",
    "raw/num-node-list.csv.gz": "4\n",
    "raw/num-edge-list.csv.gz": "3\n",
    "raw/node-feat.csv.gz": "0.5,1\n2,3\n4,5\n6,7\n",
    "raw/node-label.csv.gz": '3.0\n1.0\n""\n0.0\n',
    "raw/node_year.csv.gz": "2001\n2002\n2003\n2004\n",
    "mapping/nodeidx2asin.csv.gz": "node idx,asin\n1,B1\n0,B0\n3,B3\n2,B2\n",
    "split/sales_ranking/train.csv.gz": "0\n3\n",
    "split/sales_ranking/valid.csv.gz": "1\n",
    "split/sales_ranking/test.csv.gz": "2\n",
}

TYPED = {
    "raw/num-node-dict.csv.gz": "author,paper\n2,3\n",
    "raw/triplet-list.csv.gz": "author,writes,paper\npaper,cites,paper\n",
    "raw/relations/author___writes___paper/edge.csv.gz": "0,2\n1,0\n",
    "raw/relations/paper___cites___paper/edge.csv.gz": "0,1\n",
    "raw/node-feat/paper/node-feat.csv.gz": "1,2\n3,4\n5,6\n",
    "raw/node-label/paper/node-label.csv.gz": "7\n8\n9\n",
    "mapping/author_entidx2name.csv.gz": "ent idx,ent name\n0,Jin\n1,Li\n",
    "split/time/paper/train.csv.gz": "0\n",
    "split/time/paper/test.csv.gz": "2\n",
}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        content = text.encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    return folder


def test_a_graph_of_one_type(tmp_path: Path) -> None:
    graph = load_graph(write(tmp_path, PLAIN))
    assert list(graph.nodes.ids) == ["B0", "B1", "B2", "B3"]
    assert graph.nodes.splits == ["train", "valid", "test", "train"]
    assert graph.nodes.attributes == {
        "label": ["3", "1", "", "0"],
        "node_year": ["2001", "2002", "2003", "2004"],
    }
    assert [graph.neighbors(node).tolist() for node in range(4)] == [[1, 3], [0, 2], [1], [0]]
    assert read_features(tmp_path).tolist() == [[0.5, 1], [2, 3], [4, 5], [6, 7]]


def test_a_graph_of_several_types(tmp_path: Path) -> None:
    graph = load_graph(write(tmp_path, TYPED))
    assert list(graph.nodes.ids) == ["author:Jin", "author:Li", "paper:0", "paper:1", "paper:2"]
    assert graph.nodes.splits == ["", "", "train", "", "test"]
    assert graph.nodes.attributes == {"label": ["", "", "7", "8", "9"]}
    assert graph.edge_type_names == ("cites", "writes")
    assert [graph.neighbors(node).tolist() for node in range(5)] == [[4], [2], [1, 3], [2], [0]]
    assert read_features(tmp_path).tolist() == [[0, 0], [0, 0], [1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("files", "file", "place"),
    [
        (PLAIN, "raw/node-feat.csv.gz", "node-feat.csv.gz, 'node-feat'"),
        (TYPED, "raw/node-feat/paper/node-feat.csv.gz", "'node-feat' of 'paper'"),
    ],
)
def test_features_that_are_not_finite(tmp_path: Path, files: dict[str, str], file: str, place: str) -> None:
    folder = write(tmp_path, files | {file: files[file].replace("3", "nan")})
    with pytest.raises(InputError, match=f"{place}: row 1, counted from 0, holds NaN"):
        read_features(folder)


def test_the_least_there_can_be(tmp_path: Path) -> None:
    graph = load_graph(write(tmp_path, {"raw/edge.csv.gz": "", "raw/num-node-list.csv.gz": "2\n"}))
    assert list(graph.nodes.ids) == ["0", "1"]
    assert graph.nodes.splits is None
    with pytest.raises(InputError, match="has 0 vectors for each node"):
        read_features(tmp_path)


def test_texts_and_pictures_by_id(tmp_path: Path) -> None:
    files = {"nodes.csv": "asin,title,image\nB3,three,x/3.png\nB9,nine,\nB1,one,\n"}
    folder = write(tmp_path, PLAIN | files)
    graph = read_source(folder, {"id": "asin", "text": "title"}).graph()
    assert list(graph.nodes.texts) == ["", "one", "", "three"]
    assert list(graph.nodes.pictures) == [None, None, None, "x/3.png"]
    with pytest.raises(InputError, match=r"nodes\.csv: there is no column 'sku'"):
        read_source(folder, {"id": "sku"})
    guessed = read_source(folder).graph()
    assert list(guessed.nodes.texts) == ["", "one", "", "three"]
    assert guessed.tally.columns == {"id": "asin", "text": "title"}


def test_weights(tmp_path: Path) -> None:
    weights = load_graph(write(tmp_path, PLAIN | {"raw/edge_weight.csv.gz": "1\n2\n3\n"})).weights
    assert weights is not None
    assert sorted(set(weights.tolist())) == [1, 2, 3]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("raw/num-node-list.csv.gz", None, r"num-node-list\.csv\.gz: the file is missing"),
        ("raw/num-node-list.csv.gz", "2\n2\n", "expected one graph, got 2"),
        ("raw/num-node-list.csv.gz", "3\n", "expected 3 rows of one value"),
        ("raw/num-node-list.csv.gz", f"{10**12}\n", r"list\.csv\.gz: there are 1000000000000 nodes, .* GiB"),
        ("raw/edge.csv.gz", "0,1,2\n", r"edge\.csv\.gz: expected 2 columns, got 3"),
        ("raw/edge.csv.gz", "0,4\n", "edge 0 ends at node 4, and there are 4 nodes"),
        ("raw/edge.csv.gz", "0,-1\n", "edge 0 ends at node -1"),
        ("raw/edge.csv.gz", "0,a\n", r"edge\.csv\.gz: the file cannot be read"),
        ("raw/edge.csv.gz", "0,\n", r"edge\.csv\.gz: a cell is empty"),
        ("raw/edge_weight.csv.gz", "1\n", r"'weight' has the shape \(1, 1\) for 3 edges"),
        ("raw/edge_weight.csv.gz", "1\nnan\n1\n", "edge 1 has the weight nan"),
        ("raw/node-label.csv.gz", "1\n", r"node-label\.csv\.gz: expected 4 rows of one value, got 1 of 1"),
        ("mapping/nodeidx2asin.csv.gz", "node idx,asin\n0,a\n1,b\n2,c\n7,d\n", "node 3 is missing"),
        ("mapping/nodeidx2asin.csv.gz", "node idx,asin\n0,a\n1,b\n2,c\n3,a\n", "'a' occurs more than once"),
        ("split/sales_ranking/test.csv.gz", "9\n", "names nodes 9 to 9, and there are 4"),
        ("split/sales_ranking/test.csv.gz", "0\n", "node 0 is in the splits 'train' and 'test'"),
        ("split/random/train.csv.gz", "0\n", "several ways to split: random, sales_ranking"),
        ("nodes.csv", "id,text\nx,y\n", "no row for any of the nodes 'B0'"),
        ("nodes.csv", "id,text,image\nB0,y,../x.png\n", "leaves the folder"),
    ],
)
def test_bad_folders(tmp_path: Path, name: str, content: str | None, problem: str) -> None:
    folder = write(tmp_path, {key: text for key, text in PLAIN.items() if key != name})
    write(folder, {} if content is None else {name: content})
    with pytest.raises(InputError, match=problem):
        load_graph(folder)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("raw/triplet-list.csv.gz", "author,writes\n", "expected 3 columns, got 2"),
        ("raw/triplet-list.csv.gz", "author,../..,paper\n", "'../..' is not the name of a type"),
        (
            "raw/triplet-list.csv.gz",
            "author,edits,paper\n",
            r"author___edits___paper/edge\.csv\.gz: the file is missing",
        ),
        ("raw/num-node-dict.csv.gz", "author,/tmp\n2,3\n", "'/tmp' is not the name of a type"),
        ("raw/num-node-dict.csv.gz", f"author,paper\n{10**12},3\n", "there are 1000000000003 nodes"),
        ("raw/num-node-dict.csv.gz", "author\n2\n", "end at nodes 'paper', which are missing"),
    ],
)
def test_bad_folders_of_several_types(tmp_path: Path, name: str, content: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_graph(write(tmp_path, TYPED | {name: content}))


def test_columns_without_a_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no nodes\.\*"):
        read_source(write(tmp_path, PLAIN), {"text": "title"})


def test_a_file_cut_short(tmp_path: Path) -> None:
    folder = write(tmp_path, PLAIN)
    file = folder / "raw/edge.csv.gz"
    file.write_bytes(file.read_bytes()[:-6])
    with pytest.raises(InputError, match=r"edge\.csv\.gz: the file cannot be read"):
        load_graph(folder)
