"""What a graph holds, and what is wrong with it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from graphcond.graphs.contents import missing_pictures, same_pictures, undecodable_pictures
from graphcond.graphs.detect import Format, detect
from graphcond.graphs.leaks import find_leaks
from graphcond.graphs.load import load_graph
from graphcond.graphs.manifest import check_sums, read_manifest
from graphcond.progress import Progress, silent
from graphcond.types import ABSENT, AttributedGraph

LARGEST = 5
PIECE = 2**22


@dataclass(frozen=True)
class DegreeFigures:
    """How many neighbors nodes have."""

    min: int
    median: float
    mean: float
    p99: float
    max: int


@dataclass(frozen=True)
class GraphReport:
    """What a graph holds; nodes are named by their ids.

    ``undecodable_pictures`` is None where pictures were not decoded. The last three fields are the leaks of
    `graphcond.graphs.leaks.Leaks`.
    """

    nodes: int
    edges: int
    directed: bool
    splits: dict[str, int]
    node_types: dict[str, int]
    edge_types: dict[str, int]
    isolated: int
    degree: DegreeFigures
    largest_degrees: dict[str, int]
    with_text: int
    with_picture: int
    with_given_neighbors: int
    missing_pictures: list[str]
    undecodable_pictures: dict[str, str] | None
    shared_pictures: list[tuple[str, str]]
    given_targets: list[tuple[str, str]]
    given_held_out: list[tuple[str, str]]


def inspect_graph(
    source: AttributedGraph | Path | str,
    *,
    pictures: bool = False,
    progress: Callable[[str], Progress] | None = None,
) -> GraphReport:
    """Look at a graph: counts, degrees, missing pictures, leaks.

    Args:
        source: a graph, or a path as `load_graph` takes it; a graph folder's checksums are compared too.
        pictures: decode every picture.
        progress: given the name of a long task, returns what to call as it goes on.

    Raises:
        InputError: nothing readable stands there, or what stands there is broken.
    """
    graph = source if isinstance(source, AttributedGraph) else _load(Path(source))
    watch = progress or silent
    leaks = find_leaks(graph, same_pictures(graph, watch("comparing pictures")))
    return GraphReport(
        **_counts(graph),
        missing_pictures=_ids(graph, missing_pictures(graph)),
        undecodable_pictures=_undecodable(graph, watch) if pictures else None,
        shared_pictures=_named(graph, leaks.shared_pictures),
        given_targets=_named(graph, leaks.given_targets),
        given_held_out=_named(graph, leaks.given_held_out),
    )


def _load(path: Path) -> AttributedGraph:
    if detect(path) is Format.GRAPH_FOLDER:
        check_sums(path, read_manifest(path))
    return load_graph(path)


def _counts(graph: AttributedGraph) -> dict[str, Any]:
    nodes, copies = graph.nodes, 1 if graph.directed else 2
    largest = np.argsort(-graph.degrees, kind="stable")[:LARGEST]
    return {
        "nodes": len(graph),
        "edges": len(graph.indices) // copies,
        "directed": graph.directed,
        "splits": dict(Counter(nodes.splits or ())),
        "node_types": dict(Counter(nodes.types or ())),
        "edge_types": _edge_types(graph, copies),
        "isolated": _isolated(graph),
        "degree": _degrees(graph),
        "largest_degrees": {nodes.ids[row]: int(graph.degrees[row]) for row in largest},
        "with_text": sum(1 for text in nodes.texts if text),
        "with_picture": sum(1 for picture in nodes.pictures if picture is not None),
        "with_given_neighbors": 0 if graph.given is None else int((graph.given != ABSENT).any(axis=1).sum()),
    }


def _edge_types(graph: AttributedGraph, copies: int) -> dict[str, int]:
    if graph.edge_types is None:
        return {}
    kinds = len(graph.edge_type_names)
    counts = (
        np.sum([np.bincount(piece, minlength=kinds) for piece in _pieces(graph.edge_types)], axis=0) // copies
    )
    return dict(zip(graph.edge_type_names, counts.tolist(), strict=True))


def _isolated(graph: AttributedGraph) -> int:
    touched = graph.degrees > 0
    for piece in _pieces(graph.indices) if graph.directed else ():
        touched[piece] = True
    return int((~touched).sum())


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """At least one piece; numpy copies what it counts or indexes with to 8 bytes an entry."""
    return (array[start : start + PIECE] for start in range(0, max(len(array), 1), PIECE))


def _degrees(graph: AttributedGraph) -> DegreeFigures:
    degrees = graph.degrees if len(graph) else np.zeros(1, np.int64)
    return DegreeFigures(
        min=int(degrees.min()),
        median=float(np.median(degrees)),
        mean=round(float(degrees.mean()), 3),
        p99=float(np.percentile(degrees, 99)),
        max=int(degrees.max()),
    )


def _undecodable(graph: AttributedGraph, watch: Callable[[str], Progress]) -> dict[str, str]:
    broken = undecodable_pictures(graph, watch("decoding pictures"))
    return {graph.nodes.ids[row]: reason for row, reason in broken.items()}


def _ids(graph: AttributedGraph, rows: Iterable[int]) -> list[str]:
    return [graph.nodes.ids[row] for row in rows]


def _named(graph: AttributedGraph, pairs: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(graph.nodes.ids[left], graph.nodes.ids[right]) for left, right in pairs]
