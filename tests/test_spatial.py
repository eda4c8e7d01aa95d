"""Boxes: one predicate for every pair, the other way round its opposite, and how far boxes agree."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from graphcond.scene_graph import (
    OPPOSITES,
    SPATIAL_PREDICATES,
    Box,
    area,
    center,
    holds,
    iou,
    margin,
    opposite,
    overlap,
    predicate,
)


def around(x: float, y: float, side: float = 0.1) -> Box:
    return Box(x - side / 2, y - side / 2, x + side / 2, y + side / 2)


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    edges = st.integers(0, 63)
    x0, y0 = draw(edges), draw(edges)
    x1, y1 = draw(st.integers(x0 + 1, 64)), draw(st.integers(y0 + 1, 64))
    return Box(x0 / 64, y0 / 64, x1 / 64, y1 / 64)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (0.2, 0.5, "left of"),
        (0.8, 0.5, "right of"),
        (0.5, 0.2, "above"),
        (0.5, 0.8, "below"),
        (0.2, 0.7, "left of"),
        (0.8, 0.3, "right of"),
        (0.6, 0.2, "above"),
        (0.4, 0.8, "below"),
    ],
)
def test_the_sector_of_the_centres_decides(x: float, y: float, expected: str) -> None:
    assert predicate(around(x, y), around(0.5, 0.5)) == expected


def test_every_direction_has_one_sector_of_90_degrees() -> None:
    target = around(0.5, 0.5)
    found = [
        predicate(
            around(0.5 + 0.3 * math.cos(math.radians(a)), 0.5 + 0.3 * math.sin(math.radians(a))), target
        )
        for a in range(360)
    ]
    assert {name: found.count(name) for name in set(found)} == pytest.approx(
        dict.fromkeys(("left of", "right of", "above", "below"), 90), abs=1
    )


def test_containment_comes_before_direction() -> None:
    small, large = around(0.3, 0.3), around(0.4, 0.4, 0.7)
    assert predicate(small, large) == "inside"
    assert predicate(large, small) == "surrounding"


def test_a_box_that_shares_an_edge_is_not_inside() -> None:
    assert predicate(Box(0.0, 0.4, 0.2, 0.6), Box(0.0, 0.0, 1.0, 1.0)) == "left of"


def test_one_centre_has_an_answer() -> None:
    assert predicate(Box(0.4, 0.2, 0.6, 0.8), Box(0.2, 0.4, 0.8, 0.6)) == "right of"
    assert predicate(around(0.5, 0.5), around(0.5, 0.5)) == "right of"


@given(boxes(), boxes())
def test_exactly_one_predicate_holds(first: Box, second: Box) -> None:
    assert [name for name in SPATIAL_PREDICATES if holds(name, first, second)] == [predicate(first, second)]
    assert not holds("bigger than", first, second)


@given(boxes(), boxes())
def test_the_other_way_round_the_opposite_holds(first: Box, second: Box) -> None:
    assume(center(first) != center(second) and margin(first, second) > 0)
    assert predicate(second, first) == OPPOSITES[predicate(first, second)]


def test_opposites_are_mutual_and_only_spatial() -> None:
    assert all(opposite(opposite(name) or "") == name for name in SPATIAL_PREDICATES)
    assert opposite("same colour as") is None


def test_margin_is_degrees_from_the_diagonal() -> None:
    assert margin(around(0.8, 0.5), around(0.5, 0.5)) == pytest.approx(45)
    assert margin(around(0.8, 0.8), around(0.5, 0.5)) == pytest.approx(0, abs=1e-9)
    assert margin(around(0.5, 0.2), around(0.5, 0.5)) == pytest.approx(45)


@given(boxes(), boxes())
def test_iou_is_a_share_that_knows_no_order(first: Box, second: Box) -> None:
    assert 0 <= iou(first, second) == pytest.approx(iou(second, first))
    assert iou(first, first) == pytest.approx(1)
    assert overlap(first, second) <= min(area(first), area(second)) + 1e-12


def test_iou_of_known_boxes() -> None:
    assert iou(Box(0, 0, 0.5, 1), Box(0.25, 0, 0.75, 1)) == pytest.approx(1 / 3)
    assert iou(Box(0, 0, 0.5, 0.5), Box(0.5, 0, 1, 0.5)) == 0
    assert iou(Box(0, 0, 0, 0), Box(0, 0, 0, 0)) == 0
