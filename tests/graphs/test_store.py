from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.attributed_graph import NodeTable
from graphcond.errors import InputError, StorageError
from graphcond.graphs import build_graph, open_graph, save_graph
from graphcond.graphs.store import check_sums, read_manifest
from tests.graphs.graphs import assert_same, edge_list, edge_pairs, node_table, rich_graph

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_graph(rich_graph(tmp_path / "pictures"), tmp_path / "graph")
    return tmp_path / "graph"


def test_round_trip(folder: Path, tmp_path: Path) -> None:
    opened = open_graph(folder)
    assert_same(opened, rich_graph())
    assert opened.root == tmp_path / "pictures"
    assert opened.picture_path(2) == tmp_path / "pictures/sub/ü c.png"
    assert opened.nodes.index["ü c"] == 2
    check_sums(folder, read_manifest(folder))


@given(edge_pairs(), st.booleans(), st.data())
def test_round_trip_of_any_graph(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[int, list[tuple[int, int]]],
    directed: bool,
    data: st.DataObject,
) -> None:
    count, pairs = drawn
    texts = data.draw(st.lists(TEXT, min_size=count, max_size=count))
    nodes = NodeTable(node_table(count).ids, texts, [text or None for text in texts])
    graph = build_graph(nodes, edge_list(pairs), directed=directed)
    folder = tmp_path_factory.mktemp("any") / "graph"
    save_graph(graph, folder)
    assert_same(open_graph(folder), graph)


def test_arrays_are_memory_maps(folder: Path) -> None:
    graph = open_graph(folder)
    assert isinstance(graph.indices, np.memmap)
    assert isinstance(graph.indptr, np.memmap)


def test_the_pictures_root_moves_with_the_folder_when_near(tmp_path: Path) -> None:
    near, far = tmp_path / "a/data", tmp_path / "b/c/graph"
    save_graph(rich_graph(near), tmp_path / "a/graph")
    save_graph(rich_graph(near), far)
    (tmp_path / "a").rename(tmp_path / "moved")
    (tmp_path / "b/c").rename(tmp_path / "c")
    assert open_graph(tmp_path / "moved/graph").root == tmp_path / "moved/data"
    assert open_graph(tmp_path / "c/graph").root == near


def test_a_graph_without_pictures_has_no_root(tmp_path: Path) -> None:
    save_graph(build_graph(node_table(2), edge_list([])), tmp_path / "graph")
    assert open_graph(tmp_path / "graph").root is None


def test_a_graph_folder_is_replaced_and_leaves_nothing_behind(folder: Path) -> None:
    save_graph(build_graph(node_table(3), edge_list([(0, 2)])), folder)
    assert len(open_graph(folder)) == 3
    assert not (folder / "given.npy").exists()
    assert [entry.name for entry in folder.parent.iterdir()] == ["graph"]


def test_other_folders_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    for target in (tmp_path / "photos", tmp_path / "photos/a.jpg"):
        with pytest.raises(InputError, match="is not a graph folder"):
            save_graph(rich_graph(), target)
    assert (tmp_path / "photos/a.jpg").exists()


def test_a_folder_that_holds_the_pictures_is_not_replaced(folder: Path) -> None:
    (folder / "pictures").mkdir()
    with pytest.raises(InputError, match="holds the pictures"):
        save_graph(rich_graph(folder / "pictures"), folder)


def test_a_failed_save_keeps_the_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graphcond.graphs.store._write_nodes", full_disk)
    with pytest.raises(StorageError, match="No space"):
        save_graph(build_graph(node_table(3), edge_list([])), folder)
    assert_same(open_graph(folder), rich_graph())
    assert [entry.name for entry in folder.parent.iterdir()] == ["graph"]


FILES = [
    "graph.json",
    "indptr.npy",
    "indices.npy",
    "weights.npy",
    "edge_types.npy",
    "given.npy",
    "nodes.arrow",
]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.99])
def test_a_file_cut_short(folder: Path, name: str, keep: float) -> None:
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(len(content) * keep)])
    problem = "(not JSON|is empty)" if name == "graph.json" else "the file was cut short"
    with pytest.raises(InputError, match=f"{name}.*{problem}"):
        open_graph(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(InputError, match=name):
        open_graph(folder)


@pytest.mark.parametrize("name", FILES[1:])
def test_a_changed_file_has_another_checksum(folder: Path, name: str) -> None:
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}.*checksum"):
        check_sums(folder, read_manifest(folder))


def change_manifest(folder: Path, **changes: object) -> None:
    manifest = json.loads((folder / "graph.json").read_text()) | changes
    (folder / "graph.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"version": 2}, "of version 2, and this graphcond reads version 1"),
        ({"version": "1" * 99}, "of version '1{19}, and this graphcond reads version 1"),
        ({"nodes": 5}, "disagree"),
        ({"edges": 7}, "disagree"),
        ({"nodes": "many"}, r"graph\.json: nodes: "),
        ({"format": "another"}, r"graph\.json: format: "),
        ({"surprise": 1}, r"graph\.json: surprise: unknown key"),
        ({"files": {}}, r"files\.indptr: is missing"),
    ],
)
def test_a_wrong_manifest(folder: Path, changes: dict[str, object], problem: str) -> None:
    change_manifest(folder, **changes)
    with pytest.raises(InputError, match=problem):
        open_graph(folder)


def test_a_manifest_that_is_a_list(folder: Path) -> None:
    (folder / "graph.json").write_text("[]")
    with pytest.raises(InputError, match="version None"):
        open_graph(folder)


@pytest.mark.parametrize("array", [np.zeros(5), np.zeros((5, 1), np.int64)])
def test_an_array_of_another_dtype_or_shape(folder: Path, array: np.ndarray) -> None:
    replace_part(folder, "indptr", array)
    with pytest.raises(InputError, match=r"indptr\.npy: expected [12]-d int"):
        open_graph(folder)


def test_arrays_that_hold_objects_are_not_unpickled(folder: Path) -> None:
    replace_part(folder, "indptr", np.array([{}], object))
    with pytest.raises(InputError, match=r"indptr\.npy: the file cannot be read"):
        open_graph(folder)


def replace_part(folder: Path, part: str, array: np.ndarray) -> None:
    np.save(folder / f"{part}.npy", array)
    files = json.loads((folder / "graph.json").read_text())["files"]
    files[part]["bytes"] = (folder / f"{part}.npy").stat().st_size
    change_manifest(folder, files=files)


def test_nodes_that_are_no_arrow_file(folder: Path) -> None:
    size = (folder / "nodes.arrow").stat().st_size
    (folder / "nodes.arrow").write_bytes(b"x" * size)
    with pytest.raises(InputError, match=r"nodes\.arrow: the file cannot be read as a node table"):
        open_graph(folder)


def test_no_graph_folder(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match=r"it has no graph\.json"):
        open_graph(tmp_path / "nowhere")
    shutil.rmtree(folder)
    folder.touch()
    with pytest.raises(InputError, match=r"it has no graph\.json"):
        open_graph(folder)


def test_a_place_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="cannot be written"):
        save_graph(rich_graph(), tmp_path / "file" / "graph")
