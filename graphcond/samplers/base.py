"""The contracts of samplers: of those that choose neighbors, and of those that read scene graphs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64
from pydantic import Field

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
from graphcond.config import ComponentConfig
from graphcond.context import NeighborContext, SceneContext
from graphcond.scene_graph import SceneGraph


class NeighborSampler(ABC):
    """Chooses, for each target node, the neighbors that matter for its picture.

    A sampler does not change the graph, never returns the target itself nor a forbidden node, and
    gives the same answer for a target in whatever batch it comes, given generators in the same state.
    Of nodes with the same score the one with the lower row comes first.
    """

    makes: ClassVar = NeighborContext
    """The context that this family of samplers makes."""

    averages: bool = False
    """Whether encoders read means of neighbors in their place, as `read` makes them."""

    @abstractmethod
    def sample(self, targets: Int64[np.ndarray, " b"], generator: np.random.Generator) -> NeighborContext:
        """Choose neighbors for ``targets`` (rows of the node table), best first.

        Raises:
            InputError: a target is not a row of the graph.
        """

    def read(
        self, context: NeighborContext, table: Float[np.ndarray, "nodes d"]
    ) -> tuple[Float32[np.ndarray, "b n d"], Bool[np.ndarray, "b n"]]:
        """What encoders read of neighbors: the embedding of each, unless the sampler ``averages``.

        Args:
            context: neighbors that this sampler chose.
            table: the embeddings of all nodes.

        Returns:
            The embeddings, zero where there is none, and where there is one.
        """
        rows = np.asarray(table[np.where(context.present, context.neighbors, 0)], np.float32)
        rows[~context.present] = 0.0
        return rows, context.present


class NeighborSamplerConfig(ComponentConfig):
    """What every neighbor sampler lets its user choose."""

    component: ClassVar[Any] = NeighborSampler
    """What it builds."""

    reads_embeddings: ClassVar[bool] = False
    """Whether `build` needs ``embeddings``."""

    neighbors: int = Field(5, ge=1, le=10_000)
    """How many neighbors a target gets at most."""

    require_picture: bool = True
    """Choose only nodes that have a picture."""

    def settings(self) -> dict[str, Any]:
        """What answers follow from, as JSON has it: all but ``threads``, where a sampler has them."""
        return self.model_dump(mode="json", exclude={"threads"})

    def identity(self) -> tuple[object, ...]:
        """What `graphcond.io.fingerprint.fingerprint` names these settings by; files are named by content."""
        return (self.settings(),)

    @abstractmethod
    def build(
        self,
        *,
        graph: AttributedGraph,
        embeddings: NodeEmbeddings | None = None,
        forbidden: Int64[np.ndarray, " nodes"] | None = None,
    ) -> NeighborSampler:
        """The sampler over ``graph``.

        Args:
            graph: where neighbors come from.
            embeddings: vectors of the nodes; only samplers that compare nodes read them.
            forbidden: rows that are never chosen (test nodes); walks may pass through them.

        Raises:
            InputError: the sampler needs something that the graph or ``embeddings`` lack.
        """


class SceneSampler(ABC):
    """Chooses, for each scene graph, the part that a model reads.

    A sampler does not change a graph, and gives the same answer for a scene in whatever batch it comes,
    given generators in the same state.
    """

    makes: ClassVar = SceneContext
    """The context that this family of samplers makes."""

    @abstractmethod
    def sample(self, scenes: Sequence[SceneGraph], generator: np.random.Generator | None) -> SceneContext:
        """Choose what to keep of each scene; without ``generator`` nothing is left to chance."""


class SceneSamplerConfig(ComponentConfig):
    """Config of a sampler of scene graphs."""

    component: ClassVar[Any] = SceneSampler
    """What it builds."""

    @abstractmethod
    def build(self) -> SceneSampler:
        """The sampler; which scenes it reads is said in each call."""


def sample_all(
    sampler: NeighborSampler,
    targets: Int64[np.ndarray, " b"],
    generator: np.random.Generator,
    *,
    batch: int = 1024,
    progress: Callable[[int], object] | None = None,
) -> NeighborContext:
    """Sample for many targets in batches; the answer does not depend on the size of a batch.

    Args:
        sampler: who answers.
        targets: rows of the node table.
        generator: draws the one seed that all batches share.
        batch: targets per call of the sampler.
        progress: called after each batch with the number of targets that it answered.
    """
    seed = int(generator.integers(2**63))
    parts = []
    for start in range(0, max(len(targets), 1), batch):
        parts.append(sampler.sample(targets[start : start + batch], np.random.default_rng(seed)))
        if progress is not None:
            progress(len(parts[-1].targets))
    return NeighborContext.join(parts)
