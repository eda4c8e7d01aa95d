"""The average of the trained weights, which is what gets saved and shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from diffusers.training_utils import EMAModel

from graphcond.training.optimizer import Groups, all_parameters


class Ema:
    """An exponential moving average of the trained weights, through diffusers' `EMAModel`.

    In step n, counted from 1, the decay is min(``decay``, n / (n + 9)), 0 in the first: early averages
    forget the start.

    Args:
        groups: the trained parameters; their present values are where the average starts.
        decay: of the average once it is old.
        steps: how many updates the present values stand for.
    """

    def __init__(self, groups: Groups, decay: float, *, steps: int = 0) -> None:
        self.decay = decay
        self._parameters = all_parameters(groups)
        self._average = EMAModel(self._parameters, decay=decay, foreach=True)
        self._average.optimization_step = steps

    def update(self) -> None:
        """Take in the weights after an optimizer step."""
        self._average.step(self._parameters)

    def keep(self) -> None:
        """Give the model the average's weights for good."""
        self._average.copy_to(self._parameters)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average's weights inside the block, and its own again after it."""
        self._average.store(self._parameters)
        self._average.copy_to(self._parameters)
        try:
            yield
        finally:
            self._average.restore(self._parameters)
