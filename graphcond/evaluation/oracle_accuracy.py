"""How often the oracle recognizes a fact in the made picture."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from graphcond.errors import InputError
from graphcond.evaluation.metric import SampleMetric
from graphcond.evaluation.oracle import OracleReader
from graphcond.evaluation.samples import Samples, Targets


class OracleAccuracy(SampleMetric):
    """Share of samples in which the oracle sees what is true of the target, 0..1.

    Args:
        reader: the oracle.
        fact: what it is asked: a key of ``reader.names`` and of the targets' facts.
        name: how reports call it.
    """

    def __init__(self, reader: OracleReader, fact: str, *, name: str) -> None:
        self.reader, self.fact, self.name = reader, fact, name

    @property
    def network(self) -> str:
        """The oracle."""
        return self.reader.network

    def check(self, targets: Targets) -> None:
        """The fact must be known."""
        super().check(targets)
        if self.fact not in targets.facts:
            raise InputError(
                f"the graph does not say the '{self.fact}' of its nodes",
                place="evaluation",
                remedy=f"evaluate on a world that does, or leave out {self.name}",
            )

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """1 where the oracle is right about the fact, else 0."""
        told = self.reader.tell(samples.pictures, self.fact)
        return np.array([a == b for a, b in zip(told, samples.targets.facts[self.fact], strict=True)], float)
