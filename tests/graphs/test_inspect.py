from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.graphs import DegreeFigures, build_graph, inspect_graph, save_graph
from graphcond.graphs.inspect import draw_degrees
from graphcond.io.pictures import open_picture
from graphcond.io.tally import Tally
from graphcond.progress import Progress
from tests.graphs.graphs import SHARED, edge_list, node_table, rich_graph, write_metadata, write_picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_picture(tmp_path / "pictures/a.png", 1)
    write_picture(tmp_path / "pictures/sub/ü c.png", 1)
    (tmp_path / "pictures/d.png").write_text("no picture")
    save_graph(rich_graph(tmp_path / "pictures"), tmp_path / "graph")
    return tmp_path / "graph"


def test_a_report(folder: Path) -> None:
    tasks: list[str] = []

    def watch(task: str) -> Progress:
        tasks.append(task)
        return lambda done, total: None

    report = inspect_graph(folder, pictures=True, progress=watch)
    assert asdict(report) == {
        "nodes": 4,
        "edges": 3,
        "directed": False,
        "splits": {"train": 2, "": 1, "test": 1},
        "held_out": 1,
        "node_types": {"painting": 3, "museum": 1},
        "edge_types": {"style": 2, "year": 1},
        "isolated": 1,
        "degree": {"min": 0, "median": 2.0, "mean": 1.5, "p99": 2.0, "max": 2},
        "largest_degrees": {"a": 2, "b": 2, "ü c": 2, "d": 0},
        "with_text": 3,
        "long_texts": 0,
        "longest_text": 0,
        "with_picture": 3,
        "with_given_neighbors": 2,
        "missing_pictures": [],
        "undecodable_pictures": {"d": "the file is not a picture"},
        "shared_pictures": [("ü c", "a")],
        "given_targets": [("a", "ü c"), ("ü c", "a")],
        "given_held_out": [("a", "ü c")],
        "tally": asdict(Tally({"nodes": 4, "texts": 3, "pictures": 3, "edges": 3})),
    }
    assert tasks == ["comparing pictures", "decoding pictures"]
    json.dumps(asdict(report))


def test_pictures_that_are_gone(folder: Path) -> None:
    (folder.parent / "pictures/a.png").unlink()
    report = inspect_graph(folder)
    assert (report.missing_pictures, report.undecodable_pictures) == (["a"], None)


def test_directed_edges_count_once_and_their_ends_are_not_isolated() -> None:
    graph = build_graph(node_table(3), edge_list([(0, 1), (1, 0)], types=["x", "y"]), directed=True)
    report = inspect_graph(graph)
    assert (report.edges, report.edge_types, report.isolated) == (2, {"x": 1, "y": 1}, 1)
    one_way = inspect_graph(build_graph(node_table(2), edge_list([(0, 1)]), directed=True))
    assert one_way.isolated == 0


def test_a_graph_without_nodes() -> None:
    report = inspect_graph(build_graph(node_table(0), edge_list([])))
    assert (report.nodes, report.degree) == (0, DegreeFigures(0, 0.0, 0.0, 0.0, 0))


def test_sources_can_be_inspected_too(tmp_path: Path) -> None:
    lines = [{"center": "a.png", "text": "t", "neighbors": ["a.png", "b.png"]}]
    report = inspect_graph(write_metadata(tmp_path, lines, ["a.png", "b.png"]))
    assert (report.edges, report.given_targets) == (1, [("a.png", "a.png")])


def test_a_changed_file_is_found(folder: Path) -> None:
    content = bytearray((folder / "indices.npy").read_bytes())
    content[-1] ^= 64
    (folder / "indices.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"indices\.npy.*checksum"):
        inspect_graph(folder)


@pytest.mark.skipif(not (SHARED / "graphs").is_dir(), reason="needs the shared data folder")
def test_citeseer() -> None:
    report = inspect_graph(SHARED / "graphs/citeseer_edges.csv")
    assert (report.nodes, report.edges, report.degree.max) == (3264, 4536, 99)
    assert next(iter(report.largest_degrees.items())) == ("1322", 99)


@pytest.mark.parametrize("pairs", [[], [(0, 1), (0, 2), (0, 3), (3, 4)]])
def test_a_picture_of_degrees(tmp_path: Path, pairs: list[tuple[int, int]]) -> None:
    draw_degrees(build_graph(node_table(6), edge_list(pairs)), tmp_path / "degrees.png")
    assert open_picture(tmp_path / "degrees.png").size == (900, 600)


def test_no_picture_of_no_degrees(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="without nodes"):
        draw_degrees(build_graph(node_table(0), edge_list([])), tmp_path / "degrees.png")
