from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import save_file as save_torch_file

from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers import PrecomputedSampler, PrecomputedSamplerConfig
from graphcond.samplers.neighbor_file import (
    METADATA_KEY,
    graph_identity,
    read_neighbors,
    write_neighbors,
)
from tests.samplers.toy_graphs import toy_graph
from tests.typecheck import unchecked

GRAPH = toy_graph(5, [(0, 1), (1, 2)], without_picture=[4])
CONTEXT = NeighborContext(
    np.array([0, 2]),
    np.array([[4, 3, 1], [1, -1, -1]]),
    np.array([[0.5, 0.25, 0.125], [1.0, 0.0, 0.0]], np.float32),
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return write(tmp_path / "neighbors.safetensors")


def write(path: Path, context: NeighborContext = CONTEXT, *, require_picture: bool = False) -> Path:
    write_neighbors(path, context, {**graph_identity(GRAPH), "sampler": {"require_picture": require_picture}})
    return path


def sample(file: Path, targets: tuple[int, ...] = (2, 0), **choices: Any) -> NeighborContext:
    sampler = PrecomputedSampler(GRAPH, file, **{"neighbors": 3, "require_picture": False, **choices})
    return sampler.sample(np.array(targets), np.random.default_rng(0))


def test_gives_what_the_file_holds(file: Path) -> None:
    found = sample(file)
    assert found.neighbors.tolist() == [[1, -1, -1], [4, 3, 1]]
    assert found.scores.tolist() == [[1, 0, 0], [0.5, 0.25, 0.125]]


def test_takes_fewer_and_moves_up_where_one_may_not_be_taken(file: Path) -> None:
    assert sample(file, neighbors=1).neighbors.tolist() == [[1], [4]]
    found = sample(file, (0,), neighbors=2, forbidden=np.array([3]))
    assert (found.neighbors.tolist(), found.scores.tolist()) == ([[4, 1]], [[0.5, 0.125]])
    assert sample(file, (0,), require_picture=True).neighbors.tolist() == [[3, 1, -1]]


def test_relations_go_with_their_neighbors(file: Path, tmp_path: Path) -> None:
    assert sample(file).relations is None
    relations = np.array([[0, 2, 1], [1, 0, 0]], np.int16)
    graph = toy_graph(5, [(0, 1), (1, 2)], types=["a", "b"])
    path = tmp_path / "related"
    write_neighbors(path, replace(CONTEXT, relations=relations), {**graph_identity(graph), "sampler": {}})
    sampler = PrecomputedSampler(graph, path, neighbors=2, forbidden=np.array([4]))
    found = sampler.sample(np.array([2, 0]), np.random.default_rng(0))
    assert found.relations is not None
    assert (found.neighbors.tolist(), found.relations.tolist()) == ([[1, -1], [3, 1]], [[1, 0], [2, 1]])


@pytest.mark.parametrize("relation", [-1, 1])
def test_relations_that_the_graph_does_not_have_are_refused(tmp_path: Path, relation: int) -> None:
    wrong = replace(CONTEXT, relations=np.full((2, 3), relation, np.int16))
    with pytest.raises(InputError, match=f"relation {relation} is not"):
        sample(write(tmp_path / "wrong", wrong))


def test_more_than_the_file_holds_is_refused(file: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected at least 4 neighbors per target, got 3.*neighbors=4"):
        sample(file, neighbors=4)
    with pytest.raises(InputError, match="only neighbors with a picture"):
        sample(write(tmp_path / "pictured", require_picture=True))


def test_nodes_that_are_averaged_are_no_neighbors(tmp_path: Path) -> None:
    file = tmp_path / "means.safetensors"
    write_neighbors(file, CONTEXT, {**graph_identity(GRAPH), "sampler": {"kind": "hop_mean"}})
    with pytest.raises(InputError, match=r"'hop_mean' averages.*Sample with hop_mean"):
        sample(file)


def test_a_target_that_is_not_in_the_file_is_named(file: Path) -> None:
    with pytest.raises(InputError, match=r"no neighbors of 'n1'.*without --split"):
        sample(file, (1,))


def test_a_file_of_another_graph_is_refused(file: Path) -> None:
    config = PrecomputedSamplerConfig(path=str(file), neighbors=3, require_picture=False)
    config.build(graph=GRAPH)
    edges = toy_graph(5, [(0, 1)], without_picture=[4])
    ids = replace(GRAPH, nodes=replace(GRAPH.nodes, ids=["n1", "n0", "n2", "n3", "n4"]))
    artists = replace(GRAPH, nodes=replace(GRAPH.nodes, attributes={"artist": list("aabbc")}))
    for graph, what in ((edges, "other edges"), (ids, "other nodes"), (artists, ".*attributes")):
        with pytest.raises(InputError, match=f"belongs to a graph with {what}.*sample-all"):
            config.build(graph=graph)


@pytest.mark.parametrize("row", [5, -2])
def test_rows_beyond_the_graph_are_refused(tmp_path: Path, row: int) -> None:
    wrong = replace(CONTEXT, neighbors=np.array([[row, 3, 1], [1, -1, -1]]))
    with pytest.raises(InputError, match=f"neighbor {row} is not a row"):
        sample(write(tmp_path / "wrong", wrong))


def test_a_damaged_file_is_refused(file: Path, tmp_path: Path) -> None:
    whole = file.read_bytes()
    for content in (b"", b"graph", whole[:40], whole[:-1]):
        file.write_bytes(content)
        with pytest.raises(InputError, match="not a neighbor file, or was cut short"):
            sample(file)
    with pytest.raises(InputError, match=r"no such file.*sample-all"):
        sample(tmp_path / "nowhere")
    with unchecked():
        uneven = replace(CONTEXT, scores=CONTEXT.scores[:1])
        narrow = replace(CONTEXT, relations=np.zeros((2, 2), np.int16))
    for context in (uneven, narrow):
        with pytest.raises(InputError, match="not a neighbor file"):
            sample(write(tmp_path / "damaged", context))


@pytest.mark.parametrize("about", ["", "{", "[]", "9" * 5000, "[" * 100_000])
def test_a_file_that_says_nothing_of_its_graph(file: Path, about: str) -> None:
    save_file(load_file(file), file, metadata={METADATA_KEY: about})
    with pytest.raises(InputError, match="not a neighbor file"):
        read_neighbors(file)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float8_e4m3fn, torch.uint16])
def test_a_file_of_numbers_that_numpy_lacks(file: Path, dtype: torch.dtype) -> None:
    tensors = {name: torch.from_numpy(array).to(dtype) for name, array in load_file(file).items()}
    save_torch_file(tensors, file, metadata={METADATA_KEY: "{}"})
    with pytest.raises(InputError, match="not a neighbor file"):
        read_neighbors(file)


def test_a_flipped_bit_is_never_believed(file: Path) -> None:
    whole = file.read_bytes()
    stored = read_neighbors(file)
    for place in range(0, len(whole), 5):
        broken = bytearray(whole)
        broken[place] ^= 1 << place % 8
        file.write_bytes(broken)
        with suppress(InputError):
            found = read_neighbors(file)
            assert all(
                np.array_equal(getattr(found.context, name), getattr(stored.context, name))
                for name in ("targets", "neighbors", "scores")
            )
    file.write_bytes(whole[:-4] + b"\x00\x00\x80\x3f")  # the last score becomes 1
    with pytest.raises(InputError, match="does not have its checksum"):
        read_neighbors(file)


def test_what_follows_from_it_is_named_by_the_content(file: Path) -> None:
    config = PrecomputedSamplerConfig(path=str(file))
    before = config.identity()
    assert config.identity() == before
    write(file, CONTEXT.take(np.array([0])))
    assert config.identity() != before
