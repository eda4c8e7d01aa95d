"""What a graph holds, and what is wrong with it."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.errors import InputError
from graphcond.graphs.load import load_graph
from graphcond.graphs.store import check_sums, is_graph_folder, read_manifest
from graphcond.io.files import atomic_file
from graphcond.io.pictures import open_picture
from graphcond.progress import Progress, silent

TRAIN = "train"


@dataclass(frozen=True)
class Leaks:
    """Rows of nodes, in pairs; a split other than train and "" counts as held out."""

    shared_pictures: list[tuple[int, int]]
    """Held-out nodes whose picture a training node has too: (held out, training)."""
    given_targets: list[tuple[int, int]]
    """Targets among whose given neighbors their own picture is: (target, neighbor)."""
    given_held_out: list[tuple[int, int]]
    """Held-out nodes that are given as neighbors: (target, neighbor)."""

    def __bool__(self) -> bool:
        return bool(self.shared_pictures or self.given_targets or self.given_held_out)


def find_leaks(graph: AttributedGraph, same: Int64[np.ndarray, " nodes"]) -> Leaks:
    """Find leaks between splits and among given neighbors.

    Args:
        graph: any graph.
        same: for every node the first node with the same picture, as `same_pictures` finds it.
    """
    held_out = _held_out(graph)
    if graph.given is None:
        return Leaks(_shared(graph, same, held_out), [], [])
    targets, column = np.nonzero(graph.given != ABSENT)
    neighbors = graph.given[targets, column]
    own = (neighbors == targets) | ((same[neighbors] == same[targets]) & (same[targets] != ABSENT))
    return Leaks(
        shared_pictures=_shared(graph, same, held_out),
        given_targets=_pairs(targets[own], neighbors[own]),
        given_held_out=_pairs(targets[held_out[neighbors]], neighbors[held_out[neighbors]]),
    )


def _held_out(graph: AttributedGraph) -> Bool[np.ndarray, " nodes"]:
    splits = graph.nodes.splits
    if splits is None:
        return np.zeros(len(graph), bool)
    return np.array([split not in (TRAIN, "") for split in splits], bool)


def _shared(
    graph: AttributedGraph, same: Int64[np.ndarray, " nodes"], held_out: Bool[np.ndarray, " nodes"]
) -> list[tuple[int, int]]:
    training = {int(same[row]): int(row) for row in graph.nodes.in_split(TRAIN) if same[row] != ABSENT}
    tested = np.flatnonzero(held_out).tolist()
    return [(row, training[int(same[row])]) for row in tested if int(same[row]) in training]


def _pairs(left: Int64[np.ndarray, " n"], right: Int64[np.ndarray, " n"]) -> list[tuple[int, int]]:
    return list(zip(left.tolist(), right.tolist(), strict=True))


Item = TypeVar("Item")


def missing_pictures(graph: AttributedGraph) -> list[int]:
    """Rows whose picture is no file on disk."""
    return [row for row, path in _paths(graph).items() if not isfile(path)]


def undecodable_pictures(graph: AttributedGraph, progress: Progress | None = None) -> dict[int, str]:
    """Rows whose picture is a file that cannot be decoded, with the reason; decodes every picture."""
    broken = {}
    paths = _paths(graph)
    for row, path in _counted(paths.items(), progress):
        try:
            if isfile(path):
                open_picture(path)
        except InputError as error:
            broken[row] = error.problem
    return broken


def same_pictures(graph: AttributedGraph, progress: Progress | None = None) -> Int64[np.ndarray, " nodes"]:
    """For every node the first node whose picture is the same byte for byte; `ABSENT` without picture.

    Only files that share their size with another are read.
    """
    first = np.full(len(graph), ABSENT, np.int64)
    present = {row: path for row, path in _paths(graph).items() if isfile(path)}
    rows = np.array(list(present), np.int64)
    first[rows] = rows
    sizes = np.array([path.stat().st_size for path in present.values()], np.int64)
    _, group, count = np.unique(sizes, return_inverse=True, return_counts=True)
    suspects = rows[count[group] > 1].tolist()
    seen: dict[bytes, int] = {}
    for row in _counted(suspects, progress):
        first[row] = seen.setdefault(_digest(present[row]), row)
    return first


def _counted(items: Collection[Item], progress: Progress | None) -> Iterator[Item]:
    for done, item in enumerate(items):
        if progress is not None:
            progress(done, len(items))
        yield item
    if progress is not None:
        progress(len(items), len(items))


def _paths(graph: AttributedGraph) -> dict[int, Path]:
    root = graph.root or Path()
    return {row: root / picture for row, picture in enumerate(graph.nodes.pictures) if picture is not None}


def _digest(path: Path) -> bytes:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").digest()


def draw_degrees(graph: AttributedGraph, file: Path | str) -> None:
    """Draw a histogram of degrees, both axes logarithmic, as PNG.

    Degree 0 stands at the left edge, since a logarithm has no place for it.

    Raises:
        InputError: the graph has no nodes.
    """
    from matplotlib.figure import Figure

    if not len(graph):
        raise InputError("a graph without nodes has no degrees to draw", place=file)
    largest = max(int(graph.degrees.max()), 1)
    bins = np.unique(np.geomspace(1, largest + 1, 40).astype(int))
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.hist(np.maximum(graph.degrees, 0.5), bins=[0.5, *bins], color="#31688e")
    axes.set(xscale="log", yscale="log", xlabel="neighbors", ylabel="nodes")
    with atomic_file(Path(file)) as temporary:
        figure.savefig(temporary, format="png", dpi=150)


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
    `graphcond.graphs.inspect.Leaks`.
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
    if is_graph_folder(path):
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
