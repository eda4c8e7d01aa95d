"""Counts of a graph, and a search for problems in it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os.path import isfile
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.errors import InputError
from graphcond.graphs.load import load_graph
from graphcond.graphs.store import check_sums, is_graph_folder, read_manifest
from graphcond.io.files import atomic_file
from graphcond.io.fingerprint import file_digest
from graphcond.io.pictures import open_picture
from graphcond.io.tally import Tally
from graphcond.progress import Progress, counted, silent
from graphcond.splits import TEST, TRAIN, split_named


@dataclass(frozen=True)
class Leaks:
    """Pairs of rows of nodes that leak; a node is held out if its split is neither train nor empty."""

    shared_pictures: list[tuple[int, int]]
    """Held-out nodes with the picture of a training node: (held out, training)."""
    given_targets: list[tuple[int, int]]
    """Targets whose own picture is among their given neighbors: (target, neighbor)."""
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
    others = [split for split in set(graph.nodes.splits or ()) if split_named(split) not in (TRAIN, "")]
    held_out = np.zeros(len(graph), bool)
    held_out[graph.nodes.in_split(*others)] = True
    training = {int(same[row]): int(row) for row in graph.nodes.in_split(TRAIN) if same[row] != ABSENT}
    tested = np.flatnonzero(held_out).tolist()
    shared = [(row, training[int(same[row])]) for row in tested if int(same[row]) in training]
    if graph.given is None:
        return Leaks(shared, [], [])
    targets, column = np.nonzero(graph.given != ABSENT)
    neighbors = graph.given[targets, column]
    own = (neighbors == targets) | ((same[neighbors] == same[targets]) & (same[targets] != ABSENT))
    return Leaks(
        shared_pictures=shared,
        given_targets=_pairs(targets[own], neighbors[own]),
        given_held_out=_pairs(targets[held_out[neighbors]], neighbors[held_out[neighbors]]),
    )


def _pairs(left: Int64[np.ndarray, " n"], right: Int64[np.ndarray, " n"]) -> list[tuple[int, int]]:
    return list(zip(left.tolist(), right.tolist(), strict=True))


def missing_pictures(graph: AttributedGraph) -> list[int]:
    """Rows whose picture is not a file on disk."""
    return [row for row, path in _paths(graph).items() if not isfile(path)]


def undecodable_pictures(graph: AttributedGraph, progress: Progress | None = None) -> dict[int, str]:
    """Rows whose picture is a file that cannot be decoded, with the reason; decodes every picture."""
    broken = {}
    paths = _paths(graph)
    for row, path in counted(paths.items(), progress):
        try:
            if isfile(path):
                open_picture(path)
        except InputError as error:
            broken[row] = error.problem
    return broken


def same_pictures(graph: AttributedGraph, progress: Progress | None = None) -> Int64[np.ndarray, " nodes"]:
    """For every node the first node whose picture has the same bytes; `ABSENT` for nodes without a picture.

    Only files that share their size with another file are read.
    """
    first = np.full(len(graph), ABSENT, np.int64)
    present = {row: path for row, path in _paths(graph).items() if isfile(path)}
    rows = np.array(list(present), np.int64)
    first[rows] = rows
    sizes = np.array([path.stat().st_size for path in present.values()], np.int64)
    _, group, count = np.unique(sizes, return_inverse=True, return_counts=True)
    suspects = rows[count[group] > 1].tolist()
    seen: dict[str, int] = {}
    for row in counted(suspects, progress):
        first[row] = seen.setdefault(file_digest(present[row]), row)
    return first


def _paths(graph: AttributedGraph) -> dict[int, Path]:
    root = graph.root or Path()
    return {row: root / picture for row, picture in enumerate(graph.nodes.pictures) if picture is not None}


def draw_degrees(graph: AttributedGraph, file: Path | str) -> None:
    """Draw a histogram of degrees, both axes logarithmic, as PNG.

    Degree 0 is drawn at the left edge, since it has no logarithm.

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


CLIP_TOKENS = 77
"""Tokens that CLIP's text encoders read, and so Stable Diffusion."""

_PIECE = re.compile(r"'(?:s|t|re|ve|m|ll|d)|[^\W\d_]+|\d|(?:[^\w\s]|_)+", re.IGNORECASE)


def least_tokens(text: str) -> int:
    """The least number of tokens that CLIP's tokenizer makes of ``text``, its start and end included.

    It splits a text in these pieces before it looks for any of them in its vocabulary.
    """
    return 2 + sum(1 for _ in _PIECE.finditer(text))


LARGEST = 5
"""Number of nodes whose degrees are reported, the largest first."""
PIECE = 2**22
"""Entries that are counted at once; numpy copies such entries to 8 bytes each."""


@dataclass(frozen=True)
class DegreeFigures:
    """The distribution of the number of neighbors."""

    min: int
    median: float
    mean: float
    p99: float
    max: int

    @classmethod
    def of(cls, degrees: Int64[np.ndarray, " nodes"]) -> DegreeFigures:
        """The figures of these degrees; zeros if there are none."""
        degrees = degrees if len(degrees) else np.zeros(1, np.int64)
        return cls(
            min=int(degrees.min()),
            median=float(np.median(degrees)),
            mean=round(float(degrees.mean()), 3),
            p99=float(np.percentile(degrees, 99)),
            max=int(degrees.max()),
        )


@dataclass(frozen=True)
class GraphReport:
    """Counts, missing pictures and leaks of a graph; nodes are named by their ids.

    ``held_out`` counts the nodes of the split test, which are never neighbors in training unless a recipe
    says otherwise. ``long_texts`` have more tokens than the text encoder of Stable Diffusion reads, at least;
    ``longest_text`` is the longest one's number of tokens, 0 if no text may be that long.
    ``undecodable_pictures`` is None if pictures were not decoded. ``shared_pictures``, ``given_targets`` and
    ``given_held_out`` are the leaks of `graphcond.graphs.inspect.Leaks`. ``tally`` holds what was left
    out when the graph was read or built.
    """

    nodes: int
    edges: int
    directed: bool
    splits: dict[str, int]
    held_out: int
    node_types: dict[str, int]
    edge_types: dict[str, int]
    isolated: int
    degree: DegreeFigures
    largest_degrees: dict[str, int]
    with_text: int
    long_texts: int
    longest_text: int
    with_picture: int
    with_given_neighbors: int
    missing_pictures: list[str]
    undecodable_pictures: dict[str, str] | None
    shared_pictures: list[tuple[str, str]]
    given_targets: list[tuple[str, str]]
    given_held_out: list[tuple[str, str]]
    tally: Tally


def inspect_graph(
    source: AttributedGraph | Path | str,
    *,
    pictures: bool = False,
    skip_bad_rows: bool = False,
    progress: Callable[[str], Progress] | None = None,
) -> GraphReport:
    """Look at a graph: counts, degrees, missing pictures, leaks.

    Args:
        source: a graph, or a path as `load_graph` takes it; the checksums of a graph folder are compared too.
        pictures: decode every picture.
        skip_bad_rows: leave broken rows of a path out, in place of an error.
        progress: returns a progress callback for a task, given its name.

    Raises:
        InputError: the path holds no graph, or a broken one.
    """
    if isinstance(source, Path | str):
        if is_graph_folder(source):
            check_sums(Path(source), read_manifest(Path(source)))
        source = load_graph(source, skip_bad_rows=skip_bad_rows, say=lambda loss: None)  # the report holds it
    graph = source
    watch = progress or silent
    leaks = find_leaks(graph, same_pictures(graph, watch("comparing pictures")))
    undecodable = undecodable_pictures(graph, watch("decoding pictures")) if pictures else None
    nodes, degrees, copies = graph.nodes, graph.degrees, 1 if graph.directed else 2
    isolated = degrees == 0
    for piece in _pieces(graph.indices) if graph.directed else ():
        isolated[piece] = False  # a node that only has incoming edges
    tokens = [least_tokens(text) for text in nodes.texts if len(text) >= CLIP_TOKENS]
    types: dict[str, int] = {}
    if graph.edge_types is not None:
        kinds = len(graph.edge_type_names)
        counts = [np.bincount(piece, minlength=kinds) for piece in _pieces(graph.edge_types)]
        numbers = np.sum(counts, axis=0) // copies
        types = dict(zip(graph.edge_type_names, numbers.tolist(), strict=True))
    return GraphReport(
        nodes=len(graph),
        edges=len(graph.indices) // copies,
        directed=graph.directed,
        splits=dict(Counter(nodes.splits or ())),
        held_out=len(nodes.in_split(TEST)),
        node_types=dict(Counter(nodes.types or ())),
        edge_types=types,
        isolated=int(isolated.sum()),
        degree=DegreeFigures.of(degrees),
        largest_degrees={
            nodes.ids[row]: int(degrees[row]) for row in np.argsort(-degrees, kind="stable")[:LARGEST]
        },
        with_text=sum(1 for text in nodes.texts if text),
        long_texts=sum(1 for count in tokens if count > CLIP_TOKENS),
        longest_text=max(tokens, default=0),
        with_picture=sum(1 for picture in nodes.pictures if picture is not None),
        with_given_neighbors=0 if graph.given is None else int((graph.given != ABSENT).any(axis=1).sum()),
        missing_pictures=[nodes.ids[row] for row in missing_pictures(graph)],
        undecodable_pictures=None
        if undecodable is None
        else {nodes.ids[row]: reason for row, reason in undecodable.items()},
        shared_pictures=_named(graph, leaks.shared_pictures),
        given_targets=_named(graph, leaks.given_targets),
        given_held_out=_named(graph, leaks.given_held_out),
        tally=graph.tally,
    )


def _pieces(array: np.ndarray) -> Iterator[np.ndarray]:
    """The array in pieces, at least one."""
    return (array[start : start + PIECE] for start in range(0, max(len(array), 1), PIECE))


def _named(graph: AttributedGraph, pairs: Iterable[tuple[int, int]]) -> list[tuple[str, str]]:
    return [(graph.nodes.ids[left], graph.nodes.ids[right]) for left, right in pairs]
