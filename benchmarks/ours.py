"""graphcond's rows of the table, through its public interface, and the lower bound set by the memory."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64, UInt32
from method import Method, Prepare, Rank
from numba import njit
from truth import BEST

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
from graphcond.samplers import PPRSampler, SemanticPPRSampler
from graphcond.samplers.base import NeighborSampler
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from graphcond.samplers.similarity.config import TextImageConfig

PRECISION = 0.99
WIDTH = 768
FEATURES = Path("outputs/graphs")
ROWS = 1 << 14
EPSILONS = tuple(10 ** (-quarter / 4) for quarter in range(14, 33))


@dataclass(frozen=True)
class Answers:
    """All targets in one call; ``words`` says how."""

    sampler: NeighborSampler
    words: str = ""

    def __call__(self, targets: Int64[np.ndarray, " b"], _: None) -> list[Int64[np.ndarray, " k"]]:
        context = self.sampler.sample(targets, np.random.default_rng(0))
        return [row[row >= 0] for row in context.neighbors]


def with_ppr(threads: int) -> Prepare:
    def prepare(graph: AttributedGraph, alpha: float) -> Rank:
        sampler = PPRSampler(graph, neighbors=BEST, **options(alpha, threads))
        return Answers(sampler, repr(sampler.pagerank))

    return prepare


def options(alpha: float, threads: int) -> dict[str, Any]:
    return {"alpha": alpha, "precision": PRECISION, "threads": threads, "require_picture": False}


def with_semantic_ppr(graph: AttributedGraph, alpha: float) -> Rank:
    """Every node's text and picture are the same row of the features; a target is not its own candidate."""
    features = features_of(len(graph))
    similarity = TextImageConfig().build(NodeEmbeddings(pictures=features, texts=features))
    rank = Answers(SemanticPPRSampler(graph, similarity, candidates=BEST, neighbors=5, **options(alpha, 1)))
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


class Floor:
    """Adds to random places as often as a push sends mass along an edge, and does nothing else.

    A place is what a push keeps of a node, a residual and its limit in float32, side by side. The push is
    graphcond's own; where it does not push on this graph, the first of `EPSILONS` that is precise.
    """

    def __init__(self, graph: AttributedGraph, alpha: float) -> None:
        own = PPRSampler(graph, neighbors=BEST, **options(alpha, 1)).pagerank
        self._alpha = alpha
        self._own = own if isinstance(own, ForwardPush) else None
        self._walk, self._wanted = RandomWalk.on(graph), RankingConstraints(BEST, np.ones(len(graph), bool))
        self._places = np.zeros((len(graph), 2), np.float32)
        self._pushed = cache(self._push)

    def __call__(self, targets: Int64[np.ndarray, " b"], epsilon: float) -> list[Int64[np.ndarray, " k"]]:
        answers, where = self._pushed(targets.tobytes(), epsilon)
        _add(self._places, where)
        return answers

    def _push(self, targets: bytes, epsilon: float) -> tuple[list[np.ndarray], UInt32[np.ndarray, " edges"]]:
        """The answers, and a place for each edge."""
        push = self._own or ForwardPush(self._walk, alpha=self._alpha, epsilon=epsilon)
        context, edges = push.rank_and_count(np.frombuffer(targets, np.int64), self._wanted)
        where = np.random.default_rng(0).integers(0, len(self._walk), int(edges.sum()), np.uint32)
        self.words = f"{edges.mean():,.0f} edges of a {push}"
        return [row[row >= 0] for row in context.neighbors], where


@njit(cache=True)
def _add(places: Float32[np.ndarray, "nodes 2"], where: UInt32[np.ndarray, " edges"]) -> None:
    for place in where:
        places[place, 0] += np.float32(1.0)


OWN = "graphcond"
TWO, SEMANTIC, FLOOR = f"{OWN}, 2 threads", f"{OWN} semantic_ppr, with rerank", "floor of the memory"
_IMPORTS = ("numba", "graphcond.samplers.pagerank.calibration")
OURS = {
    OWN: Method(with_ppr(1), _IMPORTS, batch=0),
    TWO: Method(with_ppr(2), _IMPORTS, batch=0, threads=2, beside=OWN),
    SEMANTIC: Method(with_semantic_ppr, _IMPORTS, batch=0, beside=OWN),
    FLOOR: Method(Floor, _IMPORTS, EPSILONS, batch=0, beside=OWN),
}
