"""Edges that attributes imply ("shares an artist, a year"), stored as lists of values and not as edges.

Nodes with the same attribute values have the same links, and so the same score: solvers work on `Profiles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Float64, Int, Int64, UInt, UInt64

from graphcond.attributed_graph import NodeTable, ShortRepr
from graphcond.errors import InputError, did_you_mean
from graphcond.graphs.columns import to_arrow

SMALLEST, LARGEST = 1e-9, 1e9
"""Bounds of a weight other than 0: no sum of such weights overflows or vanishes."""


@dataclass(frozen=True, repr=False)
class AffiliationGraph(ShortRepr):
    """Nodes and their attribute values; nodes that have a value in common are linked.

    The graph that this implies is a union of cliques, one for each value: its adjacency matrix is
    A = sum_k w_k (B_k B_k^T - diag(B_k B_k^T)), B_k the nodes x values matrix of kind k. Two nodes that share
    several values are linked by the sum of their weights. Nothing of A is stored: memory grows with the
    number of values that nodes have.

    Args:
        indptr: the values of node ``i`` are ``values[indptr[i]:indptr[i + 1]]``.
        values: numbers of values, ascending within a node and without repeats.
        kinds: for each value, the position of its kind in ``weights``.
        weights: for each kind, the weight of an edge: 0, or 1e-9 to 1e9.

    Raises:
        InputError: the arrays do not fit together, or a weight is out of range or not a number.
    """

    indptr: Int64[np.ndarray, " nodes_plus_1"]
    values: Int[np.ndarray, " memberships"]
    kinds: Int[np.ndarray, " values"]
    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        for kind, weight in self.weights.items():
            if weight != 0 and not SMALLEST <= weight <= LARGEST:
                raise InputError(
                    f"the weight of '{kind}' is {weight:g}", remedy=f"use 0, or {SMALLEST:g} to {LARGEST:g}"
                )
        indptr, values = self.indptr, self.values
        fits = bool(len(indptr)) and indptr[0] == 0 and indptr[-1] == len(values)
        fits = fits and bool((np.diff(indptr) >= 0).all())
        fits = fits and _within(values, len(self.kinds)) and _within(self.kinds, len(self.weights))
        if fits:
            # Values ascend, except where the list of the next node begins.
            starts = np.zeros(len(values) + 1, bool)
            starts[indptr] = True
            fits = bool(((np.diff(values) > 0) | starts[1:-1]).all())
        if not fits:
            raise InputError("the lists of attribute values do not fit together", remedy="build them again")

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @cached_property
    def sizes(self) -> Int64[np.ndarray, " values"]:
        """The number of nodes that have each value."""
        return np.bincount(self.values, minlength=len(self.kinds))

    @cached_property
    def value_weights(self) -> Float64[np.ndarray, " values"]:
        """The weight of the edges that each value implies."""
        return np.array(list(self.weights.values()), np.float64)[self.kinds]

    @cached_property
    def strengths(self) -> Float64[np.ndarray, " nodes"]:
        """The sum of the weights of all implied edges of each node."""
        rows = np.repeat(np.arange(len(self)), np.diff(self.indptr))
        pulls = (self.value_weights * (self.sizes - 1))[self.values]
        # Of no rows at all, bincount makes integers.
        return np.bincount(rows, pulls, minlength=len(self)).astype(np.float64)

    @property
    def implied_edges(self) -> int:
        """Undirected edges in all cliques; a pair that shares several values counts once for each."""
        return int((self.sizes * (self.sizes - 1) // 2).sum())

    @classmethod
    def from_nodes(
        cls, nodes: NodeTable, weights: Mapping[str, float], *, separator: str = "|"
    ) -> AffiliationGraph:
        """Read the attribute columns that ``weights`` names.

        A cell may hold several values with ``separator`` between them. Blanks around a value are removed, an
        empty cell has no value, and a value that a cell repeats counts once. The same word in two columns
        is two values.

        Raises:
            InputError: no column is named, a column does not exist, holds no value or does not fit the
                nodes, the separator is empty, or a weight is out of range.
        """
        if not nodes.attributes:
            raise InputError("the nodes have no attributes", remedy="add columns such as artist to the nodes")
        if not weights:
            remedy = f"give a weight to some of: {', '.join(sorted(nodes.attributes))}"
            raise InputError("no attribute is named", place="attributes", remedy=remedy)
        if not separator:
            problem = "the separator of attribute values is empty"
            raise InputError(problem, remedy="give a character such as |")
        rows, values, kinds, met = [], [], [], 0
        for kind, name in enumerate(weights):
            owners, codes = _read_column(nodes, name, separator)
            distinct = int(codes.max()) + 1
            rows.append(owners)
            values.append(codes + met)
            kinds.append(np.full(distinct, kind, np.int32))
            met += distinct
        # Row and value in one number: one sort orders all columns and removes repeats.
        pairs = np.unique(np.concatenate(rows) * met + np.concatenate(values))
        indptr = np.searchsorted(pairs, np.arange(len(nodes) + 1) * met)
        narrow = np.int32 if met < 2**31 else np.int64
        return cls(indptr, (pairs % met).astype(narrow), np.concatenate(kinds), dict(weights))


def _within(numbers: np.ndarray, end: int) -> bool:
    """True if all ``numbers`` lie in 0..end - 1."""
    return not len(numbers) or bool(0 <= numbers.min() <= numbers.max() < end)


def _read_column(
    nodes: NodeTable, name: str, separator: str
) -> tuple[Int64[np.ndarray, " memberships"], Int64[np.ndarray, " memberships"]]:
    """The memberships of one column: the rows of nodes, and the numbers of their values, counted from 0."""
    if name not in nodes.attributes:
        remedy = did_you_mean(name, nodes.attributes)
        raise InputError(f"the nodes have no attribute '{name}'", place="attributes", remedy=remedy)
    cells = pc.fill_null(to_arrow(nodes.attributes[name]), "")
    if len(cells) != len(nodes):
        problem = f"the attribute '{name}' has {len(cells)} cells for {len(nodes)} nodes"
        raise InputError(problem, remedy="build the graph again")
    lists = pc.split_pattern(cells, separator)
    rows, words = pc.list_parent_indices(lists), pc.utf8_trim_whitespace(pc.list_flatten(lists))
    filled = pc.not_equal(words, pa.scalar("", words.type))
    rows, words = rows.filter(filled), words.filter(filled)
    if not len(words):
        raise InputError(f"the attribute '{name}' has no values", place="attributes", remedy="leave it out")
    codes = words.dictionary_encode().indices
    return rows.to_numpy().astype(np.int64), codes.to_numpy().astype(np.int64)


@dataclass(frozen=True)
class Profiles:
    """The distinct lists of values that nodes have, called profiles, and the nodes of each.

    Values that imply no edge (of one node, or of weight 0) are left out. Indices are unsigned, so that
    compiled code need not check for negative ones.

    ``strengths`` is the weight of all edges of one node of a profile, ``own`` the sum of the weights of its
    values, and ``counts`` the number of its nodes.
    """

    lists: tuple[UInt64[np.ndarray, " profiles_plus_1"], UInt[np.ndarray, " memberships"]]
    """The values of profile ``i`` are ``lists[1][lists[0][i]:lists[0][i + 1]]``."""
    counts: Int64[np.ndarray, " profiles"]
    strengths: Float64[np.ndarray, " profiles"]
    own: Float64[np.ndarray, " profiles"]
    of_node: Int64[np.ndarray, " nodes"]
    starts: UInt64[np.ndarray, " profiles_plus_1"]
    rows: Int64[np.ndarray, " nodes"]
    """The nodes of profile ``i`` are ``rows[starts[i]:starts[i + 1]]``, ascending."""

    def __len__(self) -> int:
        return len(self.counts)

    @classmethod
    def of(cls, implied: AffiliationGraph) -> Profiles:
        """The profiles of a graph: shorter lists first, then by their values."""
        linking = (implied.sizes > 1) & (implied.value_weights > 0)
        kept = linking[implied.values]
        indptr = np.concatenate(([0], np.cumsum(kept)))[implied.indptr]
        values, lengths = implied.values[kept], np.diff(indptr)
        of_node, lists, met = np.empty(len(implied), np.int64), [], 0
        for length in np.unique(lengths):
            rows = np.flatnonzero(lengths == length)
            distinct, which = _distinct_rows(values[indptr[rows][:, None] + np.arange(length)])
            of_node[rows] = which + met
            met += len(distinct)
            lists.append(distinct)
        starts = np.zeros(met + 1, np.int64)
        starts[of_node + 1] = lengths
        starts = np.cumsum(starts)
        joined = np.concatenate([np.empty(0, values.dtype), *(distinct.ravel() for distinct in lists)])
        owner, weights = np.repeat(np.arange(met), np.diff(starts)), implied.value_weights[joined]
        counts = np.bincount(of_node, minlength=met)
        return cls(
            (starts.astype(np.uint64), joined.astype(f"u{joined.itemsize}")),
            counts,
            np.bincount(owner, weights * (implied.sizes[joined] - 1), met).astype(np.float64),
            np.bincount(owner, weights, met).astype(np.float64),
            of_node,
            np.concatenate(([0], np.cumsum(counts))).astype(np.uint64),
            np.argsort(of_node, kind="stable"),
        )

    @property
    def lengths(self) -> Int64[np.ndarray, " profiles"]:
        """The number of values of each profile."""
        indptr = self.lists[0].astype(np.int64)
        return indptr[1:] - indptr[:-1]

    def rates(self, alpha: float) -> Float64[np.ndarray, " profiles"]:
        """1 / (d + (1 - alpha) s) for strength d and own weight s; 0 for a node without edges."""
        linked = self.own > 0
        return linked / np.where(linked, self.strengths + (1 - alpha) * self.own, 1.0)


def _distinct_rows(
    lists: Int[np.ndarray, "n length"],
) -> tuple[Int[np.ndarray, "distinct length"], Int64[np.ndarray, " n"]]:
    """The distinct rows, ascending, and for each row its position among them.

    `numpy.unique` gives the same, and takes 3 to 5 times as long (300,000 rows of 3 and of 8).
    """
    if not lists.size:
        return lists[:1], np.zeros(len(lists), np.int64)
    order = np.lexsort(lists.T[::-1])
    ordered = lists[order]
    new = np.concatenate(([True], (ordered[1:] != ordered[:-1]).any(axis=1)))
    which = np.empty(len(lists), np.int64)
    which[order] = np.cumsum(new) - 1
    return ordered[new], which
