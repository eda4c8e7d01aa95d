"""The frozen values that rooms hand to each other.

Nothing here imports torch at run time, so worlds, readers and the command line stay light.
Axis names in shapes: ``b`` targets in a batch, ``k`` neighbors of a target, ``d`` feature width,
``n`` tokens (or nodes of a scene graph), ``t`` triples, ``c`` token width, ``l`` length of the
denoiser's context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int16, Int64, UInt8

from graphcond.scene_graph import Box as Box
from graphcond.scene_graph import Relationship as Relationship
from graphcond.scene_graph import SceneGraph as SceneGraph

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
        return _rows_in(self.splits, splits)


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

    @property
    def relation_names(self) -> tuple[str, ...]:
        """What the relations of a `NeighborContext` are called, from 1 on.

        They are the edge types. In a directed graph those of edges that lead back follow, as ``rev_<type>``.
        """
        names = self.edge_type_names
        return (*names, *(f"rev_{name}" for name in names)) if self.directed else names

    def picture_path(self, node: int) -> Path | None:
        """Where the picture of ``node`` lies, or None if it has none."""
        picture = self.nodes.pictures[node]
        return None if picture is None else (self.root or Path()) / picture


@dataclass(frozen=True)
class NeighborContext:
    """What a neighbor sampler returns: for each target its chosen neighbors, best first.

    Rows with fewer than ``k`` neighbors end in `ABSENT`, with score 0. ``relations`` says what joins a
    neighbor to its target: 0 no edge, r the r-th of the graph's ``relation_names``, counted from 1. It is
    None until `graphcond.samplers.with_relations` fills it in.
    """

    targets: Int64[np.ndarray, " b"]
    neighbors: Int64[np.ndarray, "b k"]
    scores: Float32[np.ndarray, "b k"]
    relations: Int16[np.ndarray, "b k"] | None = None

    @property
    def present(self) -> Bool[np.ndarray, "b k"]:
        """True where a neighbor stands, False where the row is padded."""
        return np.asarray(self.neighbors != ABSENT)

    @property
    def has_graph(self) -> Bool[np.ndarray, " b"]:
        """True for targets with a neighbor."""
        return np.asarray(self.present.any(axis=1))

    def take(self, rows: Int64[np.ndarray, " b"]) -> NeighborContext:
        """The targets named by ``rows``."""
        relations = None if self.relations is None else self.relations[rows]
        return NeighborContext(self.targets[rows], self.neighbors[rows], self.scores[rows], relations)

    def keep(self, kept: Bool[np.ndarray, "b k"]) -> NeighborContext:
        """Only the neighbors where ``kept``; later ones move up."""
        front = np.argsort(~kept, axis=1, kind="stable")

        def moved(column: np.ndarray, blank: int) -> np.ndarray:
            filled = np.where(kept, column, column.dtype.type(blank))
            return np.take_along_axis(filled, front, axis=1)

        return NeighborContext(
            self.targets,
            moved(self.neighbors, ABSENT),
            moved(self.scores, 0),
            None if self.relations is None else moved(self.relations, 0),
        )

    def first(self, count: int) -> NeighborContext:
        """The first ``count`` neighbors of every target."""
        relations = None if self.relations is None else self.relations[:, :count]
        return NeighborContext(self.targets, self.neighbors[:, :count], self.scores[:, :count], relations)

    @classmethod
    def join(cls, parts: Sequence[NeighborContext]) -> NeighborContext:
        """The targets of all ``parts``, one after another; relations where every part has them."""
        related = [part.relations for part in parts if part.relations is not None]
        return cls(
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.neighbors for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate(related) if len(related) == len(parts) else None,
        )


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
    """A `NeighborContext` as an encoder reads it: one embedding per neighbor and who is there.

    ``relations`` are those of the `NeighborContext`, None where not known; ``relation_names`` says what
    they are called in the graph, from 1 on.
    """

    embeddings: Float[Tensor, "b k d"]
    present: Bool[Tensor, "b k"]
    relations: Int64[Tensor, "b k"] | None = None
    relation_names: tuple[str, ...] = ()

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> NeighborFeatures:
        """The same features on another device, or with embeddings in another dtype."""
        return replace(
            self,
            embeddings=self.embeddings.to(device=device, dtype=dtype),
            present=self.present.to(device),
            relations=None if self.relations is None else self.relations.to(device),
        )

    def select(self, rows: Tensor) -> NeighborFeatures:
        """The targets named by ``rows`` (indices or a mask)."""
        return replace(
            self,
            embeddings=self.embeddings[rows],
            present=self.present[rows],
            relations=None if self.relations is None else self.relations[rows],
        )

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets with a neighbor."""
        return self.present.any(1)

    def without(self, rows: Bool[Tensor, " b"]) -> NeighborFeatures:
        """The same features with the neighbors of ``rows`` (a mask) taken away."""
        return replace(self, present=self.present & ~rows[:, None])


@dataclass(frozen=True)
class SceneSet:
    """Scene graphs with their pictures; row ``i`` of every column is scene ``i``.

    ``texts`` are the prompts. ``captions`` say what a picture shows, where a source knows it.
    ``pictures`` are POSIX paths relative to ``root``, None where a scene has none.
    """

    graphs: Sequence[SceneGraph]
    ids: Sequence[str]
    texts: Sequence[str]
    pictures: Sequence[str | None]
    captions: Sequence[str] | None = None
    splits: Sequence[str] | None = None
    root: Path | None = None

    def __len__(self) -> int:
        return len(self.graphs)

    def in_split(self, *splits: str) -> Int64[np.ndarray, " scenes"]:
        """Rows whose split is one of ``splits``, ascending; none where the set has no splits."""
        return _rows_in(self.splits, splits)

    def without_boxes(self) -> SceneSet:
        """The same scenes, without boxes and masks: only graphs tell where things are."""
        return replace(self, graphs=[replace(graph, boxes=(), masks=None) for graph in self.graphs])

    def picture_path(self, row: int) -> Path | None:
        """Where the picture of scene ``row`` lies, or None if it has none."""
        picture = self.pictures[row]
        return None if picture is None else (self.root or Path()) / picture


@dataclass(frozen=True)
class SampledScene:
    """What a scene sampler keeps of one scene graph.

    Args:
        words: the labels of the nodes: objects first, then their attributes, each a node of its own.
        objects: how many of ``words`` are objects.
        triples: positions in ``words``; an attribute comes as (object, "is", attribute).
        boxes: of the objects, None where not known.
        masks: of the objects, each within its own box; None where not known.
    """

    words: tuple[str, ...]
    objects: int
    triples: tuple[Relationship, ...]
    boxes: tuple[Box | None, ...]
    masks: Bool[np.ndarray, "objects 16 16"] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class SceneContext:
    """What a scene sampler returns: one sampled scene for each target. A scene without words is empty."""

    scenes: tuple[SampledScene, ...]

    @property
    def has_graph(self) -> Bool[np.ndarray, " b"]:
        """True for targets whose scene has a node."""
        return np.array([bool(scene.words) for scene in self.scenes], np.bool_)

    def take(self, rows: Int64[np.ndarray, " b"]) -> SceneContext:
        """The targets named by ``rows``."""
        return SceneContext(tuple(self.scenes[row] for row in rows.tolist()))


@dataclass(frozen=True)
class SceneFeatures:
    """A `SceneContext` as an encoder reads it: embedded words, and who stands in which relation.

    Args:
        nodes: the words' embeddings; zero where padded.
        present: True where a node stands.
        is_object: True for objects, False for attributes and padding.
        triples: positions of subject and object in ``nodes``; 0 where padded.
        predicates: the predicates' embeddings.
        related: True where a triple stands.
        boxes: of the nodes, x0 y0 x1 y1 in 0..1; 0 where not known.
        boxed: True where a box is known.
        sentences: each scene written out; "" for an empty scene.
        masks: of the nodes, each within its own box; None where no scene has any.
    """

    nodes: Float[Tensor, "b n d"]
    present: Bool[Tensor, "b n"]
    is_object: Bool[Tensor, "b n"]
    triples: Int64[Tensor, "b t 2"]
    predicates: Float[Tensor, "b t d"]
    related: Bool[Tensor, "b t"]
    boxes: Float[Tensor, "b n 4"]
    boxed: Bool[Tensor, "b n"]
    sentences: tuple[str, ...]
    masks: Float[Tensor, "b n 16 16"] | None = None

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets whose scene has a node."""
        return self.present.any(1)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> SceneFeatures:
        """The same features on another device, or with embeddings in another dtype."""
        return replace(
            self,
            nodes=self.nodes.to(device=device, dtype=dtype),
            predicates=self.predicates.to(device=device, dtype=dtype),
            boxes=self.boxes.to(device=device, dtype=dtype),
            masks=None if self.masks is None else self.masks.to(device=device, dtype=dtype),
            **{
                name: getattr(self, name).to(device)
                for name in ("present", "is_object", "triples", "related", "boxed")
            },
        )

    def select(self, rows: Tensor) -> SceneFeatures:
        """The targets named by ``rows`` (indices or a mask)."""
        import torch

        places = torch.arange(len(self.sentences), device=rows.device)[rows].tolist()
        tensors = {name: value[rows] for name, value in vars(self).items() if hasattr(value, "device")}
        return replace(self, **tensors, sentences=tuple(self.sentences[place] for place in places))

    def without(self, rows: Bool[Tensor, " b"]) -> SceneFeatures:
        """The same features with the scenes of ``rows`` (a mask) taken away."""
        gone = rows[:, None]
        return replace(
            self,
            present=self.present & ~gone,
            is_object=self.is_object & ~gone,
            related=self.related & ~gone,
            boxed=self.boxed & ~gone,
            sentences=tuple(
                "" if taken else text for text, taken in zip(self.sentences, rows.tolist(), strict=True)
            ),
        )


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
    """The signal of a token encoder. ``present`` is False where a token stands for nothing.

    Tokens of objects may know where their object is: ``boxes`` (x0 y0 x1 y1 in 0..1) where ``boxed``.
    Both are None for tokens that stand for no place.
    """

    tokens: Float[Tensor, "b n c"]
    present: Bool[Tensor, "b n"]
    boxes: Float[Tensor, "b n 4"] | None = None
    boxed: Bool[Tensor, "b n"] | None = None

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets with a token."""
        return self.present.any(1)


@dataclass(frozen=True)
class LayoutMap:
    """The signal of a layout encoder: features spread over the picture; zero where ``present`` is False."""

    features: Float[Tensor, "b c height width"]
    present: Bool[Tensor, " b"]

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets with a layout."""
        return self.present


Context: TypeAlias = NeighborFeatures | SceneFeatures
"""What encoders read."""

Signal: TypeAlias = GraphTokens | LayoutMap
"""What encoders give and injectors read."""


@dataclass(frozen=True)
class Grounding:
    """Tokens that an injector shows to modules it placed inside the denoiser, beside the context.

    ``strength`` multiplies what the tokens add; 0 leaves a sample exactly as it is.
    """

    tokens: Float[Tensor, "b n c"]
    present: Bool[Tensor, "b n"]
    strength: Float[Tensor, " b"]


class GroundingSlot:
    """Where modules inside the denoiser find their injector's `Grounding` during a denoiser call.

    `graphcond.models.StableDiffusionBase.denoise` fills it from `DenoiserInputs.grounding` and empties it
    after the call. One injector owns one slot.
    """

    value: Grounding | None = None


@dataclass(frozen=True)
class Residuals:
    """What a branch beside the denoiser adds to it: to each skip connection, and to the middle block."""

    down: tuple[Float[Tensor, "b channels height width"], ...]
    mid: Float[Tensor, "b channels height width"]


@dataclass(frozen=True)
class DenoiserInputs:
    """Everything one denoiser call reads.

    The prompt's tokens come first in ``context``; there are ``prompt_length`` of them, or, where it is
    None, the whole context is the prompt. ``context_weight`` multiplies each context token's share before
    the softmax of cross-attention: 1 is an ordinary token, 0 hides it, None means that all are 1.
    ``grounding`` is read by modules inside the denoiser, ``residuals`` are added to its features.
    """

    sample: Float[Tensor, "b channels height width"]
    timestep: Int64[Tensor, " b"]
    context: Float[Tensor, "b l c"]
    context_weight: Float[Tensor, "b l"] | None = None
    prompt_length: int | None = None
    grounding: Mapping[GroundingSlot, Grounding] = field(default_factory=dict)
    residuals: Residuals | None = None


def _rows_in(column: Sequence[str] | None, splits: Sequence[str]) -> Int64[np.ndarray, " rows"]:
    wanted = set(splits)
    return np.array([row for row, split in enumerate(column or ()) if split in wanted], np.int64)
