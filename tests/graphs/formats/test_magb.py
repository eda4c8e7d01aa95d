from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.errors import InputError
from graphcond.graphs import load_graph, read_source
from graphcond.io.optional import optional
from tests.graphs.graphs import write_picture

try:
    dgl = optional("dgl", "dgl")
except InputError:
    pytest.skip("needs graphcond[dgl]", allow_module_level=True)

TABLE = 'id,text,neighbour,category\n2,two,[1],toy\n0,zero,[1],book\n1,one,"[0, 2]",\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    graph = dgl.graph((torch.tensor([0, 1]), torch.tensor([1, 2])), num_nodes=3)
    graph.ndata["label"] = torch.tensor([5, 6, 7])
    graph.ndata["feat"] = torch.ones(3, 2)
    dgl.save_graphs(str(tmp_path / "MoviesGraph.pt"), [graph])
    (tmp_path / "Movies.csv").write_text(TABLE)
    return tmp_path


def test_a_folder(folder: Path) -> None:
    write_picture(folder / "MoviesImages/1.jpg")
    graph = load_graph(folder)
    assert list(graph.nodes.ids) == ["0", "1", "2"]
    assert list(graph.nodes.texts) == ["zero", "one", "two"]
    assert graph.nodes.attributes == {"label": ["5", "6", "7"], "category": ["book", "", "toy"]}
    assert list(graph.nodes.pictures) == [None, "MoviesImages/1.jpg", None]
    assert [graph.neighbors(node).tolist() for node in range(3)] == [[1], [0, 2], [1]]


def test_other_columns_and_other_ids(folder: Path) -> None:
    (folder / "Movies.csv").write_text("asin,TITLE,DESCRIPTION,part\nB9,a,b,train\nB7,c,,test\nB8,,d,\n")
    columns = {"id": "asin", "text": "TITLE+DESCRIPTION", "split": "part"}
    nodes = read_source(folder, columns).nodes
    assert list(nodes.ids) == ["B9", "B7", "B8"]
    assert list(nodes.texts) == ["a b", "c", "d"]
    assert list(read_source(folder, columns | {"text": "TITLE+TITLE"}).nodes.texts) == ["a", "c", ""]
    assert nodes.splits == ["train", "test", ""]


@pytest.mark.parametrize(
    ("table", "columns", "problem"),
    [
        ("id,headline\n0,a\n1,b\n2,c\n", {}, r"there is no column 'text' \(there is headline\)"),
        ("id,title\n0,a\n1,b\n2,c\n", {"text": "titel"}, "there is no column 'titel'"),
        ("id,title\n0,a\n1,b\n2,c\n", {"text": "title+description"}, "there is no column 'description'"),
        ("id,text\n0,a\n1,b\n2,c\n", {"split": "part"}, "there is no column 'part'"),
        ("id,text\n0,a\n1,b\n2,c\n", {"texts": "part"}, "Did you mean 'text'"),
        ("id,text,text\n0,a,a\n1,b,b\n2,c,c\n", {}, r"Movies\.csv: there are two columns 'text'"),
        ("id,text\n0,a\n1,b\n", {}, r"Movies\.csv: 'label' has|'id' has 2 entries for 3 nodes"),
        ("id,text\n0,a\n0,b\n1,c\n", {}, "the node id '0' occurs more than once"),
    ],
)
def test_bad_tables(folder: Path, table: str, columns: dict[str, str], problem: str) -> None:
    (folder / "Movies.csv").write_text(table)
    with pytest.raises(InputError, match=problem):
        read_source(folder, columns).graph()


def test_a_graph_that_dgl_did_not_write(folder: Path, tmp_path: Path) -> None:
    torch.save({}, folder / "MoviesGraph.pt")
    with pytest.raises(InputError, match=r"MoviesGraph\.pt: the file was not written by dgl\.save_graphs"):
        load_graph(folder)


def test_two_graphs_in_a_folder(folder: Path) -> None:
    for name in ("ToysGraph.pt", "Toys.csv"):
        (folder / name).touch()
    with pytest.raises(InputError, match=r"several graphs, MoviesGraph\.pt and ToysGraph\.pt"):
        load_graph(folder)


def test_without_dgl(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "dgl", None)
    with pytest.raises(InputError, match=r"`pip install 'graphcond\[dgl\]'"):
        load_graph(folder)
