"""The frozen values that rooms hand to each other.

Nothing here imports torch at run time, so worlds, readers and the command line stay light.
Axis names in shapes: ``b`` targets in a batch, ``k`` neighbors of a target, ``d`` feature width,
``n`` tokens, ``c`` token width, ``l`` length of the denoiser's context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int64, UInt8

if TYPE_CHECKING:
    import torch
    from torch import Tensor

ABSENT = -1
"""What pads a row of neighbors where a target has fewer than asked for."""


@dataclass(frozen=True)
class NodeTable:
    """The nodes of a graph, column by column; row ``i`` of every column is node ``i``.

    ``pictures`` are POSIX paths relative to the graph's root folder, ``None`` where a node has none.
    ``attributes`` holds further text columns (an artist, a year), each as long as ``ids``.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    pictures: Sequence[str | None]
    types: Sequence[str] | None = None
    splits: Sequence[str] | None = None
    attributes: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Node id to row."""
        return {node_id: row for row, node_id in enumerate(self.ids)}

    def in_split(self, *splits: str) -> Int64[np.ndarray, " nodes"]:
        """Rows whose split is one of ``splits``, ascending; none where the table has no splits."""
        if self.splits is None:
            return np.empty(0, np.int64)
        wanted = set(splits)
        return np.array([row for row, split in enumerate(self.splits) if split in wanted], np.int64)


@dataclass(frozen=True)
class EdgeList:
    """Edges as pairs of rows of a `NodeTable`, with an optional weight and type for each."""

    sources: Int64[np.ndarray, " edges"]
    targets: Int64[np.ndarray, " edges"]
    weights: Float32[np.ndarray, " edges"] | None = None
    types: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.sources)


@dataclass(frozen=True)
class AttributedGraph:
    """A multimodal attributed graph: nodes with a text and a picture, edges in CSR form.

    The neighbors of node ``i`` are ``indices[indptr[i]:indptr[i + 1]]``, sorted, without repeats and
    without self-loops. Arrays may be memory maps; nobody writes into them.

    ``given`` holds neighbors that the source chose itself, best first and padded with `ABSENT`. They are
    kept as the source gives them, so a row may name its own node: who samples from them leaves it out.
    """

    nodes: NodeTable
    indptr: Int64[np.ndarray, " nodes_plus_1"]
    indices: Int[np.ndarray, " edges"]
    weights: Float32[np.ndarray, " edges"] | None = None
    edge_types: UInt8[np.ndarray, " edges"] | None = None
    edge_type_names: tuple[str, ...] = ()
    directed: bool = False
    root: Path | None = None
    given: Int64[np.ndarray, "nodes k"] | None = None

    def __len__(self) -> int:
        return len(self.nodes)

    def neighbors(self, node: int) -> Int[np.ndarray, " degree"]:
        """Rows next to ``node``, ascending."""
        return self.indices[self.indptr[node] : self.indptr[node + 1]]

    @cached_property
    def degrees(self) -> Int64[np.ndarray, " nodes"]:
        """Number of neighbors of every node."""
        return np.diff(self.indptr)

    def picture_path(self, node: int) -> Path | None:
        """Where the picture of ``node`` lies, or None if it has none."""
        picture = self.nodes.pictures[node]
        return None if picture is None else (self.root or Path()) / picture


@dataclass(frozen=True)
class NeighborContext:
    """What a neighbor sampler returns: for each target its chosen neighbors, best first.

    Rows with fewer than ``k`` neighbors end in `ABSENT`, with score 0.
    """

    targets: Int64[np.ndarray, " b"]
    neighbors: Int64[np.ndarray, "b k"]
    scores: Float32[np.ndarray, "b k"]

    @property
    def present(self) -> Bool[np.ndarray, "b k"]:
        """True where a neighbor stands, False where the row is padded."""
        return self.neighbors != ABSENT


@dataclass(frozen=True)
class NodeEmbeddings:
    """What is known of every node as vectors; row ``i`` belongs to row ``i`` of the `NodeTable`.

    Arrays may be float16 memory maps. Rows of nodes without a picture are zero in ``pictures``.
    ``pictures`` and ``texts`` share one space (CLIP's, say); ``extra`` is any other embedding.
    """

    pictures: Float[np.ndarray, "nodes d"] | None = None
    texts: Float[np.ndarray, "nodes d"] | None = None
    extra: Float[np.ndarray, "nodes e"] | None = None


@dataclass(frozen=True)
class NeighborFeatures:
    """A `NeighborContext` as an encoder reads it: one embedding per neighbor and who is there."""

    embeddings: Float[Tensor, "b k d"]
    present: Bool[Tensor, "b k"]

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> NeighborFeatures:
        """The same features on another device, or with embeddings in another dtype."""
        return replace(
            self, embeddings=self.embeddings.to(device=device, dtype=dtype), present=self.present.to(device)
        )

    def select(self, rows: Tensor) -> NeighborFeatures:
        """The targets named by ``rows`` (indices or a mask)."""
        return NeighborFeatures(self.embeddings[rows], self.present[rows])


@dataclass(frozen=True)
class TextTokens:
    """A prompt as the base's text encoder sees it: token ids and their hidden states."""

    ids: Int64[Tensor, "b n"]
    hidden: Float[Tensor, "b n c"]

    def select(self, rows: Tensor) -> TextTokens:
        """The prompts named by ``rows`` (indices or a mask)."""
        return TextTokens(self.ids[rows], self.hidden[rows])


@dataclass(frozen=True)
class GraphTokens:
    """The signal of a token encoder. ``present`` is False where a token stands for nothing."""

    tokens: Float[Tensor, "b n c"]
    present: Bool[Tensor, "b n"]


Context: TypeAlias = NeighborFeatures
"""What encoders read."""

Signal: TypeAlias = GraphTokens
"""What encoders give and injectors read."""


@dataclass(frozen=True)
class DenoiserInputs:
    """Everything one denoiser call reads.

    ``context_weight`` multiplies each context token's share before the softmax of cross-attention:
    1 is an ordinary token, 0 hides it, None means that all are 1.
    """

    sample: Float[Tensor, "b channels height width"]
    timestep: Int64[Tensor, " b"]
    context: Float[Tensor, "b l c"]
    context_weight: Float[Tensor, "b l"] | None = None
