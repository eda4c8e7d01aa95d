"""How two boxes lie to each other: the spatial relations of scene graphs made from boxes (sg2im)."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias, cast, get_args

from graphcond.scene_graph import Box

SpatialPredicate: TypeAlias = Literal["left of", "right of", "above", "below", "inside", "surrounding"]

SPATIAL_PREDICATES: tuple[SpatialPredicate, ...] = get_args(SpatialPredicate)

OPPOSITES: dict[SpatialPredicate, SpatialPredicate] = {
    "left of": "right of",
    "right of": "left of",
    "above": "below",
    "below": "above",
    "inside": "surrounding",
    "surrounding": "inside",
}
"""What holds from the other end of a relation."""


def predicate(subject: Box, target: Box) -> SpatialPredicate:
    """How ``subject`` lies to ``target``; exactly one predicate holds for every pair of boxes.

    Containment comes first: a box that lies strictly within another is "inside" it, the other is
    "surrounding" it. Otherwise the direction from the target's centre to the subject's decides, in four
    sectors of 90 degrees around the axes; y points down. The rule, and which sector owns its edges, are
    sg2im's (Johnson et al. 2018, the COCO reader): a subject exactly on the lower left diagonal, say, is
    "left of" the target. Two boxes with one centre, neither within the other, count as "right of".
    """
    if _within(target, subject):
        return "surrounding"
    if _within(subject, target):
        return "inside"
    (x, y), (u, v) = center(subject), center(target)
    angle = math.atan2(y - v, x - u)
    quarter = math.pi / 4
    if abs(angle) >= 3 * quarter:
        return "left of"
    if -3 * quarter <= angle < -quarter:
        return "above"
    if -quarter <= angle < quarter:
        return "right of"
    return "below"


def holds(relation: str, subject: Box, target: Box) -> bool:
    """Whether ``relation`` is the spatial predicate that `predicate` gives; False for any other word."""
    return relation == predicate(subject, target)


def opposite(relation: str) -> SpatialPredicate | None:
    """The spatial predicate from the other end, None for a relation that is not spatial."""
    return OPPOSITES.get(cast(SpatialPredicate, relation))


def margin(subject: Box, target: Box) -> float:
    """Degrees from the nearest diagonal, 0 (a diagonal pair) to 45 (straight beside or above).

    Only the centres count; containment has no diagonal.
    """
    (x, y), (u, v) = center(subject), center(target)
    return abs(45 - math.degrees(math.atan2(abs(y - v), abs(x - u))))


def center(box: Box) -> tuple[float, float]:
    """Its middle, x and y."""
    return (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2


def area(box: Box) -> float:
    """Its share of the picture."""
    return max(0.0, box.x1 - box.x0) * max(0.0, box.y1 - box.y0)


def overlap(first: Box, second: Box) -> float:
    """The area that two boxes share; 0 where they only touch."""
    width = min(first.x1, second.x1) - max(first.x0, second.x0)
    height = min(first.y1, second.y1) - max(first.y0, second.y0)
    return max(0.0, width) * max(0.0, height)


def iou(first: Box, second: Box) -> float:
    """Intersection over union, 0 to 1; 0 where both have no area."""
    shared = overlap(first, second)
    union = area(first) + area(second) - shared
    return shared / union if union > 0 else 0.0


def _within(inner: Box, outer: Box) -> bool:
    return outer.x0 < inner.x0 and inner.x1 < outer.x1 and outer.y0 < inner.y0 and inner.y1 < outer.y1
