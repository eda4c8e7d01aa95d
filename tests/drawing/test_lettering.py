"""Words in lines of a width."""

from __future__ import annotations

import pytest

from graphcond.drawing.sheets import font, wrapped

FACE = font(20)


@pytest.mark.parametrize(
    ("text", "fits", "lines"),
    [
        ("next to", "next to", ["next to"]),
        ("standing next to", "standing", ["standing", "next to"]),
        ("building-other", "building-", ["building-", "other"]),
        ("sky-other", "sky-other", ["sky-other"]),
        ("a--b -c", "a--b -c", ["a--b -c"]),
        ("", "a", []),
    ],
)
def test_lines_break_at_spaces_and_after_hyphens(text: str, fits: str, lines: list[str]) -> None:
    assert wrapped(text, FACE, FACE.getlength(fits), 3) == lines


def test_what_has_no_room_is_cut() -> None:
    width = FACE.getlength("on top of")
    first, second = wrapped("on top of the very high hill", FACE, width, 2)
    assert (first, second[:4], second[-1]) == ("on top of", "the ", "…")
    assert FACE.getlength(second) <= width
