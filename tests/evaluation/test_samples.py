"""What metrics look at is checked for its lengths and embedded once."""

from __future__ import annotations

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.evaluation import PictureSet, Samples, Targets
from tests.evaluation.doubles import MeanColor, plain, samples, targets


def test_pictures_are_embedded_once_for_each_network() -> None:
    pictures, network, other = PictureSet([plain("red"), plain("blue")]), MeanColor(), MeanColor()
    other.identity = "another"
    for _ in range(3):
        np.testing.assert_array_equal(pictures.embedded(network), [[255, 0, 0], [0, 0, 255]])
        pictures.embedded(other)
    assert network.seen == other.seen == 2


@pytest.mark.parametrize("count", [0, 1])
def test_a_single_sample_is_refused(count: int) -> None:
    with pytest.raises(InputError, match=f"at least 2 targets, got {count}"):
        targets([plain("red")] * count)


def test_columns_of_other_lengths_are_refused() -> None:
    two = [plain("red")] * 2
    with pytest.raises(InputError, match="3 truths for 2 targets"):
        Targets(np.arange(2), PictureSet(two + two[:1]), ["a", "b"])
    with pytest.raises(InputError, match="1 texts for 2 targets"):
        targets(two, ["a"])
    with pytest.raises(InputError, match="3 artist for 2 targets"):
        targets(two, artist=["x", "y", "z"])


def test_more_or_fewer_pictures_than_targets_are_refused() -> None:
    with pytest.raises(InputError, match="3 pictures for 2 targets"):
        samples([plain("red")] * 3, [plain("red")] * 2)
    with pytest.raises(InputError, match="0 pictures for 2 targets"):
        Samples(targets([plain("red")] * 2), PictureSet([]))
