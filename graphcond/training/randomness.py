"""Stateless randomness: every random number of training is a function of the seed and of its place.

So a run that is stopped and resumed draws the same numbers as an uninterrupted run, and a batch draws the
same numbers however it is divided into parts and over processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor


class Purpose(IntEnum):
    """The purpose of a random number; each purpose has its own numbers."""

    ORDER = 0
    SAMPLE = 1
    LAYERS = 2
    VALIDATION = 3
    PREVIEW = 4
    SHUFFLE = 5
    STAGE = 6
    BUCKET = 7
    CROP = 8
    PROMPT = 9
    PRIOR = 10


def seed_of(seed: int, purpose: Purpose, *place: int) -> int:
    """The seed of one place, below 2^63."""
    return int(np.random.SeedSequence([seed, purpose, *place]).generate_state(1, np.uint64)[0] >> 1)


def generator_of(seed: int, purpose: Purpose, *place: int) -> torch.Generator:
    """A CPU generator for one place; numbers are moved to the device, so they are the same on all."""
    return torch.Generator().manual_seed(seed_of(seed, purpose, *place))


@dataclass(frozen=True)
class BatchPlan:
    """How one optimizer step is divided: processes, forward passes, samples."""

    batch_size: int
    accumulate: int = 1
    processes: int = 1

    @property
    def together(self) -> int:
        """Samples that all processes see at once."""
        return self.batch_size * self.processes

    @property
    def effective(self) -> int:
        """Samples in one optimizer step."""
        return self.batch_size * self.accumulate * self.processes

    def positions(self, step: int, part: int, process: int) -> Int64[np.ndarray, " b"]:
        """Places in the endless row of samples that one forward pass of one process takes."""
        first = step * self.effective + (part * self.processes + process) * self.batch_size
        return np.arange(first, first + self.batch_size)


def order_of(seed: int, positions: Int64[np.ndarray, " b"], count: int) -> Int64[np.ndarray, " b"]:
    """The sample, of ``count``, at each position: every epoch is another permutation."""
    epochs, places = np.divmod(positions, count)
    return np.array(
        [
            _permutation(seed, epoch, count)[place]
            for epoch, place in zip(epochs.tolist(), places, strict=True)
        ],
        np.int64,
    )


@dataclass(frozen=True)
class Draws:
    """The random numbers for the samples of one forward pass; row ``i`` of all fields is sample ``i``.

    ``mirrored``, ``drop`` and ``time`` are uniform in 0..1 and decide on the flip, the drops (of each
    condition) and the timestep; ``posterior`` and ``noise`` are standard normal.
    """

    mirrored: Float64[np.ndarray, " b"]
    drop: Float64[np.ndarray, "b conditions"]
    time: Float[Tensor, " b"]
    posterior: Float[Tensor, "b channels height width"]
    noise: Float[Tensor, "b channels height width"]

    def select(self, rows: Bool[np.ndarray, " b"]) -> Draws:
        """The samples of a mask."""
        return Draws(**{name: numbers[rows] for name, numbers in vars(self).items()})


def draws_of(
    seed: int, positions: Int64[np.ndarray, " b"], shape: tuple[int, int, int], conditions: int = 1
) -> Draws:
    """The draws of the samples at ``positions``, for latents of ``shape``.

    The numbers do not depend on how many ``conditions`` there are: those of further ones are drawn last.
    """
    count = len(positions)
    uniform, normal = torch.empty(count, 3), torch.empty(count, 2, *shape)
    others = torch.empty(count, conditions - 1)
    for row, position in enumerate(positions.tolist()):
        generator = generator_of(seed, Purpose.SAMPLE, position)
        uniform[row] = torch.rand(3, generator=generator)
        normal[row] = torch.randn((2, *shape), generator=generator)
        others[row] = torch.rand(conditions - 1, generator=generator)
    drop = torch.cat([uniform[:, 1:2], others], dim=1).double().numpy()
    return Draws(uniform[:, 0].double().numpy(), drop, uniform[:, 2], normal[:, 0], normal[:, 1])


def numbers_of(seed: int, positions: Int64[np.ndarray, " b"], purpose: Purpose) -> Float64[np.ndarray, " b"]:
    """A uniform number in 0..1 for each position."""
    seeds = [seed_of(seed, purpose, position) for position in positions.tolist()]
    return np.array([np.random.default_rng(one).random() for one in seeds])


@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> Int64[np.ndarray, " n"]:
    return np.random.default_rng(seed_of(seed, Purpose.ORDER, epoch)).permutation(count)
