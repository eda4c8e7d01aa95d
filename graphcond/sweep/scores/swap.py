"""The swap test: "A left of B" and "B left of A" on the same noise; are both pictures right?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool
from PIL import Image

from graphcond.data.dataset import SceneDataset
from graphcond.evaluation import PictureSet, SceneDetector, match_scene
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.evaluation.targets import targets_of
from graphcond.io.fingerprint import fingerprint
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.sweep.config import SwapScoreConfig
from graphcond.sweep.exam import BATCH, Exam
from graphcond.sweep.scores.base import Figure, Score, Scored
from graphcond.worlds.scenes import swap_pairs

Pair: TypeAlias = tuple[SceneGraph, SceneGraph]
Pictures: TypeAlias = Sequence[Image.Image]

PROMPT = "an image"
DEFAULT = SwapScoreConfig.model_construct()


class SwapScore(Score):
    """Draws each graph and its swap from the same noise, and looks whether both pictures are right.

    ``swap_both``: both pictures show both objects in the relation that their graph states.
    ``swap_objects``: both pictures show both objects.
    ``swap_chance``: the value of ``swap_both`` if the two pictures of a pair are drawn without a graph, from
    different noise. A model that reads which objects there are, but not which is which, draws the same
    picture twice and gets none right.

    Args:
        pairs: number of pairs.
        steps: denoising steps.
        limit: held-out scenes that are drawn without graph.
    """

    def __init__(
        self, *, pairs: int = DEFAULT.pairs, steps: int = DEFAULT.steps, limit: int = DEFAULT.limit
    ) -> None:
        self.pairs, self.steps, self.limit = pairs, steps, limit

    def score(self, exam: Exam) -> Scored:
        """The three shares of pairs."""
        settings = DrawSettings(steps=self.steps, resolution=exam.recipe.data.resolution)
        pairs = swap_pairs(self.pairs, exam.seed)
        targets = targets_of(exam.data, exam.rows(None, self.limit), exam.recipe.data.resolution)
        free = exam.pictures(targets, "no_graph", settings, among=targets.rows, boxes=False).pictures
        drawn = draw_pairs(exam, pairs, settings)
        chance = [[free[(place + side) % len(free)] for place in range(len(pairs))] for side in (0, 1)]
        detector, named = exam.shared.detector, fingerprint(self.pairs, exam.seed)
        found = {
            "swap_both": pairs_right(detector, pairs, *drawn),
            "swap_objects": pairs_right(detector, pairs, *drawn, related=False),
            "swap_chance": pairs_right(detector, pairs, *chance),
        }
        return Scored(
            [
                Figure(
                    name,
                    "graph",
                    right.astype(np.float64),
                    len(pairs),
                    "mean",
                    True,
                    detector.identity,
                    named,
                )
                for name, right in found.items()
            ],
            ["swap_chance pairs pictures without graph from different noise"],
        )


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
