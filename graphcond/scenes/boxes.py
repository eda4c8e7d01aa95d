"""Reads boxes of several formats as x0 y0 x1 y1, in shares of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, TypeAlias, get_args

from pydantic import BaseModel, Field, Strict

from graphcond.errors import InputError
from graphcond.scene_graph import Box

BoxFormat: TypeAlias = Literal["xyxy relative", "xywh relative", "xyxy pixels", "xywh pixels"]

BOX_FORMATS: tuple[BoxFormat, ...] = get_args(BoxFormat)

Pixels = Annotated[float, Strict(), Field(gt=0, lt=1e9)]
"""The width or the height of a picture."""

Size: TypeAlias = tuple[float, float]
"""Width and height in pixels."""

SLACK = 1e-3
"""Share of the picture by which a box may reach over its edge, for boxes that were rounded."""


class BoxedRow(BaseModel):
    """A row of JSON that may give boxes, with their format and the size of the picture."""

    box_format: BoxFormat | None = None
    width: Pixels | None = None
    height: Pixels | None = None

    def read_boxes(
        self, given: Sequence[tuple[float, float, float, float] | None], place: str
    ) -> tuple[Box | None, ...]:
        """The boxes of the row, None for missing boxes.

        Args:
            given: four numbers for each box.
            place: where a box stands in the row, with {} for its number.

        Raises:
            InputError: a box is given but not its format, or the size of the picture for pixels, or as
                `read_box`.
        """
        if all(box is None for box in given):
            return (None,) * len(given)
        if self.box_format is None:
            names = ", ".join(f'"{name}"' for name in BOX_FORMATS)
            remedy = f"add box_format, one of {names}"
            raise InputError("the format of the boxes is missing", place="boxes", remedy=remedy)
        size = (self.width, self.height) if self.width and self.height else None
        return tuple(
            None if box is None else read_box(box, self.box_format, size, place=place.format(number))
            for number, box in enumerate(given)
        )


def read_box(
    given: tuple[float, float, float, float],
    form: BoxFormat,
    size: Size | None = None,
    *,
    place: str = "box",
    clip: bool = False,
) -> Box | None:
    """Four numbers as a box.

    Args:
        given: the numbers, in the order that ``form`` names.
        form: one of `BOX_FORMATS`.
        size: size of the picture, for boxes in pixels.
        place: the place of the box, for the error.
        clip: cut off the part outside the picture, and return None if nothing is left, for data that were
            measured or predicted. Otherwise only rounding (`SLACK`) is forgiven.

    Raises:
        InputError: pixels without a size, or, without ``clip``, a box that lies outside the picture or has
            no area.
    """
    a, b, c, d = given
    if form.startswith("xywh"):
        c, d = a + c, b + d
    if form.endswith("pixels"):
        if size is None:
            problem = "boxes in pixels need the picture's size"
            raise InputError(problem, place=place, remedy="add width and height")
        width, height = size
        a, b, c, d = a / width, b / height, c / width, d / height
    edges = (a, b, c, d)
    cut = Box(*(min(max(edge, 0.0), 1.0) for edge in edges))
    empty = cut.x0 >= cut.x1 or cut.y0 >= cut.y1
    if clip:
        return None if empty else cut
    outside = any(not -SLACK <= edge <= 1 + SLACK for edge in edges)
    if outside or empty:
        problem = f"{list(given)} ({form}) {'lies outside the picture' if outside else 'has no area'}"
        raise InputError(problem, place=place, remedy="check box_format")
    return cut
