"""The share of each cell that each box covers."""

from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.coverage import coverage

sides = st.integers(1, 7)
numbers = st.floats(-0.25, 1.25, width=32)


def shares(box: list[float], height: int, width: int) -> torch.Tensor:
    return coverage(torch.tensor([[box]]), torch.ones(1, 1, dtype=torch.bool), height, width)[0, :, 0]


def test_a_cell_counts_by_the_part_of_it_that_is_covered() -> None:
    found = shares([0.25, 0.0, 0.75, 0.5], 2, 3).view(2, 3)
    assert torch.allclose(found, torch.tensor([[0.25, 1.0, 0.25], [0.0, 0.0, 0.0]]))


@settings(deadline=None, max_examples=50)
@given(st.tuples(numbers, numbers, numbers, numbers), sides, sides)
def test_the_mean_is_the_area_within_the_picture(box, height: int, width: int) -> None:
    x0, y0, x1, y1 = (min(max(value, 0.0), 1.0) for value in box)
    found = shares(list(box), height, width)
    assert abs(float(found.mean()) - max(x1 - x0, 0) * max(y1 - y0, 0)) < 1e-5
    assert float(found.min()) >= 0
    assert float(found.max()) <= 1 + 1e-5


def test_what_has_no_box_is_everywhere_and_a_box_without_area_nowhere() -> None:
    boxes = torch.tensor([[[0.2, 0.2, 0.2, 0.9], [0.9, 0.1, 0.1, 0.9], [0.0, 0.0, 0.1, 0.1]]])
    found = coverage(boxes, torch.tensor([[True, True, False]]), 4, 5)
    assert found.shape == (1, 20, 3)
    assert found[0, :, 0].abs().max() == 0
    assert found[0, :, 1].abs().max() == 0
    assert (found[0, :, 2] == 1).all()


def test_half_precision_boxes_and_many_objects() -> None:
    boxes = torch.rand(2, 300, 4).sort(-1).values.bfloat16()
    found = coverage(boxes, torch.ones(2, 300, dtype=torch.bool), 3, 3)
    assert found.dtype == torch.float32
    assert coverage(boxes[:0], torch.ones(0, 300, dtype=torch.bool), 3, 3).shape == (0, 9, 300)
