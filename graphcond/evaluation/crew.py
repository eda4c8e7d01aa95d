"""The processes that draw the pictures of one evaluation together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import torch

Item = TypeVar("Item")
Result = TypeVar("Result")

PATIENCE = timedelta(days=1)
"""Time limit of processes that wait while the first one scores."""


@dataclass(frozen=True)
class Crew:
    """This process is number ``index`` (from 0) of ``count`` that do the same work at once."""

    index: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """True in the process that scores and writes."""
        return self.index == 0

    def divided(
        self, items: Sequence[Item], make: Callable[[Item], Sequence[Result]]
    ) -> Iterator[Sequence[Result]]:
        """What ``make`` gives for each item, in order; every process makes its share, and gets all.

        All processes must ask for the same items.
        """
        if self.count == 1:
            yield from map(make, items)
            return
        from accelerate.utils import gather_object

        for start in range(0, len(items), self.count):
            own = items[start : start + self.count][self.index : self.index + 1]
            yield from gather_object([make(item) for item in own])


@contextmanager
def launched(device: torch.device) -> Iterator[Crew]:
    """The processes that ``accelerate launch`` or torchrun started, connected; else this one alone.

    Args:
        device: where this process computes.
    """
    if int(os.environ.get("WORLD_SIZE", 1)) == 1:
        yield Crew()
        return
    from accelerate import PartialState

    others = bool(PartialState._shared_state)  # who connected before, and goes on afterwards
    state = PartialState(cpu=device.type == "cpu", timeout=PATIENCE)
    yield Crew(state.process_index, state.num_processes)
    if not others:
        state.destroy_process_group()
