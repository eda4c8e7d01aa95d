"""Oracle metrics with an oracle that sees the strongest color."""

from __future__ import annotations

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.evaluation.metrics.oracle import OracleDistance, StyleAccuracy
from tests.evaluation.doubles import READER, ColorAccuracy, plain, samples, targets

MADE = [plain(color, 8) for color in ("red", "lime", "blue", (10, 0, 90))]
TRUE = [plain(color, 8) for color in ("red", "red", "blue", "blue")]


def test_accuracy_is_the_share_of_right_answers() -> None:
    metric = ColorAccuracy(READER)
    batch = samples(MADE, TRUE, color=["red", "red", "blue", "blue"])
    np.testing.assert_array_equal(metric.score(batch), [1, 0, 1, 1])
    figure = metric.measure(metric.evidence(batch, seed=0), 4, seed=0)
    assert (figure.name, figure.mean) == ("style_accuracy", 0.75)
    assert metric.identity == "ColorOracle"


def test_distance_is_euclidean_in_oracle_features() -> None:
    scores = OracleDistance(READER).score(samples(MADE, TRUE))
    expected = [0, 8**0.5, 0, np.hypot(10 / 127.5, (255 - 90) / 127.5)]
    np.testing.assert_allclose(scores, expected, atol=1e-6)


def test_many_pictures_keep_their_order() -> None:
    colors = [("red", "lime", "blue")[index % 3] for index in range(150)]
    batch = samples([plain(color) for color in colors], [plain("red")] * 150, color=colors)
    assert ColorAccuracy(READER).score(batch).all()


def test_unknown_facts_are_refused() -> None:
    metric = StyleAccuracy(READER)
    with pytest.raises(InputError, match=r"does not say the 'artist' of its nodes.*leave out style_a"):
        metric.check(targets(TRUE, color=["red"] * 4))
