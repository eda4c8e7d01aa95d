"""The contract of similarities, which score how well candidates fit a target, and their shared code."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from jaxtyping import Float, Float32

from graphcond.attributed_graph import Column, LazyRows, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.samplers.ranking import Ranking

if TYPE_CHECKING:
    from graphcond.samplers.similarity.gathered import Gathered

_NAMES = {"pictures": "picture embeddings", "texts": "text embeddings", "extra": "precomputed embeddings"}


class Similarity(ABC):
    """Compares a target with candidates by the cosine between its query and their rows of ``keys``.

    Cosines are computed in float32, and are 0 if either vector is zero.
    """

    needs_candidates: ClassVar[bool] = False
    """True if scores depend on the set of candidates, so that they need a graph to propose it."""

    keys_from: ClassVar[Column] = "pictures"
    """The embeddings that candidates are compared by."""

    def __init__(self, embeddings: NodeEmbeddings) -> None:
        self.keys = self._needed(embeddings, self.keys_from)

    @abstractmethod
    def query(self, target: int, candidates: Ranking) -> Float[np.ndarray, " d"]:
        """The vector that candidates for ``target`` are compared with.

        Raises:
            InputError: the target lacks the picture or text that the query is made from.
        """

    def scores(self, context: NeighborContext) -> Float32[np.ndarray, "b k"]:
        """The similarity of each candidate to its target: the cosine; 0 for padding.

        Raises:
            InputError: a target lacks the picture or text of its query, or an embedding is not finite.
        """
        # Imported here: numba takes half a second, which commands that compare nothing should not wait.
        from graphcond.samplers.similarity.gathered import Gathered

        candidates = Gathered.of(self.keys, context.neighbors)
        return candidates.cosines(unit_rows(self._queries(context, candidates)))

    def _queries(self, context: NeighborContext, candidates: Gathered) -> Float[np.ndarray, "b d"]:
        """Each target's `query`; ``candidates`` are the embeddings of ``context``."""
        if not len(context.targets):
            return np.empty((0, self.keys.shape[1]), np.float32)
        counts = context.present.sum(axis=1).tolist()
        return np.stack(
            [
                self.query(target, Ranking(context.neighbors[row, :count], context.scores[row, :count]))
                for row, (target, count) in enumerate(zip(context.targets.tolist(), counts, strict=True))
            ]
        )

    def _needed(self, embeddings: NodeEmbeddings, name: Column) -> Float[np.ndarray, "nodes d"] | LazyRows:
        vectors: np.ndarray | LazyRows | None = getattr(embeddings, name)
        if vectors is None:
            raise InputError(
                f"the nodes have no {_NAMES[name]}",
                place=type(self).__name__,
                remedy="give a model or a file of embeddings, or use the sampler kind ppr",
            )
        if len(vectors.shape) != 2:
            raise InputError(
                f"the {_NAMES[name]} have the shape {vectors.shape}",
                place=type(self).__name__,
                remedy="give one row for each node",
            )
        return vectors


def unit_rows(vectors: Float[np.ndarray, "*rows d"]) -> Float32[np.ndarray, "*rows d"]:
    """Vectors scaled to length 1 in float32; zero stays zero.

    Raises:
        InputError: a vector is not finite.
    """
    vectors = np.asarray(vectors, np.float32)
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    if not np.isfinite(lengths).all():
        raise not_finite()
    return vectors / np.where(lengths > 0, lengths, 1)


def dots(rows: Float32[np.ndarray, "n d"], query: Float32[np.ndarray, " d"]) -> Float32[np.ndarray, " n"]:
    """The product of each row with ``query``; equal rows have equal bits wherever they stand.

    A matrix product is faster, but its last bits depend on the position of a row, and with them the order.
    """
    return np.einsum("nd,d->n", rows, query)


def not_finite() -> InputError:
    """The error of an embedding that holds NaN or infinity."""
    return InputError("an embedding is not finite", remedy="compute the embeddings again without NaN")


def check_rows(similarity: Similarity, nodes: int) -> None:
    """Check that the embeddings fit the graph.

    Raises:
        InputError: there is not one row for each of the graph's ``nodes``.
    """
    if len(similarity.keys) != nodes:
        raise InputError(
            f"there are {len(similarity.keys)} embeddings for {nodes} nodes",
            remedy="embed the nodes of this graph",
        )
