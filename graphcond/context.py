"""The contexts that samplers return, and the features that encoders read.

Axis names in shapes: ``b`` targets in a batch, ``k`` neighbors of a target, ``d`` feature width,
``n`` nodes of a scene graph, ``t`` triples. Nothing here imports torch at run time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int16, Int64

from graphcond.attributed_graph import ABSENT, ShortRepr
from graphcond.scene_graph import Box, Mention, Relationship

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, repr=False)
class NeighborContext(ShortRepr):
    """The output of a neighbor sampler: for each target its chosen neighbors, best first.

    Rows with fewer than ``k`` neighbors end in `ABSENT`, with score 0. ``relations`` gives the edge type
    between each neighbor and its target: 0 for no edge, r for the r-th of the graph's ``relation_names``,
    counted from 1. It is None until `graphcond.samplers.with_relations` fills it in. ``chosen_for`` names the
    nodes that the neighbors were chosen for, where those are not the targets: the control has a wrong graph.
    """

    targets: Int64[np.ndarray, " b"]
    neighbors: Int64[np.ndarray, "b k"]
    scores: Float32[np.ndarray, "b k"]
    relations: Int16[np.ndarray, "b k"] | None = None
    chosen_for: Int64[np.ndarray, " b"] | None = None

    @property
    def present(self) -> Bool[np.ndarray, "b k"]:
        """True for a neighbor, False for padding."""
        return np.asarray(self.neighbors != ABSENT)

    @property
    def around(self) -> Int64[np.ndarray, " b"]:
        """The node that each row's neighbors were chosen for."""
        return self.targets if self.chosen_for is None else self.chosen_for

    @property
    def parts(self) -> tuple[object, ...]:
        """What `graphcond.io.fingerprint.fingerprint` names the context by: what encoders read of it."""
        return (self.neighbors,)

    @property
    def has_graph(self) -> Bool[np.ndarray, " b"]:
        """True for targets with a neighbor."""
        return np.asarray(self.present.any(axis=1))

    def agreement(self, labels: Sequence[str]) -> Float64[np.ndarray, " b"]:
        """Of each target's neighbors, the share with its label; 0 where it has no neighbors.

        Args:
            labels: one for each node.
        """
        own = np.array([labels[row] for row in self.targets.tolist()], object)[:, None]
        found = np.array([labels[row] for row in self.neighbors.ravel().tolist()], object)
        same = (found.reshape(self.neighbors.shape) == own) & self.present
        return np.asarray(same.sum(1) / np.maximum(self.present.sum(1), 1))

    def take(self, rows: Int64[np.ndarray, " b"]) -> NeighborContext:
        """The targets named by ``rows``."""
        columns: dict[str, Any] = {
            name: None if column is None else column[rows] for name, column in vars(self).items()
        }
        return NeighborContext(**columns)

    def keep(self, kept: Bool[np.ndarray, "b k"]) -> NeighborContext:
        """Only the neighbors where ``kept``; later ones move up."""
        front = np.argsort(~kept, axis=1, kind="stable")

        def moved(column: np.ndarray, blank: int) -> np.ndarray:
            filled = np.where(kept, column, column.dtype.type(blank))
            return np.take_along_axis(filled, front, axis=1)

        return replace(
            self,
            neighbors=moved(self.neighbors, ABSENT),
            scores=moved(self.scores, 0),
            relations=None if self.relations is None else moved(self.relations, 0),
        )

    def first(self, count: int) -> NeighborContext:
        """The first ``count`` neighbors of every target."""
        return replace(
            self,
            neighbors=self.neighbors[:, :count],
            scores=self.scores[:, :count],
            relations=None if self.relations is None else self.relations[:, :count],
        )

    @classmethod
    def join(cls, parts: Sequence[NeighborContext]) -> NeighborContext:
        """The targets of all ``parts``, one after another; relations where every part has them."""
        related = [part.relations for part in parts if part.relations is not None]
        return cls(
            np.concatenate([part.targets for part in parts]),
            np.concatenate([part.neighbors for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate(related) if len(related) == len(parts) else None,
            np.concatenate([part.around for part in parts])
            if any(part.chosen_for is not None for part in parts)
            else None,
        )


@dataclass(frozen=True, repr=False)
class NeighborStructure(ShortRepr):
    """The edges among targets and their neighbors, and the sampler's scores.

    A target stands at place 0, its neighbors at 1 to k, in the order of the `NeighborFeatures`.

    Args:
        scores: those of the sampler, 0 where there is no neighbor.
        linked: True where an edge leads from one place to another; symmetric in an undirected graph.
        relations: the type of each edge, counted from 1 in ``relation_names`` of the `NeighborFeatures`; 0
            where there is no edge. None where edges have no types.
    """

    scores: Float[Tensor, "b k"]
    linked: Bool[Tensor, "b 1+k 1+k"]
    relations: Int64[Tensor, "b 1+k 1+k"] | None = None

    @property
    def hops(self) -> Int64[Tensor, "b k"]:
        """Fewest steps from the target to each neighbor along these edges; 0 where none lead there."""
        reached = self.linked[:, :1].clone()
        hops = reached.long()
        for hop in range(2, self.linked.shape[1]):
            following = (reached.float() @ self.linked.float()) > 0
            if not bool((following & ~reached).any()):
                break
            hops = hops.masked_fill(following & (hops == 0), hop)
            reached = reached | following
        return hops[:, 0, 1:]

    def to(self, device: torch.device | str | None, dtype: torch.dtype | None = None) -> NeighborStructure:
        """The same structure on another device, or with scores in another dtype."""
        relations = None if self.relations is None else self.relations.to(device)
        return NeighborStructure(
            self.scores.to(device=device, dtype=dtype), self.linked.to(device), relations
        )

    def select(self, rows: Tensor) -> NeighborStructure:
        """The targets named by ``rows`` (indices or a mask)."""
        relations = None if self.relations is None else self.relations[rows]
        return NeighborStructure(self.scores[rows], self.linked[rows], relations)

    def masked(self, present: Bool[Tensor, "b k"]) -> NeighborStructure:
        """The same structure without what is not ``present``, and without the target of an empty graph."""
        import torch

        here = torch.cat([present.any(1, keepdim=True), present], dim=1)
        pairs = here[:, :, None] & here[:, None]
        return NeighborStructure(
            self.scores.masked_fill(~present, 0),
            self.linked & pairs,
            None if self.relations is None else self.relations.masked_fill(~(self.linked & pairs), 0),
        )

    def fault(self, present: Bool[Tensor, "b k"], names: int) -> str | None:
        """What cannot be read: another number of neighbors than are ``present``, or an unknown relation."""
        rows, count = present.shape
        if self.linked.shape != (rows, count + 1, count + 1) or self.scores.shape != present.shape:
            return f"the structure is not that of {rows} targets with {count} neighbors"
        if self.relations is not None:
            wrong = self.linked & ((self.relations < 0) | (self.relations > names))
            if bool(wrong.any()):
                row, source, target = wrong.nonzero()[0].tolist()
                edge = f"the edge {source} > {target} of graph {row}"
                return f"the relation of {edge} is not one of the {names} known"
        return None


@dataclass(frozen=True, repr=False)
class NeighborFeatures(ShortRepr):
    """A `NeighborContext` as an encoder reads it: one embedding per neighbor and who is there.

    ``relations`` are those of the `NeighborContext`, None where not known; ``relation_names`` says what
    they are called in the graph, from 1 on. ``structure`` and ``target``, the embedding of the target's own
    text, and ``pictures``, the neighbors' own with values in -1..1, are None unless an encoder asks for them.
    ``mask``, of any size with the picture's aspect ratio, says how much, 0..1, the graph acts at each place,
    for an injector that reads masks; everywhere for None.
    """

    argument: ClassVar = "neighbors"
    """The argument of `GraphPipeline` that takes them."""
    over: ClassVar[Literal["neighbors", "scenes"]] = "neighbors"
    """The setting ``over`` of an encoder that reads them."""

    embeddings: Float[Tensor, "b k d"]
    present: Bool[Tensor, "b k"]
    relations: Int64[Tensor, "b k"] | None = None
    relation_names: tuple[str, ...] = ()
    structure: NeighborStructure | None = None
    target: Float[Tensor, "b d"] | None = None
    mask: Float[Tensor, "b height width"] | None = None
    pictures: Float[Tensor, "b k 3 rows columns"] | None = None

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> NeighborFeatures:
        """The same features on another device, or with embeddings in another dtype."""
        return replace(
            self,
            embeddings=self.embeddings.to(device=device, dtype=dtype),
            present=self.present.to(device),
            relations=None if self.relations is None else self.relations.to(device),
            structure=None if self.structure is None else self.structure.to(device, dtype),
            target=None if self.target is None else self.target.to(device=device, dtype=dtype),
            mask=None if self.mask is None else self.mask.to(device),
            pictures=None if self.pictures is None else self.pictures.to(device),
        )

    def select(self, rows: Tensor) -> NeighborFeatures:
        """The targets named by ``rows`` (indices or a mask)."""
        return replace(
            self,
            embeddings=self.embeddings[rows],
            present=self.present[rows],
            relations=None if self.relations is None else self.relations[rows],
            structure=None if self.structure is None else self.structure.select(rows),
            target=None if self.target is None else self.target[rows],
            mask=None if self.mask is None else self.mask[rows],
            pictures=None if self.pictures is None else self.pictures[rows],
        )

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets with a neighbor."""
        return self.present.any(1)

    def without(self, rows: Bool[Tensor, " b"]) -> NeighborFeatures:
        """The same features without the neighbors of ``rows`` (a mask)."""
        return replace(self, present=self.present & ~rows[:, None])

    def masked(self) -> NeighborFeatures:
        """The same features with zeros where no neighbor is present, whatever stood there."""
        absent = ~self.present
        return replace(
            self,
            embeddings=self.embeddings.masked_fill(absent[..., None], 0),
            relations=None if self.relations is None else self.relations.masked_fill(absent, 0),
            structure=None if self.structure is None else self.structure.masked(self.present),
            target=None if self.target is None else self.target.masked_fill(~self.has_graph[:, None], 0),
            pictures=None
            if self.pictures is None
            else self.pictures.masked_fill(absent[..., None, None, None], 0),
        )

    def fault(self) -> str | None:
        """What is present and cannot be read: a value that is not finite, or an unknown relation."""
        names = len(self.relation_names)
        if self.relations is not None:
            wrong = self.present & ((self.relations < 0) | (self.relations > names))
            if bool(wrong.any()):
                row, place = wrong.nonzero()[0].tolist()
                return f"the relation of neighbor {place} of graph {row} is not one of the {names} known"
        parts = {"the embedding of neighbor": (self.embeddings, self.present)}
        if self.structure is not None:
            fault = self.structure.fault(self.present, names)
            if fault is not None:
                return fault
            parts["the score of neighbor"] = (self.structure.scores[..., None], self.present)
        if self.target is not None:
            rows, _, width = self.embeddings.shape
            if self.target.shape != (rows, width):
                return f"the targets' own embeddings are {tuple(self.target.shape)}, not {(rows, width)}"
            parts["the embedding of target"] = (self.target[:, None], self.has_graph[:, None])
        if self.pictures is not None:
            if self.pictures.ndim != 5 or self.pictures.shape[:3] != (*self.present.shape, 3):
                wanted = f"{tuple(self.present.shape)} of 3 channels, a height and a width"
                return f"the pictures are {tuple(self.pictures.shape)}, not {wanted}"
            parts["the picture of neighbor"] = (self.pictures, self.present)
        if self.mask is not None and (self.mask.ndim != 3 or len(self.mask) != len(self.present)):
            return f"the masks are {tuple(self.mask.shape)}, not {len(self.present)} of a height and a width"
        return _not_finite(parts, "graph")


@dataclass(frozen=True)
class SampledScene:
    """The part of one scene graph that a scene sampler keeps.

    Args:
        words: the labels of the nodes: objects first, then their attributes, each as a separate node.
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


@dataclass(frozen=True, repr=False)
class SceneContext(ShortRepr):
    """The output of a scene sampler: one sampled scene for each target. A scene without words is empty."""

    scenes: tuple[SampledScene, ...]

    @property
    def parts(self) -> tuple[object, ...]:
        """What `graphcond.io.fingerprint.fingerprint` names the context by: what encoders read of it."""
        masks = [scene.masks for scene in self.scenes if scene.masks is not None]
        return (self.scenes, *([np.concatenate(masks)] if masks else ()))

    @property
    def has_graph(self) -> Bool[np.ndarray, " b"]:
        """True for targets whose scene has a node."""
        return np.array([bool(scene.words) for scene in self.scenes], np.bool_)

    def take(self, rows: Int64[np.ndarray, " b"]) -> SceneContext:
        """The targets named by ``rows``."""
        return SceneContext(tuple(self.scenes[row] for row in rows.tolist()))

    @classmethod
    def join(cls, parts: Sequence[SceneContext]) -> SceneContext:
        """The targets of all ``parts``, one after another."""
        return cls(tuple(scene for part in parts for scene in part.scenes))


@dataclass(frozen=True, repr=False)
class SceneFeatures(ShortRepr):
    """A `SceneContext` as an encoder reads it: embedded words, and the relations between them.

    Args:
        nodes: the words' embeddings; zero where padded.
        present: True for nodes, False for padding.
        is_object: True for objects, False for attributes and padding.
        triples: positions of subject and object in ``nodes``; 0 where padded.
        predicates: the predicates' embeddings.
        related: True for triples, False for padding.
        boxes: of the nodes, x0 y0 x1 y1 in 0..1; 0 where not known.
        boxed: True where a box is known.
        sentences: each scene written out; "" for an empty scene.
        masks: of the nodes, each within its own box; None where no scene has any.
        mentions: what the words of each sentence speak of; attributes and relations are positions in
            ``nodes`` and ``triples``. Empty where it is not known.
    """

    argument: ClassVar = "scene"
    """The argument of `GraphPipeline` that takes them."""
    over: ClassVar[Literal["neighbors", "scenes"]] = "scenes"
    """The setting ``over`` of an encoder that reads them."""
    mask: ClassVar[None] = None
    """As of `NeighborFeatures`: scenes act everywhere."""

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
    mentions: tuple[tuple[Mention, ...], ...] = ()

    @property
    def has_graph(self) -> Bool[Tensor, " b"]:
        """True for targets whose scene has a node."""
        return self.present.any(1)

    @property
    def most_objects(self) -> int:
        """Objects of the scene that has most; they come first among its nodes."""
        return int(self.is_object.sum(1).max()) if len(self.is_object) else 0

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
        return replace(
            self,
            **tensors,
            sentences=tuple(self.sentences[place] for place in places),
            mentions=tuple(self.mentions[place] for place in places) if self.mentions else (),
        )

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
            mentions=tuple(
                () if taken else said for said, taken in zip(self.mentions, rows.tolist(), strict=False)
            ),
        )

    def masked(self) -> SceneFeatures:
        """The same features with zeros where a node, a box or a triple is absent, whatever stood there."""
        absent, unrelated = ~self.present, ~self.related
        return replace(
            self,
            nodes=self.nodes.masked_fill(absent[..., None], 0),
            triples=self.triples.masked_fill(unrelated[..., None], 0),
            predicates=self.predicates.masked_fill(unrelated[..., None], 0),
            boxes=self.boxes.masked_fill(~self.boxed[..., None], 0),
            masks=None if self.masks is None else self.masks.masked_fill(absent[..., None, None], 0),
        )

    def fault(self) -> str | None:
        """What is present and cannot be read: a value that is not finite, or a triple of absent nodes."""
        count = self.present.shape[1]
        wrong = self.related & ~((self.triples >= 0) & (self.triples < count)).all(-1)
        if count and not bool(wrong.any()):
            ends = (self.triples * self.related[..., None]).flatten(1)
            there = self.present.gather(1, ends).view(self.triples.shape)
            wrong = self.related & ~there.all(-1)
        if bool(wrong.any()):
            row, place = wrong.nonzero()[0].tolist()
            return f"triple {place} of scene {row} names a node that is not there"
        parts = {
            "the embedding of node": (self.nodes, self.present),
            "the embedding of the predicate of triple": (self.predicates, self.related),
            "the box of node": (self.boxes, self.boxed),
        }
        if self.masks is not None:
            parts["the mask of node"] = (self.masks, self.present)
        return _not_finite(parts, "scene")


def _not_finite(parts: Mapping[str, tuple[Tensor, Tensor]], row: str) -> str | None:
    for name, (values, present) in parts.items():
        wrong = present & ~values.isfinite().flatten(2).all(-1)
        if bool(wrong.any()):
            first, place = wrong.nonzero()[0].tolist()
            return f"{name} {place} of {row} {first} is not finite"
    return None


Context: TypeAlias = NeighborFeatures | SceneFeatures
"""An input of encoders."""
