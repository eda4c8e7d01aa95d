"""Columns that have a usual name in place of ours are taken, and said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from graphcond.errors import InputError
from graphcond.graphs import build_folder, from_networkx, read_source
from graphcond.graphs.groups import OWN_NAMES, PLAIN, EdgeGroup, Groups, NodeGroup, source_of
from graphcond.graphs.usual import USUAL, fits, usual_columns
from tests.graphs.graphs import write_metadata

PICTURES = ["a.png", "sub/b.JPG"]


def write_tables(folder: Path, nodes: str, edges: str = "src,dst\na,b\n") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return folder


@pytest.mark.parametrize("text", ["title", "Title", "NAME", "caption", "description", "Text"])
@pytest.mark.parametrize("image", ["img", "file_name", "filepath", "Image Path", "file-name"])
def test_nodes_of_tables(text: str, image: str, tmp_path: Path) -> None:
    nodes = f"ID,{text},{image},Split,year\na,star,a.png,Train,1\nb,boat,,test,2\n"
    graph = read_source(write_tables(tmp_path, nodes)).graph()
    assert (list(graph.nodes.ids), list(graph.nodes.texts)) == (["a", "b"], ["star", "boat"])
    assert list(graph.nodes.pictures) == ["a.png", None]
    assert list(graph.nodes.splits or ()) == ["Train", "test"]
    assert list(graph.nodes.attributes) == ["year"]
    assert graph.tally.columns == {"id": "ID", "text": text, "image": image, "split": "Split"}


@pytest.mark.parametrize(
    "header", ["Source,Target,Weight", "from,to,weight", "source_id,target_id,edge_weight"]
)
@pytest.mark.parametrize("lone", [True, False])
def test_edges_of_tables(header: str, lone: bool, tmp_path: Path) -> None:
    folder = write_tables(tmp_path, "id,text\na,x\nb,y\n", f"{header}\na,b,2\n")
    graph = build_folder(folder / "edges.csv" if lone else folder, tmp_path / "graph").graph
    assert graph.weights is not None
    assert graph.weights.tolist() == [2.0, 2.0]
    assert graph.tally.columns["src"] == header.split(",")[0]


def test_our_names_and_the_users_go_first(tmp_path: Path) -> None:
    folder = write_tables(tmp_path, "id,text,title,img,image\na,x,y,b.png,a.png\nb,,,,\n")
    graph = read_source(folder).graph()
    assert (graph.nodes.texts[0], graph.nodes.pictures[0], graph.tally.columns) == ("x", "a.png", {})
    graph = read_source(folder, {"text": "title", "image": "img"}).graph()
    assert (graph.nodes.texts[0], graph.nodes.pictures[0], graph.tally.columns) == ("y", "b.png", {})
    with pytest.raises(InputError, match="no column 'headline'"):
        read_source(folder, {"text": "headline"})


@pytest.mark.parametrize(
    "value", ["https://x.org/a.png", "/data/a.png", "../a.png", "1999", "red", "c:\\a.png"]
)
def test_columns_whose_values_are_no_pictures_stay_attributes(value: str, tmp_path: Path) -> None:
    graph = read_source(write_tables(tmp_path, f"id,text,file,subset\na,x,{value},3\nb,y,a.png,4\n")).graph()
    assert list(graph.nodes.pictures) == [None, None]
    assert list(graph.nodes.attributes) == ["file", "subset"]
    assert graph.nodes.splits is None


def test_lines_of_metadata(tmp_path: Path) -> None:
    line = {"file_name": "a.png", "caption": "an a", "Neighbours": ["b.png"]}
    source = read_source(write_metadata(tmp_path, [line], ["a.png", "b.png"]))
    assert (list(source.nodes.ids), list(source.nodes.texts)) == (["a.png", "b.png"], ["an a", ""])
    assert source.tally.columns == {"center": "file_name", "text": "caption", "neighbors": "Neighbours"}


def test_lines_of_json(tmp_path: Path) -> None:
    (tmp_path / "nodes.jsonl").write_text(
        "".join(json.dumps({"asin": row, "title": f"t{row}"}) + "\n" for row in range(99))
    )
    (tmp_path / "edges.jsonl").write_text('{"source": 1, "target": 2}\n')
    graph = read_source(tmp_path).graph()
    assert (graph.nodes.ids[98], graph.nodes.texts[98], len(graph.indices)) == ("98", "t98", 2)


def test_pyg_files_and_graphs_in_memory(tmp_path: Path) -> None:
    columns = {"title": ["x", None], "image_path": PICTURES, "y": torch.tensor([1, 2]), "name": [1.5, 2.5]}
    torch.save({"edge_index": torch.tensor([[0], [1]]), "num_nodes": 2, **columns}, tmp_path / "graph.pt")
    graph = read_source(tmp_path / "graph.pt").graph()
    assert (list(graph.nodes.texts), list(graph.nodes.pictures)) == (["x", ""], PICTURES)
    assert list(graph.nodes.attributes) == ["y", "name"]
    assert graph.tally.columns == {"text": "title", "image": "image_path"}
    assert graph.tally.read["texts"] == 1


def test_attributes_of_networkx() -> None:
    networkx = pytest.importorskip("networkx")
    made = networkx.Graph([("a", "b")])
    made.add_node("a", caption="star", img="a.png", born=1900)
    graph = from_networkx(made)
    assert (list(graph.nodes.texts), list(graph.nodes.pictures)) == (["star", ""], ["a.png", None])
    assert graph.tally.columns == {"text": "caption", "image": "img"}


def test_each_type_of_nodes_has_its_own_columns() -> None:
    nodes = {"paper": NodeGroup(1, {"title": ["x"]}), "author": NodeGroup(1, {"name": ["y"], "text": ["z"]})}
    empty = np.empty(0, np.int64)
    source = source_of(Groups(nodes, {("paper", PLAIN, "author"): EdgeGroup(empty, empty, {})}), OWN_NAMES)
    assert list(source.nodes.texts) == ["x", "z"]
    assert source.nodes.attributes == {"name": ["", "y"]}


def test_a_column_is_taken_once() -> None:
    names = {"src": "src", "dst": "dst", "text": "text"}
    assert usual_columns(["target", "Title"], names, names) == {"dst": "target", "text": "Title"}
    assert usual_columns(["target"], {**names, "src": "target"}, names) == {}


@pytest.mark.parametrize("ours", sorted(USUAL))
def test_the_first_usual_name_is_ours(ours: str) -> None:
    assert USUAL[ours][0] == ours
    assert not fits(ours, ["", None])
