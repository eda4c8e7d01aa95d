"""A figure with its interval."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Measurement:
    """A figure over ``n`` samples with its 95 % interval, ``low`` to ``high``."""

    name: str
    mean: float
    low: float
    high: float
    n: int
