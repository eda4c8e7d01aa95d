from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.graphs import read_metadata
from tests.graphs.graphs import SHARED, write_metadata

LINES = [
    {"center": "a.png", "text": "an a", "neighbors": ["c d.png", "b.png", "c d.png"]},
    {"center": "b.png", "text": "a b", "neighbors": []},
]
PICTURES = ["a.png", "b.png", "c d.png"]


def test_targets_neighbors_and_edges(tmp_path: Path) -> None:
    source = read_metadata(write_metadata(tmp_path / "paintings", LINES, PICTURES))
    nodes = source.nodes
    assert (nodes.ids, nodes.texts) == (["a.png", "b.png", "c d.png"], ["an a", "a b", ""])
    assert (nodes.pictures, nodes.splits) == (nodes.ids, ["train", "train", ""])
    assert source.given is not None
    assert source.given.tolist() == [[2, 1], [-1, -1], [-1, -1]]
    graph = source.graph()
    assert [graph.neighbors(node).tolist() for node in range(3)] == [[1, 2], [0], [0]]
    assert graph.root == tmp_path / "paintings"
    directed = source.graph(directed=True)
    assert [directed.neighbors(node).tolist() for node in range(3)] == [[1, 2], [], []]


def test_split_folders_become_one_graph(tmp_path: Path) -> None:
    write_metadata(tmp_path / "train", LINES, PICTURES)
    write_metadata(tmp_path / "test", LINES[1:], PICTURES[1:2])
    source = read_metadata(tmp_path)
    assert source.nodes.ids == ["train/a.png", "train/b.png", "test/b.png", "train/c d.png"]
    assert source.nodes.splits == ["train", "train", "test", ""]
    assert source.root == tmp_path


def test_a_folder_named_after_a_split_has_that_split(tmp_path: Path) -> None:
    source = read_metadata(write_metadata(tmp_path / "test", LINES, PICTURES))
    assert source.nodes.splits == ["test", "test", ""]


def test_other_keys(tmp_path: Path) -> None:
    line = {"image": "a.png", "title": "an a", "near": ["b.png"], "more": 1}
    folder = write_metadata(tmp_path, [line], PICTURES)
    source = read_metadata(folder, {"center": "image", "text": "title", "neighbors": "near"})
    assert (source.nodes.ids, source.nodes.texts) == (["a.png", "b.png"], ["an a", ""])
    with pytest.raises(InputError, match="Did you mean 'center'"):
        read_metadata(folder, {"centre": "image"})


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", r":2: the text is not JSON"),
        ("[1]", r":2: expected a JSON object, got list"),
        (
            '{"center": "a.png", "text": "\\ud800", "neighbors": []}',
            r":2: the JSON holds half a surrogate pair",
        ),
        ("[" * 100_000, r":2: the JSON is nested too deeply"),
        ("1" * 5000, r":2: the text is not JSON"),
        (
            '{"center": "a.png", "text": "t", "neighbors": [], "text": "u"}',
            r":2: the text is not JSON: the key 'text' occurs twice",
        ),
        ({"text": "t", "neighbors": []}, r":2: the key 'center' is missing \(there is text, neighbors\)"),
        ({"center": "c d.png", "neighbors": []}, r":2: the key 'text' is missing"),
        ({"center": "c d.png", "text": "t"}, r":2: the key 'neighbors' is missing"),
        ({"center": 3, "text": "t", "neighbors": []}, r":2: 'center' is 3, not a string"),
        ({"center": "c d.png", "text": 3, "neighbors": []}, r":2: 'text' is 3"),
        (
            {"center": "c d.png", "text": "t", "neighbors": "a.png"},
            r":2: 'neighbors' is not a list of strings",
        ),
        ({"center": "c d.png", "text": "t", "neighbors": [1]}, r":2: 'neighbors' is not a list of strings"),
        ({"center": "no.png", "text": "t", "neighbors": []}, r":2: the target 'no.png' is not a file"),
        (
            {"center": "c d.png", "text": "t", "neighbors": ["no.png"]},
            r":2: the neighbor 'no.png' is not a file",
        ),
        ({"center": "c d.png", "text": "t", "neighbors": ["x" * 999]}, r":2: the neighbor .* is not a file"),
        ({"center": "c\0d.png", "text": "t", "neighbors": []}, r":2: .* is not a path"),
        ({"center": ".", "text": "t", "neighbors": []}, r":2: the target '.' is not a file"),
        ({"center": "../x.png", "text": "t", "neighbors": []}, r":2: the path '../x.png' leaves"),
        (
            {"center": "c d.png", "text": "t", "neighbors": ["/etc/hosts"]},
            r":2: the path '/etc/hosts' leaves",
        ),
        ({"center": "./a.png", "text": "t", "neighbors": []}, r":2: the target 'a.png' occurs a second time"),
    ],
)
def test_bad_lines(tmp_path: Path, line: dict[str, object] | str, problem: str) -> None:
    folder = write_metadata(tmp_path / "data", [LINES[0], line], PICTURES)
    with pytest.raises(InputError, match=problem):
        read_metadata(folder)


def test_a_link_out_of_the_folder(tmp_path: Path) -> None:
    folder = write_metadata(tmp_path / "data", [{"center": "link.png", "text": "t", "neighbors": []}])
    (folder / "link.png").symlink_to(write_metadata(tmp_path / "other", [], PICTURES) / "a.png")
    with pytest.raises(InputError, match="leaves the folder"):
        read_metadata(folder)


@pytest.mark.parametrize(
    ("content", "problem"),
    [(b"\n \n", "is empty"), (b'{"center": "\xff"}', "not UTF-8"), (None, "there is no metadata")],
)
def test_bad_files(tmp_path: Path, content: bytes | None, problem: str) -> None:
    if content is not None:
        (tmp_path / "metadata.jsonl").write_bytes(content)
    with pytest.raises(InputError, match=problem):
        read_metadata(tmp_path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.sampled_from(PICTURES),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


@given(st.lists(st.fixed_dictionaries({"center": JSON, "text": JSON, "neighbors": JSON}) | JSON, max_size=3))
def test_whatever_the_lines_there_is_a_graph_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, lines: list[object]
) -> None:
    folder = write_metadata(tmp_path_factory.mktemp("any"), [json.dumps(line) for line in lines], PICTURES)
    with suppress(InputError):
        assert len(read_metadata(folder).graph()) >= 1


@pytest.mark.skipif(not (SHARED / "monet").is_dir(), reason="needs the shared data folder")
def test_the_monet_example() -> None:
    source = read_metadata(SHARED / "monet")
    graph = source.graph()
    assert (len(graph), len(graph.nodes.in_split("train")), len(graph.nodes.in_split("test"))) == (9, 4, 1)
    assert all(path is not None and path.is_file() for path in map(graph.picture_path, range(9)))
    assert graph.given is not None
    np.testing.assert_array_equal(graph.given[4], [5, 6, 7, 8])


@pytest.mark.parametrize("name", ["validation", "Valid", "dev", "TEST", "testing"])
def test_split_folders_in_any_spelling(name: str, tmp_path: Path) -> None:
    write_metadata(tmp_path / name, LINES[1:], PICTURES[1:2])
    write_metadata(tmp_path / "train", LINES, PICTURES)
    source = read_metadata(tmp_path)
    assert source.nodes.ids == ["train/a.png", "train/b.png", f"{name}/b.png", "train/c d.png"]
    assert source.nodes.splits == ["train", "train", name, ""]
