"""The scene world's oracle against labels by eye: 90 generated pictures, what one sees, what it finds.

The tiny base drew the first 50 from sentences and lists (recipe sgcond-i), in varied quality, and the others
with the places of sgcond-iii, sgcond-iv and sgcond-vi. They were labelled before the oracle's answers were
looked at. A line of `labels.txt` is a picture, row by row of `pictures.png`; `|` stands between two answers
that both are right, and `?` for a shape that is none of the world.

    python benchmarks/by_eye.py
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from PIL import Image
from scipy.optimize import linear_sum_assignment

from graphcond.evaluation.scene_world import OracleDetector
from graphcond.intervals import bootstrap_ratios, percentile_interval
from graphcond.io.pictures import open_picture
from graphcond.scene_graph import SceneGraph

FOLDER, SIDE, COLUMNS = Path(__file__).with_suffix(""), 64, 10
GROUPS = {"from sentences and lists": slice(50), "with places": slice(50, None)}


class Seen(NamedTuple):
    """An object as the eye sees it: the colours and the shapes that both would be right; "?" is no shape."""

    colors: frozenset[str]
    shapes: frozenset[str]


def labels() -> list[list[Seen]]:
    """What is seen in each picture."""
    lines = (FOLDER / "labels.txt").read_text(encoding="utf-8").splitlines()
    return [
        [Seen(*(frozenset(word.split("|")) for word in one.split())) for one in line.split(",")]
        for line in lines
    ]


def pictures() -> list[Image.Image]:
    """The labelled pictures."""
    sheet = open_picture(FOLDER / "pictures.png")
    corners = [(x, y) for y in range(0, sheet.height, SIDE) for x in range(0, COLUMNS * SIDE, SIDE)]
    return [sheet.crop((x, y, x + SIDE, y + SIDE)) for x, y in corners]


def agreement(seen: list[Seen], found: SceneGraph) -> Float64[np.ndarray, "3 2"]:
    """Of one picture: seen objects found, their colours found, found objects that are seen; of how many each.

    Each found object is given to one seen object of its shape, and those of its colour first. What is no
    shape for the eye neither counts as missed, nor does an object count as too many that is found for it.
    """
    sure = [one for one in seen if "?" not in one.shapes]
    worth = np.array(
        [
            [(label in one.shapes) * (2 + (color in one.colors)) for one in sure]
            for label, (color,) in zip(found.objects, found.attributes, strict=True)
        ]
    ).reshape(len(found), len(sure))
    pairs = [
        (place, number)
        for place, number in zip(*linear_sum_assignment(-worth), strict=True)
        if worth[place, number]
    ]
    colored = sum(worth[pair] == 3 for pair in pairs)
    explained = min(len(found), len(pairs) + len(seen) - len(sure))
    return np.array([[len(pairs), len(sure)], [colored, len(pairs)], [explained, len(found)]], np.float64)


def measured() -> Float64[np.ndarray, "n 3 2"]:
    """The agreement in each picture."""
    drawn, told = pictures(), labels()
    found = OracleDetector.load().detect(drawn, [SceneGraph(())] * len(drawn))
    return np.stack([agreement(*both) for both in zip(told, found, strict=True)])


def main() -> None:
    """Print each agreement with its interval over pictures."""
    counts = measured()
    names = (
        "seen objects that the oracle finds",
        "of these, colours that agree",
        "found objects that are seen",
    )
    for group, rows in GROUPS.items():
        print(f"{group}, n = {len(counts[rows])} pictures")
        for name, one in zip(names, counts[rows].transpose(1, 0, 2), strict=True):
            shares = 100 * bootstrap_ratios(one, seed=0)
            low, high = percentile_interval(shares[1:])
            right, of = one.sum(0).astype(int).tolist()
            print(f"{name}: {right} of {of}, {shares[0]:.0f} % [{low:.0f}, {high:.0f}]")


if __name__ == "__main__":
    main()
