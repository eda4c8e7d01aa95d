from __future__ import annotations

from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.graphs import load_graph, read_source, save_graph
from graphcond.graphs.load import detect
from tests.graphs.graphs import assert_same, rich_graph, write_metadata


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """One folder or file of each format."""
    save_graph(rich_graph(), tmp_path / "stored")
    write_metadata(tmp_path / "paintings", [{"center": "a.png", "text": "t", "neighbors": []}], ["a.png"])
    write_metadata(tmp_path / "splits/val", [{"center": "a.png", "text": "t", "neighbors": []}], ["a.png"])
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/nodes.csv").write_text("id,text\na,1\n")
    (tmp_path / "tables/edges.csv.gz").write_bytes(b"")
    (tmp_path / "links.jsonl").write_text('{"src": "a", "dst": "b"}')
    return tmp_path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("paintings", "metadata"),
        ("splits", "metadata"),
        ("tables", "tables"),
        ("links.jsonl", "edge_list"),
    ],
)
def test_formats_are_told_apart(sources: Path, name: str, kind: str) -> None:
    assert detect(sources / name).name == kind


def test_load_graph_takes_them_all(sources: Path) -> None:
    assert_same(load_graph(sources / "stored"), rich_graph())
    assert load_graph(sources / "splits").nodes.ids == ["val/a.png"]
    assert load_graph(str(sources / "links.jsonl")).degrees.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere", "no such file or folder"),
        (
            ".",
            r"expected a graph folder \(graph\.json\) or .* \(metadata\.jsonl.*nodes\.\* with edges\.\*",
        ),
        ("paintings/a.png", r"a\.png: expected a graph .* edge_list \(a \.csv, "),
        ("paintings/metadata.jsonl", "expected a graph .* Name the folder"),
        ("stored/graph.json", "expected a graph .* Name the folder"),
    ],
)
def test_paths_that_hold_no_graph(sources: Path, name: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_graph(sources / name)


def test_a_folder_with_two_formats(sources: Path) -> None:
    (sources / "paintings/nodes.csv").touch()
    with pytest.raises(InputError, match=r"found metadata \(.*\) and tables \("):
        load_graph(sources / "paintings")


def test_a_graph_folder_is_no_source(sources: Path) -> None:
    with pytest.raises(InputError, match="is a graph folder already"):
        read_source(sources / "stored")
