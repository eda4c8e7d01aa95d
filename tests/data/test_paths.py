"""Data may name files of their own folder only, however the folder came to be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphcond import SceneGraph, SceneSet, build_graph
from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.errors import InputError
from graphcond.io.files import FilesInside


@pytest.fixture(params=["../secret.png", "/etc/hostname", "a/../../secret.png", "link/secret.png"])
def leaving(request, tmp_path: Path) -> str:
    """A path that leads out of ``tmp_path/data``."""
    (tmp_path / "data").mkdir()
    (tmp_path / "secret.png").write_bytes(b"")
    (tmp_path / "data" / "link").symlink_to(tmp_path)
    return request.param


def test_a_graph(tmp_path: Path, leaving: str) -> None:
    root = tmp_path / "data"
    (root / "a.png").write_bytes(b"")
    nodes, edges = (
        NodeTable(["a", "b"], ["", ""], ["a.png", None]),
        EdgeList(np.zeros(0, np.int64), np.zeros(0, np.int64)),
    )
    graph = build_graph(nodes, edges, root=root)
    assert graph.picture_path(0) == root / "a.png"
    assert graph.picture_path(1) is None
    object.__setattr__(graph.nodes, "pictures", [leaving, None])  # as an edited graph folder has it
    with pytest.raises(InputError, match="leaves the folder"):
        graph.picture_path(0)


def test_scenes(tmp_path: Path, leaving: str) -> None:
    scenes = SceneSet([SceneGraph(["a"])], ["1"], ["a"], [leaving], root=tmp_path / "data")
    with pytest.raises(InputError, match="leaves the folder"):
        scenes.picture_path(0)


def test_paths_of_a_graph_are_checked_when_requested(tmp_path: Path, leaving: str) -> None:
    paths = FilesInside(tmp_path / "data", ["a.png", None, leaving])
    assert paths[:2][0] == tmp_path / "data" / "a.png"
    assert paths[1] is None
    assert len(paths) == 3
    with pytest.raises(InputError, match="leaves the folder"):
        paths[2]
