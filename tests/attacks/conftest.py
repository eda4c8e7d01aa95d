"""What the attacks share: how many they are, and what they count."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from math import ceil

import pytest

SMALL = 500
"""The number of attacks in the default suite, to which the tests' own numbers refer."""


@dataclass
class Tally:
    """What a test counts; `tests/conftest.py` prints the sums of all tests as the last line."""

    inputs: int = 0
    """Inputs that were tried."""
    tracebacks: int = 0
    """Of these, inputs that ended in an internal error or killed the interpreter."""
    hangs: int = 0
    half_written: int = 0
    """Inputs after which a partial file was left."""
    kills: int = 0
    """Processes that were killed or stopped in the middle of their work."""
    lost: int = 0
    """Of these, processes after which the same work could not be finished."""
    different: int = 0
    """Of these, processes after which the finished work was another than that of an undisturbed process."""


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Tally]:
    """The counters of one test. The test itself asserts that they are as they must be."""
    counted = Tally()
    yield counted
    request.node.user_properties += asdict(counted).items()


@pytest.fixture
def attacks(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """From a test's number of attacks in the default suite to the number at the size of ``--attacks``."""
    total = request.config.getoption("--attacks")
    return lambda small: ceil(small * total / SMALL)
