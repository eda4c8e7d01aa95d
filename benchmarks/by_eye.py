"""The scene world's oracle against labels by eye: 50 generated pictures, what one person sees, what it finds.

The tiny base drew the pictures from sentences and lists (recipe sgcond-i), in varied quality. They were
labelled before anybody looked at the oracle's answers. A line of `labels.txt` is a picture, row by row of
`pictures.png`; `|` stands between two answers that both are right, and `?` for a shape that is none of the
world.

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
    for number, name in enumerate(names):
        shares = 100 * bootstrap_ratios(counts[:, number], seed=0)
        low, high = percentile_interval(shares[1:])
        right, of = counts[:, number].sum(0).astype(int).tolist()
        print(
            f"{name}: {right} of {of}, {shares[0]:.0f} % [{low:.0f}, {high:.0f}], n = {len(counts)} pictures"
        )


if __name__ == "__main__":
    main()
