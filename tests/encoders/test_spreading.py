"""Masks warped into boxes: equal to grid_sample and to sums by hand, with gradients to the boxes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from graphcond.encoders.layout import spread, warped_masks

BOXES = torch.tensor(
    [[0.1, 0.2, 0.6, 0.9], [0.0, 0.0, 1.0, 1.0], [0.45, 0.45, 0.5, 0.55], [0.7, 0.1, 0.95, 0.3]]
)


def masks(count: int = 4) -> torch.Tensor:
    return torch.rand(count, 16, 16, generator=torch.Generator().manual_seed(0))


def by_loops(box: list[float], mask: torch.Tensor, size: int, samples: int) -> torch.Tensor:
    """The definition, point by point."""

    def at(y: float, x: float) -> float:
        total = 0.0
        for i in range(16):
            for j in range(16):
                total += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * float(mask[i, j])
        return total

    found, points = torch.zeros(size, size), size * samples
    for row in range(points):
        for column in range(points):
            y = ((row + 0.5) / points - box[1]) / (box[3] - box[1]) * 15
            x = ((column + 0.5) / points - box[0]) / (box[2] - box[0]) * 15
            found[row // samples, column // samples] += at(y, x) / samples**2
    return found


def by_grid_sample(boxes: torch.Tensor, shapes: torch.Tensor, size: int, samples: int) -> torch.Tensor:
    points = (torch.arange(size * samples) + 0.5) / (size * samples)
    low, high = boxes[:, :2], boxes[:, 2:]
    places = (points[None, :, None] - low[:, None]) / (high - low)[:, None] * 2 - 1
    grid = torch.stack(
        [
            places[:, None, :, 0].expand(-1, len(points), -1),
            places[:, :, None, 1].expand(-1, -1, len(points)),
        ],
        dim=-1,
    )
    fine = F.grid_sample(shapes[:, None], grid, align_corners=True, padding_mode="zeros")
    return F.avg_pool2d(fine, samples)[:, 0]


def test_it_is_what_the_loops_say() -> None:
    found = warped_masks(BOXES, masks(), 5, 2)
    for number in (0, 2):
        slow = by_loops(BOXES[number].tolist(), masks()[number], 5, 2)
        assert torch.allclose(found[number], slow, atol=1e-5)


@pytest.mark.parametrize(("size", "samples"), [(8, 8), (32, 2), (64, 1)])
def test_it_is_grid_sample(size: int, samples: int) -> None:
    found = warped_masks(BOXES, masks(), size, samples)
    assert torch.allclose(found, by_grid_sample(BOXES, masks(), size, samples), atol=1e-5)


def test_an_object_smaller_than_a_cell_is_not_missed() -> None:
    tiny = torch.tensor([[0.30, 0.30, 0.36, 0.36]])
    assert warped_masks(tiny, torch.ones(1, 16, 16), 4, 1).sum() == 0
    cells = warped_masks(tiny, torch.ones(1, 16, 16), 4, 16).sum() / 16
    assert cells == pytest.approx(0.06**2, rel=0.3)


def test_nothing_lies_outside_the_box() -> None:
    found = warped_masks(torch.tensor([[0.5, 0.25, 0.75, 0.5]]), torch.ones(1, 16, 16), 8, 8)[0]
    inside = torch.zeros(8, 8, dtype=torch.bool)
    inside[2:4, 4:6] = True
    assert (found[inside] > 0.95).all()
    assert found[~inside].max() < 0.15  # one pixel of the mask fades beyond the edge


def test_boxes_and_masks_get_gradients() -> None:
    boxes, shapes = BOXES.clone().requires_grad_(), masks().requires_grad_()
    (warped_masks(boxes, shapes, 8, 4) ** 2).sum().backward()
    assert boxes.grad is not None
    assert shapes.grad is not None
    assert (boxes.grad.abs() > 0).all(dim=1)[[0, 3]].all()
    assert (shapes.grad != 0).any(dim=(1, 2)).all()


def test_spread_is_a_sum_over_objects() -> None:
    vectors, where = torch.randn(2, 3, 5), torch.rand(2, 3, 4, 4)
    found = spread(vectors, where)
    slow = sum(vectors[1, n][:, None, None] * where[1, n] for n in range(3))
    assert torch.allclose(found[1], slow, atol=1e-6)
