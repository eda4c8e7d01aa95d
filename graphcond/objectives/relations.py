"""Geometric words of scene graphs as conditions on boxes that gradients can follow."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from graphcond.context import SceneContext
from graphcond.encoders.scene_graphs import picked

Rule: TypeAlias = Literal["left of", "above", "inside", "bigger than"]
"""Relations that all others come down to, read from one end or the other."""

RULES: tuple[Rule, ...] = ("left of", "above", "inside", "bigger than")

_WORDS: dict[Rule, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "left of": (
        ("left of", "to the left of", "on the left of", "on left of"),
        ("right of", "to the right of", "on the right of", "on right of"),
    ),
    "above": (
        ("above", "over", "on top of", "atop", "higher than"),
        ("below", "under", "beneath", "underneath", "lower than"),
    ),
    "inside": (
        ("inside", "inside of", "within", "contained in"),
        ("surrounding", "around", "containing", "enclosing"),
    ),
    "bigger than": (("bigger than", "larger than"), ("smaller than",)),
}

WORDS: dict[str, tuple[Rule, bool]] = {
    word: (rule, words is turned)
    for rule, (straight, turned) in _WORDS.items()
    for words in (straight, turned)
    for word in words
}
"""Each geometric predicate, its rule, and whether the rule is read from the object to the subject."""

LEAST_GAP = 0.02
"""By how much of the picture a direction or a containment must hold before it costs nothing."""

SLOPE = 1.3
"""Least ratio of the distance of two objects along a direction to that across it (1 is the diagonal)."""

LEAST_RATIO = 1.4
"""Least ratio of the lengths (roots of areas) of a bigger object and a smaller one."""


def stated(scenes: SceneContext, device: torch.device) -> Int64[Tensor, "r 4"]:
    """The geometric relations of a batch: scene, first node, second node, number of the rule in `RULES`.

    Relations of a node to itself say nothing and are left out, as are all words not in `WORDS`.
    """
    rows = []
    for place, scene in enumerate(scenes.scenes):
        for subject, word, target in scene.triples:
            found = WORDS.get(word.lower().strip())
            if found is None or subject == target:
                continue
            rule, turned = found
            ends = (target, subject) if turned else (subject, target)
            rows.append((place, *ends, RULES.index(rule)))
    return torch.tensor(rows, dtype=torch.int64, device=device).reshape(-1, 4)


def pairs_of(
    boxes: Float[Tensor, "b n 4"],
    scene: Int64[Tensor, " r"],
    first: Int64[Tensor, " r"],
    second: Int64[Tensor, " r"],
) -> tuple[Float[Tensor, "r 4"], Float[Tensor, "r 4"]]:
    """The boxes of the first and of the second node of each pair."""
    one, other = (picked(boxes.flatten(0, 1), scene * boxes.shape[1] + node) for node in (first, second))
    return one, other


def shortfall(boxes: Float[Tensor, "b n 4"], relations: Int64[Tensor, "r 4"]) -> Float[Tensor, " r"]:
    """By how much each relation is missed, in shares of the picture's side; 0 where it clearly holds."""
    scene, first, second, rule = relations.unbind(1)
    one, other = pairs_of(boxes, scene, first, second)
    x, y = ((other[:, :2] + other[:, 2:] - one[:, :2] - one[:, 2:]) / 2).unbind(1)
    edges = torch.cat([other[:, :2] - one[:, :2], one[:, 2:] - other[:, 2:]], dim=1)
    hinges = [  # of each rule, in the order of `RULES`
        (LEAST_GAP + SLOPE * y.abs() - x).relu(),
        (LEAST_GAP + SLOPE * x.abs() - y).relu(),
        (LEAST_GAP + edges).relu().sum(1),
        (LEAST_RATIO * side(other) - side(one)).relu(),
    ]
    return torch.stack(hinges, dim=1).gather(1, rule[:, None])[:, 0]


def side(boxes: Float[Tensor, "*b 4"]) -> Float[Tensor, "*b"]:
    """The side of a square of the same area."""
    size = (boxes[..., 2:] - boxes[..., :2]).clamp(min=0)
    return (size.prod(-1) + 1e-6).sqrt()
