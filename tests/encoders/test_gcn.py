"""Where the graph convolution is computed, and what it says when it cannot be."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from graphcond.encoders import GCNConfig, build_graph_network
from graphcond.encoders.gcn import uses_dgl, why_no_dgl
from graphcond.errors import InputError
from tests.builders import FEATURE_WIDTH
from tests.scene_builders import SHEEP, read_scenes

BROKEN = [
    ImportError("No module named 'dgl'"),
    FileNotFoundError("Cannot find DGL C++ graphbolt library"),
    AttributeError("module 'torch' has no attribute 'x'"),
    RuntimeError(""),
]


@pytest.fixture
def broken_dgl(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    """An import of dgl that fails with the test's parameter."""

    class Finder:
        @staticmethod
        def find_spec(name: str, *_: Any) -> None:
            if name.split(".")[0] == "dgl":
                raise request.param

    for name in [name for name in sys.modules if name.split(".")[0] == "dgl"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Finder, *sys.meta_path])
    why_no_dgl.cache_clear()
    yield
    why_no_dgl.cache_clear()


@pytest.mark.parametrize("broken_dgl", BROKEN, indirect=True, ids=lambda error: type(error).__name__)
def test_asking_for_a_dgl_that_is_not_there(broken_dgl: None) -> None:
    with pytest.raises(InputError, match=r"backend: dgl.*cannot be imported.*graphcond\[dgl\]") as caught:
        GCNConfig(backend="dgl").network(FEATURE_WIDTH)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("broken_dgl", BROKEN[:2], indirect=True, ids=lambda error: type(error).__name__)
def test_auto_does_without_dgl(broken_dgl: None) -> None:
    network = GCNConfig(node_width=8, layers=1).network(FEATURE_WIDTH)
    assert network(read_scenes(SHEEP)).shape == (1, 6, 8)


def test_auto_takes_torch_on_a_gpu() -> None:
    assert not uses_dgl("auto", torch.device("cuda"))
    assert uses_dgl("dgl", torch.device("cuda"))
    assert not uses_dgl("torch", torch.device("cpu"))


def test_networks_are_built_by_kind() -> None:
    network = build_graph_network("gcn", FEATURE_WIDTH, width=8, layers=2, backend="torch")
    assert (network.width, len(network.layers)) == (8, 2)
    assert len(build_graph_network("triple_gcn", FEATURE_WIDTH, width=8).layers) == 5
