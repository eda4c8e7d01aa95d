"""Who loses the text, the graph or both, and who can still give a gradient."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from graphcond.condition import Condition
from graphcond.recipe.sections import DropConfig


@dataclass(frozen=True)
class Drops:
    """What is taken away from each sample."""

    text: Bool[np.ndarray, " b"]
    graph: Bool[np.ndarray, " b"]

    def select(self, rows: Bool[np.ndarray, " b"]) -> Drops:
        """The samples of a mask."""
        return Drops(self.text[rows], self.graph[rows])


def drops_of(chance: Float64[np.ndarray, " b"], config: DropConfig) -> Drops:
    """Divide 0..1 into text only, graph only, both and nothing; ``chance`` says where a sample falls."""
    text_only = chance < config.text
    graph_only = ~text_only & (chance < config.text + config.graph)
    both = ~text_only & ~graph_only & (chance < config.text + config.graph + config.both)
    return Drops(text_only | both, graph_only | both)


def gives_gradient(drops: Drops, *, always: bool) -> Bool[np.ndarray, " b"]:
    """The samples worth computing: over a frozen base, one without its graph gives no gradient at all.

    Args:
        drops: what each sample loses.
        always: something learns without a graph too; see `learns_without_graph`.
    """
    return np.ones_like(drops.graph) if always else ~drops.graph


def learns_without_graph(conditions: Iterable[Condition], *, lora: bool) -> bool:
    """Whether samples without graph give gradients: to a LoRA, or to an injector that reads null signals."""
    return lora or any(c.null == "zeros" and bool(c.injector.trainable_parameters()) for c in conditions)
