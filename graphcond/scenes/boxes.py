"""Boxes in the formats that people write, turned into x0 y0 x1 y1 as shares of the picture."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias, get_args

from graphcond.errors import InputError
from graphcond.scene_graph import Box, four_numbers

BoxFormat: TypeAlias = Literal["xyxy relative", "xywh relative", "xyxy pixels", "xywh pixels"]

BOX_FORMATS: tuple[BoxFormat, ...] = get_args(BoxFormat)

Size: TypeAlias = tuple[float, float]
"""Width and height in pixels."""

SLACK = 1e-3
"""How far a box may reach over the picture's edge before it is refused: less than rounding to pixels does."""


def read_format(given: Any, place: object) -> BoxFormat:
    """The name of a box format.

    Raises:
        InputError: it is missing or none of the four.
    """
    names = ", ".join(f'"{name}"' for name in BOX_FORMATS)
    if given is None:
        raise InputError("boxes need a format", place=place, remedy=f"add box_format, one of {names}")
    if given not in BOX_FORMATS:
        raise InputError(f"{given!r:.60} is no box format", place=place, remedy=f"choose one of {names}")
    return given


def read_box(
    given: Any, form: BoxFormat, size: Size | None = None, *, place: str = "box", clip: bool = False
) -> Box | None:
    """Four numbers as a box.

    Args:
        given: the numbers, in the order that ``form`` names.
        form: one of `BOX_FORMATS`.
        size: of the picture, for pixels.
        place: what complaints name.
        clip: cut off what lies outside the picture, and give None where nothing is left: for data that
            somebody else measured or predicted. Otherwise only rounding (`SLACK`) is forgiven.

    Raises:
        InputError: not four numbers, pixels without a size, or, without ``clip``, a box that lies outside the
            picture or has no area.
    """
    a, b, c, d = four_numbers(given, place)
    if form.startswith("xywh"):
        c, d = a + c, b + d
    if form.endswith("pixels"):
        width, height = _checked(size, place)
        a, b, c, d = a / width, b / height, c / width, d / height
    edges = (a, b, c, d)
    cut = Box(*(min(max(edge, 0.0), 1.0) for edge in edges))
    empty = cut.x0 >= cut.x1 or cut.y0 >= cut.y1
    if clip:
        return None if empty else cut
    if any(not -SLACK <= edge <= 1 + SLACK for edge in edges):
        raise InputError(
            f"{list(given)} ({form}) lies outside the picture", place=place, remedy="check box_format"
        )
    if empty:
        raise InputError(f"{list(given)} ({form}) has no area", place=place, remedy="check box_format")
    return cut


def read_size(width: Any, height: Any, place: object) -> Size:
    """A picture's width and height in pixels.

    Raises:
        InputError: one is missing or no positive number.
    """
    for name, side in (("width", width), ("height", height)):
        if isinstance(side, bool) or not isinstance(side, int | float) or not 0 < side < 1e9:
            raise InputError(
                f"'{name}' is {side!r:.40}, not a number of pixels",
                place=place,
                remedy="boxes in pixels need the picture's width and height",
            )
    return float(width), float(height)


def _checked(size: Size | None, place: str) -> Size:
    if size is None:
        raise InputError(
            "boxes in pixels need the picture's size", place=place, remedy="add width and height"
        )
    return size
