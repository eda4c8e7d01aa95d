"""Parts of pictures, and where boxes lie in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from graphcond.io.frames import WHOLE, Frame
from graphcond.io.pictures import open_square, picture_size

SIDES = st.integers(1, 3000)


@given(st.tuples(SIDES, SIDES), st.tuples(SIDES, SIDES), st.floats(0, 1))
def test_a_covered_frame_is_inside_and_has_the_proportions_of_its_size(
    original: tuple[int, int], size: tuple[int, int], place: float
) -> None:
    frame = Frame.covered(original, size, place)
    x0, y0, x1, y1 = frame.region
    assert min(x0, y0) >= 0
    assert max(x1, y1) <= 1 + 1e-9
    assert (y1 - y0) * original[0] / size[0] == pytest.approx((x1 - x0) * original[1] / size[1])
    assert max(x1 - x0, y1 - y0) == pytest.approx(1)


@given(st.tuples(st.integers(1, 300), st.integers(1, 300)))
def test_a_padded_frame_shows_all(original: tuple[int, int]) -> None:
    box = Frame.padded(original, 64).box(WHOLE)
    if box is None:  # a thread of a picture
        assert max(original) > 200
        return
    height, width = box[3] - box[1], box[2] - box[0]
    assert max(height, width) == pytest.approx(1)
    assert height / width == pytest.approx(original[0] / original[1])


def test_a_square_picture_is_padded_by_nothing() -> None:
    assert Frame.padded((50, 50), 64).region == WHOLE


def red_part(picture: Image.Image) -> tuple[float, ...]:
    """Left, top, right and bottom of what is red, in shares."""
    red = np.asarray(picture).astype(int)
    rows, columns = np.nonzero((red[..., 0] > 128) & (red[..., 1] < 128))
    height, width = red.shape[:2]
    return (
        columns.min() / width,
        rows.min() / height,
        (columns.max() + 1) / width,
        (rows.max() + 1) / height,
    )


@pytest.mark.parametrize(
    "frame",
    [
        Frame.padded((240, 400), 64),
        Frame.padded((400, 240), 64),
        Frame.covered((240, 400), (64, 64), 0.2),
        Frame.covered((400, 240), (64, 96), 0.7),
        Frame.covered((240, 400), (48, 96)),
    ],
    ids=str,
)
def test_boxes_go_with_what_is_in_them(frame: Frame, tmp_path: Path) -> None:
    height, width = frame.original
    box = (0.3, 0.4, 0.55, 0.7)
    picture = Image.new("RGB", (width, height), "white")
    edges = tuple(round(share * side) for share, side in zip(box, 2 * (width, height), strict=True))
    picture.paste((255, 0, 0), edges)
    picture.save(tmp_path / "picture.png")
    shown = frame.open(tmp_path / "picture.png")
    assert shown.size == (frame.size[1], frame.size[0])
    moved = frame.box(box)
    assert moved is not None
    assert red_part(shown) == pytest.approx(moved, abs=0.02)


def test_a_padded_frame_is_the_square_of_before(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (30, 50, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")
    shown = Frame.padded((30, 50), 32).open(tmp_path / "picture.png")
    assert np.array_equal(shown, open_square(tmp_path / "picture.png", 32))


def test_what_a_frame_does_not_show_has_no_box() -> None:
    frame = Frame.covered((100, 200), (64, 64), 0)
    assert frame.box((0.6, 0.2, 0.9, 0.8)) is None
    assert frame.box((0.25, 0.2, 0.75, 0.8)) == pytest.approx((0.5, 0.2, 1, 0.8))


def test_sdxl_is_told_the_original_and_the_cut_as_the_picture_is_shown() -> None:
    frame = Frame.covered((600, 1200), (512, 512), 0.25)
    assert frame.numbers() == pytest.approx((600, 1200, 0, 128, 512, 512))
    assert frame.numbers(mirrored=True) == pytest.approx((600, 1200, 0, 384, 512, 512))


def test_sizes_are_upright(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.new("RGB", (40, 20)).save(tmp_path / "turned.jpg", exif=turned)
    assert picture_size(tmp_path / "turned.jpg") == (40, 20)
    assert picture_size(tmp_path / "turned.jpg", upright=True) == (20, 40)
