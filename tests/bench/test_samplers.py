"""Every way to choose neighbors that is compared can be drawn by one model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphcond.attributed_graph import EdgeList, NodeEmbeddings, NodeTable
from graphcond.bench import samplers as module
from graphcond.bench.samplers import RIVALS
from graphcond.graphs import build_graph
from graphcond.pipeline import GraphPipeline
from tests.builders import FEATURE_WIDTH, small_model

NODES = 8


def test_every_rival_is_drawn(sd_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STEPS", 1)
    nodes = NodeTable(
        [f"n{i}" for i in range(NODES)],
        [f"picture {i}" for i in range(NODES)],
        [f"{i}.png" for i in range(NODES)],
        attributes={"artist": ["a", "b"] * (NODES // 2)},
    )
    ring = np.arange(NODES)
    graph = build_graph(nodes, EdgeList(ring, np.roll(ring, 1)))
    vectors = np.random.default_rng(0).standard_normal((2, NODES, FEATURE_WIDTH)).astype(np.float32)
    pipe, held_out = GraphPipeline(small_model(sd_folder)), np.array([2, 5])
    drawn, shares = module._draw_all(
        pipe, graph, NodeEmbeddings(*vectors), held_out, held_out, 0, lambda done, total: None
    )
    assert list(drawn) == list(shares) == list(RIVALS)
    assert all(len(pictures) == 2 for pictures in drawn.values())
    # Two steps around node 2 stand 1 and 3, and 0 and 4: half of them by its artist.
    assert shares["hop_mean"][0] == pytest.approx(0.5)
    pixels = {name: pictures[0].tobytes() for name, pictures in drawn.items()}
    assert pixels["hop_mean"] not in [other for name, other in pixels.items() if name != "hop_mean"]
