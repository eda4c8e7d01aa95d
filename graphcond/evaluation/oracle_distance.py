"""How far the made picture is from the true one in the oracle's features."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64

from graphcond.evaluation.metric import SampleMetric
from graphcond.evaluation.oracle import OracleReader
from graphcond.evaluation.samples import Samples


class OracleDistance(SampleMetric):
    """Euclidean distance of the oracle's features, made against true; it ranks where accuracies saturate."""

    name = "oracle_distance"
    looks_at_truths = True
    higher_is_better = False

    def __init__(self, reader: OracleReader) -> None:
        self.reader = reader

    @property
    def network(self) -> str:
        """The oracle."""
        return self.reader.network

    def score(self, samples: Samples) -> Float64[np.ndarray, " n"]:
        """One distance for each sample, 0 for a picture that the oracle cannot tell from the true one."""
        made = self.reader.features(samples.pictures)
        true = self.reader.features(samples.targets.truths)
        return np.linalg.norm((made - true).astype(np.float64), axis=1)
