"""The predictions of a denoiser that guidance adds up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from jaxtyping import Float
from torch import Tensor

Prediction = Float[Tensor, "b channels height width"]


Shown: TypeAlias = tuple[bool, tuple[int, ...]]
"""Whether the text is shown, and the numbers of the graphs that are."""


@dataclass(frozen=True)
class Branch:
    """One denoiser call: with or without the text, with no graph, one, or one of each of several conditions.

    ``graph`` is the number of the graph, None for no graph; ``weight`` its share in the sum; ``beside`` are
    the numbers of other conditions' graphs, which are shown together with it. ``rows`` are the pictures
    of the batch that are predicted, None for all.
    """

    text: bool
    graph: int | None
    weight: float
    beside: tuple[int, ...] = ()
    rows: tuple[int, ...] | None = None

    @property
    def shown(self) -> Shown:
        """What is shown: the text and the graphs. Each branch of a step shows something else."""
        return self.text, self.graphs

    @property
    def graphs(self) -> tuple[int, ...]:
        """The numbers of all graphs that are shown."""
        return () if self.graph is None else (self.graph, *self.beside)


Call: TypeAlias = Callable[[Sequence[Branch]], Sequence[Prediction]]
"""Calls of the denoiser: a prediction for each branch, of its ``rows``."""
