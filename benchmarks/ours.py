"""graphcond's rows of the table, through its public interface, and the floor that the memory sets."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt32
from method import Method, Rank
from numba import njit
from truth import ALPHA, BEST

from graphcond.samplers import PPRSampler, SemanticPPRSampler
from graphcond.samplers.base import NeighborSampler
from graphcond.types import AttributedGraph, NodeEmbeddings

PRECISION = 0.99
WIDTH = 768
FEATURES = Path("outputs/graphs")
ROWS = 1 << 14


def sampler_of(graph: AttributedGraph, threads: int = 1) -> PPRSampler:
    return PPRSampler(graph, neighbors=BEST, **_options(threads))


def _options(threads: int) -> dict[str, Any]:
    return {"alpha": ALPHA, "precision": PRECISION, "threads": threads, "require_picture": False}


def answers(sampler: NeighborSampler) -> Rank:
    """All targets in one call."""
    draws = np.random.default_rng(0)

    def rank(targets: Int64[np.ndarray, " b"], _: None) -> list[Int64[np.ndarray, " k"]]:
        context = sampler.sample(targets, draws)
        return [row[row >= 0] for row in context.neighbors]

    return rank


def with_ppr(threads: int) -> Callable[[AttributedGraph], Rank]:
    return lambda graph: answers(sampler_of(graph, threads))


def with_semantic_ppr(graph: AttributedGraph) -> Rank:
    """Every node's text and picture are the same row of the features; a target is not its own candidate."""
    from graphcond.samplers.semantic_ppr import TextImageConfig

    features = features_of(len(graph))
    similarity = TextImageConfig().build(NodeEmbeddings(pictures=features, texts=features))
    rank = answers(SemanticPPRSampler(graph, similarity, candidates=BEST, neighbors=5, **_options(1)))
    # There is no truth to compare its five neighbors with.
    return lambda targets, _: rank(targets, _)[:0]


def features_of(nodes: int) -> np.ndarray:
    """A memory map of random float16 features, made if it is not there."""
    file = FEATURES / f"features-{nodes}.npy"
    if not file.exists():
        FEATURES.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        features = np.lib.format.open_memmap(part, "w+", np.float16, (nodes, WIDTH))
        draws = np.random.default_rng(0)
        for start in range(0, nodes, ROWS):
            rows = features[start : start + ROWS]
            rows[:] = draws.standard_normal(rows.shape, np.float32)
        features.flush()
        part.replace(file)
    return np.load(file, mmap_mode="r")


def with_floor(graph: AttributedGraph) -> Rank:
    """Adds to random places as often as the push sends mass along an edge, and does nothing else.

    A place is what the push keeps of a node, a residual and its limit in float32, side by side.
    """
    sampler, draws = sampler_of(graph), np.random.default_rng(0)
    places = np.zeros((len(graph), 2), np.float32)
    known: dict[bytes, UInt32[np.ndarray, " edges"]] = {}

    def rank(targets: Int64[np.ndarray, " b"], _: None) -> list[Int64[np.ndarray, " k"]]:
        if targets.tobytes() not in known:
            edges = int(sampler.edges_touched(targets).sum())
            known[targets.tobytes()] = draws.integers(0, len(graph), edges, np.uint32)
        _add(places, known[targets.tobytes()])
        return []

    return rank


@njit(cache=True)
def _add(places: Float32[np.ndarray, "nodes 2"], where: UInt32[np.ndarray, " edges"]) -> None:
    for place in where:
        places[place, 0] += np.float32(1.0)


OWN = "graphcond"
TWO, SEMANTIC, FLOOR = f"{OWN}, 2 threads", f"{OWN} semantic_ppr, with rerank", "floor of the memory"
_IMPORTS = ("numba", "graphcond.samplers", "graphcond.samplers.push", "graphcond.samplers.power")
OURS = {
    OWN: Method(with_ppr(1), _IMPORTS, batch=0),
    TWO: Method(with_ppr(2), _IMPORTS, batch=0, threads=2, beside=OWN),
    SEMANTIC: Method(with_semantic_ppr, _IMPORTS, batch=0, beside=OWN),
    FLOOR: Method(with_floor, _IMPORTS, batch=0, beside=OWN),
}
