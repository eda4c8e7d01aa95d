"""The swap test: "A left of B" and "B left of A" on the same noise; are both pictures right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool
from PIL import Image

from graphcond.data.dataset import SceneDataset
from graphcond.evaluation import PictureSet, SceneDetector, match_scene
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.io.fingerprint import fingerprint
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.sweep.exam import BATCH, Exam
from graphcond.sweep.scores.base import Figure, Score, Scored
from graphcond.sweep.scores.config import SwapScoreConfig
from graphcond.worlds.scenes import swap_pairs

Pair: TypeAlias = tuple[SceneGraph, SceneGraph]
Pictures: TypeAlias = Sequence[Image.Image]

PROMPT = "an image"
NOTE = (
    "swap test: swap_both asks that both pictures of a pair are right, swap_one takes each alone; "
    "swap_chance and swap_one_chance are the same shares if the objects of each picture were at the places "
    "of another pair's, the floor for a model that draws objects and no places"
)
DEFAULT = SwapScoreConfig.model_construct()


@dataclass(frozen=True, kw_only=True)
class SwapScore(Score):
    """Draws each graph and its swap from the same noise, and looks whether both pictures are right.

    A picture is right that shows both objects in the relation that its graph states.

    ``swap_both``: the share of pairs of which both pictures are right. A model that reads which objects there
    are, but not which is which, draws the same picture twice and gets none right.
    ``swap_one``: the share of pictures that are right, each on its own. One arrangement drawn for both graphs
    may be right for one of them.
    ``swap_objects``: the share of pairs of which both pictures show both objects.
    ``swap_chance``, ``swap_one_chance``: the floor that keeps objects and loses places: the first two shares
    if the objects of each picture were at the places of another pair's. If all objects are there, these are
    about 1/16 and 1/4, for the four directions.

    Args:
        pairs: number of pairs.
        steps: denoising steps.
    """

    pairs: int = DEFAULT.pairs
    steps: int = DEFAULT.steps

    def score(self, exam: Exam) -> Scored:
        """The five shares."""
        pairs = swap_pairs(self.pairs, exam.seed)
        drawn = draw_pairs(exam, pairs, DrawSettings(steps=self.steps))
        detector, named = exam.shared.detector, fingerprint(self.pairs, exam.seed)
        right = pictures_right(detector, pairs, *drawn)
        floor = pictures_right(detector, *elsewhere(pairs, drawn, exam.seed))
        found = {
            "swap_both": right.all(1),
            "swap_chance": floor.all(1),
            "swap_one": right.mean(1),
            "swap_one_chance": floor.mean(1),
            "swap_objects": pictures_right(detector, pairs, *drawn, related=False).all(1),
        }
        figures = [
            Figure(name, "graph", share.astype(float), len(pairs), "mean", True, detector.identity, named)
            for name, share in found.items()
        ]
        return Scored(figures, [NOTE])


def elsewhere(
    pairs: Sequence[Pair], drawn: tuple[Pictures, Pictures], seed: int
) -> tuple[list[Pair], Pictures, Pictures]:
    """Graphs with the objects of one pair and the relation of another, and the pictures of those objects."""
    rng = np.random.default_rng(seed)
    asked: list[list[SceneGraph]] = []
    shown: list[Pictures] = []
    for side, pictures in enumerate(drawn):
        order, donors = rng.permutation(len(pairs)), np.empty(len(pairs), np.int64)
        donors[order] = np.roll(order, 1)  # none is its own
        relations = [own[side].relationships for own in pairs]
        given = [pairs[donor][side] for donor in donors.tolist()]
        asked.append([replace(one, relationships=r) for one, r in zip(given, relations, strict=True)])
        shown.append([pictures[donor] for donor in donors.tolist()])
    return list(zip(*asked, strict=True)), shown[0], shown[1]


def pictures_right(
    detector: SceneDetector, pairs: Sequence[Pair], there: Pictures, back: Pictures, *, related: bool = True
) -> Bool[np.ndarray, "pairs 2"]:
    """True for the pictures of each pair that show their objects and, if ``related``, their relation."""
    sides = []
    for side, pictures in enumerate((there, back)):
        graphs = [pair[side] for pair in pairs]
        seen = PictureSet(pictures).detected(detector, graphs)
        matches = [match_scene(*both) for both in zip(graphs, seen, strict=True)]
        sides.append([match.related if related else None not in match.places for match in matches])
    return np.array(sides, bool).reshape(2, -1).T


def draw_pairs(
    exam: Exam, pairs: Sequence[Pair], settings: DrawSettings
) -> tuple[list[Image.Image], list[Image.Image]]:
    """The pictures of the first graphs, and of the second ones from the same noise."""
    drawn: tuple[list[Image.Image], list[Image.Image]] = ([], [])
    rows = np.arange(len(pairs))
    extractors = exam.shared.extractors(exam.recipe.features)
    for side, pictures in enumerate(drawn):
        graphs, ids = [pair[side] for pair in pairs], [f"swap-{row}" for row in rows]
        scenes = SceneDataset(SceneSet(graphs, ids, [PROMPT] * len(rows), [None] * len(rows)))
        maker = ModelPictures(exam.pipe, scenes.views(exam.recipe, extractors), rows, settings)
        for part in np.array_split(rows, range(BATCH, len(rows), BATCH)):
            pictures += maker.make(part, "graph", exam.seed)
    return drawn
