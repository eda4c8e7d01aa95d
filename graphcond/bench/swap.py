"""The swap test: "A left of B" and "B left of A" on the same noise; are both pictures right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool
from PIL import Image

from graphcond.data.dataset import SceneDataset
from graphcond.errors import InputError
from graphcond.evaluation import Measurement, PictureSet, SceneDetector, match_scene
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.intervals import bootstrap_interval
from graphcond.pipeline import GraphPipeline
from graphcond.progress import Progress
from graphcond.scene_graph import SceneGraph, SceneSet

Pair: TypeAlias = tuple[SceneGraph, SceneGraph]
Pictures: TypeAlias = Sequence[Image.Image]

BATCH = 40
PROMPT = "an image"


@dataclass(frozen=True)
class SwapResult:
    """Shares of pairs, each with its interval.

    Args:
        both: both pictures show both objects in the relation that their graph states.
        objects: both pictures show both objects.
        chance: the value of ``both`` if the objects of each picture were at the places of another pair's. A
            model that reads which objects there are, but not which is which, draws the same picture twice and
            gets none right.
    """

    both: Measurement
    objects: Measurement
    chance: Measurement


def swap_test(
    pipe: GraphPipeline,
    detector: SceneDetector,
    pairs: Sequence[Pair],
    *,
    settings: DrawSettings | None = None,
    seed: int = 0,
    progress: Progress = lambda done, total: None,
) -> SwapResult:
    """Draw each graph and its swap from the same noise, and measure whether both pictures are right.

    Args:
        pipe: a model that reads scene graphs.
        detector: finds the scene graph of a picture.
        pairs: graphs of two objects and their swaps; two pairs at least.
        settings: how to draw.
        seed: of the noise and the intervals.
        progress: called after each batch of pictures.

    Raises:
        InputError: fewer than two pairs.
    """
    if len(pairs) < 2:
        raise InputError(f"expected two pairs, got {len(pairs)}", place="swap test", remedy="give more")
    drawn = _draw(pipe, pairs, settings or DrawSettings(), seed, progress)
    return SwapResult(
        both=_share("swap_both", pairs_right(detector, pairs, *drawn), seed),
        objects=_share("swap_objects", pairs_right(detector, pairs, *drawn, related=False), seed),
        chance=_share("swap_chance", pairs_right(detector, *_elsewhere(pairs, drawn, seed)), seed),
    )


def _elsewhere(
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


def _draw(
    pipe: GraphPipeline, pairs: Sequence[Pair], settings: DrawSettings, seed: int, progress: Progress
) -> tuple[list[Image.Image], list[Image.Image]]:
    drawn: tuple[list[Image.Image], list[Image.Image]] = ([], [])
    rows = np.arange(len(pairs))
    for side, pictures in enumerate(drawn):
        graphs, ids = [pair[side] for pair in pairs], [f"swap-{row}" for row in rows]
        scenes = SceneDataset(SceneSet(graphs, ids, [PROMPT] * len(rows), [None] * len(rows)))
        maker = ModelPictures(pipe, scenes.views(pipe.model.recipe, pipe.model.extractors), rows, settings)
        for start in range(0, len(rows), BATCH):
            pictures += maker.make(rows[start : start + BATCH], "graph", seed)
            progress(side * len(rows) + len(pictures), 2 * len(rows))
    return drawn


def _share(name: str, right: Bool[np.ndarray, " n"], seed: int) -> Measurement:
    scores = right.astype(np.float64)
    return Measurement(name, float(scores.mean()), *bootstrap_interval(scores, seed=seed), n=len(scores))
