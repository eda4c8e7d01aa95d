"""The swap test: "A left of B" and "B left of A" on the same noise; are both pictures right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
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
DEFAULT = SwapScoreConfig.model_construct()


class SwapScore(Score):
    """Draws each graph and its swap from the same noise, and looks whether both pictures are right.

    ``swap_both``: both pictures show both objects in the relation that their graph states.
    ``swap_objects``: both pictures show both objects.
    ``swap_chance``: the value of ``swap_both`` if the objects of each picture were at the places of another
    pair's. A model that reads which objects there are, but not which is which, draws the same picture twice
    and gets none right.

    Args:
        pairs: number of pairs.
        steps: denoising steps.
    """

    def __init__(self, *, pairs: int = DEFAULT.pairs, steps: int = DEFAULT.steps) -> None:
        self.pairs, self.steps = pairs, steps

    def score(self, exam: Exam) -> Scored:
        """The three shares of pairs."""
        pairs = swap_pairs(self.pairs, exam.seed)
        drawn = draw_pairs(exam, pairs, DrawSettings(steps=self.steps))
        detector, named = exam.shared.detector, fingerprint(self.pairs, exam.seed)
        found = {
            "swap_both": pairs_right(detector, pairs, *drawn),
            "swap_objects": pairs_right(detector, pairs, *drawn, related=False),
            "swap_chance": pairs_right(detector, *elsewhere(pairs, drawn, exam.seed)),
        }
        figures = [
            Figure(name, "graph", right.astype(float), len(pairs), "mean", True, detector.identity, named)
            for name, right in found.items()
        ]
        return Scored(figures, ["swap_chance: the same objects, at the places of other pairs"])


def elsewhere(
    pairs: Sequence[Pair], drawn: tuple[Pictures, Pictures], seed: int
) -> tuple[list[Pair], Pictures, Pictures]:
    """Graphs with the objects of one pair and the relation of another, and the pictures of those objects."""
    rng = np.random.default_rng(seed)
    asked: list[list[SceneGraph]] = []
    shown: list[Pictures] = []
    for side, pictures in enumerate(drawn):
        order = rng.permutation(len(pairs))
        donors = dict(zip(order.tolist(), np.roll(order, 1).tolist(), strict=True))  # none is its own
        asked.append(
            [
                replace(pairs[donors[place]][side], relationships=own[side].relationships)
                for place, own in enumerate(pairs)
            ]
        )
        shown.append([pictures[donors[place]] for place in range(len(pairs))])
    return list(zip(*asked, strict=True)), shown[0], shown[1]


def pairs_right(
    detector: SceneDetector, pairs: Sequence[Pair], there: Pictures, back: Pictures, *, related: bool = True
) -> Bool[np.ndarray, " pairs"]:
    """True where both pictures of a pair show their objects and, if ``related``, their relation."""
    right = np.ones(len(pairs), bool)
    for side, pictures in enumerate((there, back)):
        graphs = [pair[side] for pair in pairs]
        seen = PictureSet(pictures).detected(detector, graphs)
        matches = [match_scene(*both) for both in zip(graphs, seen, strict=True)]
        right &= [match.related if related else None not in match.places for match in matches]
    return right


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
        for start in range(0, len(rows), BATCH):
            pictures += maker.make(rows[start : start + BATCH], "graph", exam.seed)
    return drawn
