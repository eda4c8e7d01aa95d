"""Contact sheets: every picture in its place, nothing over the edge."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from graphcond.drawing.sheets import GAP, MARGIN, Cell, contact_sheet
from graphcond.errors import InputError

COLORS = ["#102030", "#804020", "#20a060", "#e0e040", "#8040c0", "#40c0e0"]


def _plain(color: str, size: tuple[int, int] = (8, 8)) -> Image.Image:
    return Image.new("RGB", size, color)


def _places(sheet: Image.Image, color: str) -> tuple[int, int, int, int]:
    """The box of all pixels of a color: left, top, right, bottom."""
    rgb = Image.new("RGB", (1, 1), color).getpixel((0, 0))
    rows, columns = np.nonzero((np.asarray(sheet) == rgb).all(-1))
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_pictures_stand_in_rows_and_columns() -> None:
    rows = [[_plain(color) for color in COLORS[:3]], [_plain(color) for color in COLORS[3:]]]
    sheet = contact_sheet(rows, cell=40)
    step = 40 + GAP
    assert sheet.mode == "RGB"
    assert sheet.size == (2 * MARGIN + 2 * step + 40, 2 * MARGIN + step + 40)
    for place, color in enumerate(COLORS):
        left, top = MARGIN + place % 3 * step, MARGIN + place // 3 * step
        assert _places(sheet, color) == (left, top, left + 40, top + 40)


def test_groups_stand_apart() -> None:
    row = [_plain(color) for color in COLORS[:3]]
    boxes = [_places(contact_sheet([row], cell=40, group_starts={2}), color) for color in COLORS[:3]]
    assert boxes[1][0] - boxes[0][2] == GAP
    assert boxes[2][0] - boxes[1][2] > GAP


def test_proportions_are_kept() -> None:
    sheet = contact_sheet([[_plain(COLORS[0], (80, 20))]], cell=40)
    assert _places(sheet, COLORS[0]) == (MARGIN, MARGIN + 15, MARGIN + 40, MARGIN + 25)


def test_labels_captions_and_marks_are_drawn_and_move_no_picture_onto_another() -> None:
    plain = contact_sheet([[_plain(COLORS[0]), None], [None, _plain(COLORS[1])]])
    rows = [
        [Cell(_plain(COLORS[0]), "a caption"), None],
        [None, Cell(_plain(COLORS[1]), good=True)],
    ]
    sheet = contact_sheet(
        rows, row_labels=["one", "two"], column_labels=["x", "y"], title="Title", subtitle="what to see"
    )
    first, second = _places(sheet, COLORS[0]), _places(sheet, COLORS[1])
    assert sheet.width > plain.width
    assert sheet.height > plain.height
    assert first[2] < second[0]
    assert first[3] < second[1]
    for heading in (
        contact_sheet(rows),
        contact_sheet(rows, title="Title"),
        contact_sheet(rows, column_labels=["x", "y"]),
    ):
        assert heading.size != sheet.size


@pytest.mark.parametrize("good", [True, False])
def test_marks_differ_from_none_and_from_each_other(good: bool) -> None:
    marked = np.asarray(contact_sheet([[Cell(_plain(COLORS[0]), good=good)]]))
    assert (marked != np.asarray(contact_sheet([[_plain(COLORS[0])]]))).any()
    assert (marked != np.asarray(contact_sheet([[Cell(_plain(COLORS[0]), good=not good)]]))).any()


@settings(max_examples=25)
@given(
    texts=st.lists(st.text(max_size=120), min_size=4, max_size=4),
    cell=st.integers(24, 160),
    picture=st.tuples(st.integers(1, 90), st.integers(1, 90)),
)
def test_any_text_leaves_the_margins_white(texts: list[str], cell: int, picture: tuple[int, int]) -> None:
    item = Cell(Image.new("L", picture, 40), texts[3])
    sheet = contact_sheet(
        [[item]], row_labels=[texts[0]], column_labels=[texts[1]], title=texts[2], cell=cell
    )
    pixels = np.asarray(sheet)
    for edge in (pixels[:5], pixels[-5:], pixels[:, :5], pixels[:, -5:]):
        assert (edge == 255).all()


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"rows": []}, "no pictures"),
        ({"rows": [[]]}, "no pictures"),
        ({"rows": [[None], [None, None]]}, "different lengths"),
        ({"rows": [[None]], "row_labels": ["a", "b"]}, "1 row labels or none, got 2"),
        ({"rows": [[None]], "column_labels": ["a", "b"]}, "1 column labels or none, got 2"),
    ],
)
def test_bad_input(arguments: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        contact_sheet(**arguments)
