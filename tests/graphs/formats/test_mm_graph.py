from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphcond.errors import InputError
from graphcond.features.embedding_files import load_embeddings
from graphcond.graphs import load_graph, read_features, read_source
from tests.graphs.graphs import write_picture
from tests.graphs.pickles import Malicious

EDGES, SPLIT, LABELS = "nc_edges-nodeid.pt", "split.pt", "labels-w-missing.pt"
MAPPING, LINKS, TEXTS = "node_mapping.pt", "lp-edge-split-random.pt", "books-nc-raw-text.jsonl"

FILES: dict[str, Any] = {
    EDGES: [[0, 1], [1, 2]],
    SPLIT: {"train_idx": torch.tensor([0]), "val_idx": np.array([1]), "test_idx": [3]},
    LABELS: [4, -1, 0, 2],
    MAPPING: {"B2": 2, "B0": 0, "B3": 3, "B1": 1},
    "clip_feat.pt": torch.arange(8.0).reshape(4, 2),
}


def write(folder: Path, files: dict[str, Any]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, value in files.items():
        torch.save(value, folder / name)
    return folder


def write_texts(folder: Path, *lines: dict[str, Any]) -> None:
    (folder / TEXTS).write_text("\n".join(map(json.dumps, lines)))


def test_node_classification(tmp_path: Path) -> None:
    folder = write(tmp_path, FILES)
    write_texts(
        folder, {"id": "B1", "text": "one"}, {"id": "B0", "text": ["a", "b"]}, {"id": "X", "text": None}
    )
    write_picture(folder / "books-nc-images/B1.jpg")
    write_picture(folder / "books-nc-images/B3.png")
    (folder / "books-nc-images/B0.txt").touch()
    graph = load_graph(folder)
    assert list(graph.nodes.ids) == ["B0", "B1", "B2", "B3"]
    assert list(graph.nodes.texts) == ["a b", "one", "", ""]
    assert graph.nodes.splits == ["train", "val", "", "test"]
    assert graph.nodes.attributes == {"label": ["4", "-1", "0", "2"]}
    assert list(graph.nodes.pictures) == [None, "books-nc-images/B1.jpg", None, "books-nc-images/B3.png"]
    assert graph.picture_path(1) == folder / "books-nc-images/B1.jpg"
    assert [graph.neighbors(node).tolist() for node in range(4)] == [[1], [0, 2], [1], []]


def test_link_prediction_reads_training_edges_alone(tmp_path: Path) -> None:
    ends = {"source_node": torch.tensor([0, 2]), "target_node": torch.tensor([1, 1])}
    held = {"source_node": torch.tensor([3]), "target_node": torch.tensor([0])}
    links = {"train": ends, "valid": held, "test": held | {"target_node_neg": torch.tensor([[1, 2]])}}
    graph = load_graph(write(tmp_path, {LINKS: links, "clip_feat.pt": FILES["clip_feat.pt"]}))
    assert list(graph.nodes.ids) == ["0", "1", "2", "3"]
    assert [graph.neighbors(node).tolist() for node in range(4)] == [[1], [0, 2], [1], []]


def test_the_least_there_can_be(tmp_path: Path) -> None:
    graph = load_graph(write(tmp_path, {EDGES: torch.tensor([[0, 2]])}))
    assert list(graph.nodes.ids) == ["0", "1", "2"]
    assert len(load_graph(write(tmp_path / "none", {EDGES: []}))) == 0


def test_features_of_old_torch_count_the_nodes(tmp_path: Path) -> None:
    folder = write(tmp_path, {EDGES: [[0, 1]]})
    torch.save(torch.ones(4, 2), folder / "clip_feat.pt", _use_new_zipfile_serialization=False)
    assert len(load_graph(folder)) == 4
    torch.save(torch.ones(()), folder / "clip_feat.pt")
    with pytest.raises(InputError, match="and there are 1 nodes"):
        load_graph(folder)


def test_features_are_read_as_they_are(tmp_path: Path) -> None:
    folder = write(tmp_path, FILES)
    ours, theirs = read_features(folder), load_embeddings(folder / "clip_feat.pt", 4)
    np.testing.assert_array_equal(ours, theirs)
    with pytest.raises(InputError, match=r"has no vectors 'clp_feat'\. Did you mean 'clip_feat'"):
        read_features(folder, "clp_feat")


@pytest.mark.parametrize("wrong", [torch.ones(3, 2), torch.ones(4), torch.ones(())])
def test_features_of_another_shape(tmp_path: Path, wrong: torch.Tensor) -> None:
    folder = write(tmp_path, FILES | {"clip_feat.pt": wrong})
    with pytest.raises(InputError, match=r"'clip_feat' has the shape .* for 4 nodes"):
        read_features(folder)


def test_features_in_double_precision(tmp_path: Path) -> None:
    folder = write(tmp_path, FILES | {"clip_feat.pt": torch.ones(4, 2, dtype=torch.float64)})
    assert read_features(folder).dtype == np.float32


def test_other_keys_of_texts(tmp_path: Path) -> None:
    folder = write(tmp_path, FILES)
    write_texts(folder, {"asin": "B0", "raw_text": "zero"})
    graph = read_source(folder, {"id": "asin", "text": "raw_text"}).graph()
    assert graph.nodes.texts[0] == "zero"
    with pytest.raises(InputError, match=r"jsonl:1: the key 'text' is missing \(there is asin, raw_text\)"):
        load_graph(folder)
    with pytest.raises(InputError, match="Did you mean 'text'"):
        read_source(folder, {"txt": "raw_text"})


@pytest.mark.parametrize("name", FILES)
def test_a_pickle_is_refused_and_never_run(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path / "data", FILES | {name: {"x": Malicious(tmp_path / "ran")}})
    with pytest.raises(InputError, match=rf"{name}: .* is not opened: it could run code"):
        read_features(folder) if name == "clip_feat.pt" else load_graph(folder)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [EDGES, SPLIT, LABELS, MAPPING])
def test_a_file_cut_short(tmp_path: Path, name: str) -> None:
    folder = write(tmp_path, FILES)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=rf"{name}: the file cannot be read"):
        load_graph(folder)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        (EDGES, [[0, 9]], rf"{EDGES}: edge 0 ends at node 9, and there are 4 nodes"),
        (EDGES, [[-1, 0]], "edge 0 ends at node -1"),
        (EDGES, [[0, 1, 2]], r"expected edges of shape \(edges, 2\), got \(1, 3\)"),
        (EDGES, [[0, 1], [2]], "expected numbers in edges"),
        (EDGES, [["a", "b"]], "expected numbers in edges"),
        (EDGES, [[0.5, 1.0]], "integers in edges, got float64"),
        (SPLIT, {"train_idx": [0]}, rf"{SPLIT}: there is no 'val_idx'"),
        (SPLIT, [0, 1], rf"{SPLIT}: there is no 'train_idx'"),
        (SPLIT, FILES[SPLIT] | {"test_idx": [4]}, "'test_idx' names nodes 4 to 4, and there are 4"),
        (SPLIT, FILES[SPLIT] | {"test_idx": [0]}, "node 0 is in the splits 'train' and 'test'"),
        (LABELS, [1, 2], "there are 4 nodes in node_mapping.pt and 2 labels"),
        (MAPPING, {"a": 0, "b": 2, "c": 1, "d": 2}, "the 4 nodes are not numbered from 0 without gaps"),
        (MAPPING, ["a"], "expected a mapping of raw ids to rows"),
        (MAPPING, {"a": "x"}, "expected numbers in rows"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, value: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_graph(write(tmp_path, FILES | {name: value}))


def test_an_id_beyond_the_memory(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"data: there are 1099511627777 nodes, .* number the nodes in the edges from 0"
    ):
        load_graph(write(tmp_path / "data", {EDGES: torch.tensor([[0, 2**40]])}))


@pytest.mark.parametrize(
    ("links", "problem"),
    [
        ({"valid": {}}, "there is no 'train'"),
        ({"train": {"source_node": torch.tensor([0])}}, "there is no 'target_node'"),
        ({"train": {"source_node": [0, 1], "target_node": [1]}}, "there are 2 sources and 1 targets"),
    ],
)
def test_bad_links(tmp_path: Path, links: Any, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        load_graph(write(tmp_path, {LINKS: links}))


def test_two_of_a_kind(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"lp-edge-split-hard\.pt and lp-edge-split-random\.pt"):
        load_graph(write(tmp_path, {LINKS: {}, "lp-edge-split-hard.pt": {}}))


def test_texts_of_other_nodes(tmp_path: Path) -> None:
    folder = write(tmp_path, {EDGES: [[0, 1]]})
    write_texts(folder, {"id": "B1", "text": "one"})
    with pytest.raises(InputError, match=r"no line for any of the nodes '0'.* Add node_mapping\.pt"):
        load_graph(folder)
