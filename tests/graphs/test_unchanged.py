from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.graphs import save_graph
from graphcond.graphs.store import FolderState, folder_state
from tests.graphs.graphs import rich_graph

NAMES = [
    "graph.json",
    "indptr.npy",
    "indices.npy",
    "weights.npy",
    "edge_types.npy",
    "given.npy",
    "nodes.arrow",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_graph(rich_graph(), tmp_path / "graph")
    return tmp_path / "graph"


def state_of(folder: Path) -> FolderState:
    state = folder_state(folder)
    assert state is not None
    return pickle.loads(pickle.dumps(state))


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_file_is_named(folder: Path, name: str) -> None:
    state = state_of(folder)
    state.check()
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(content)
    os.utime(folder / name, ns=(0, 0))
    with pytest.raises(InputError, match=f"{name}: the file was changed while it was in use. Start again"):
        state.check()


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    state = state_of(folder)
    (folder / name).unlink()
    with pytest.raises(InputError, match=f"{name}: the file was changed"):
        state.check()


def test_equal_files_in_another_place_are_no_change(folder: Path) -> None:
    state = state_of(folder)
    os.utime(folder / "indices.npy", ns=(0, 0))
    state.check()
    shutil.move(folder, folder.with_name("before"))
    save_graph(rich_graph(), folder)
    state.check()


def test_only_graph_folders_have_a_state(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text("src,dst\n")
    assert folder_state(tmp_path) is None
    assert folder_state(tmp_path / "links.csv") is None
