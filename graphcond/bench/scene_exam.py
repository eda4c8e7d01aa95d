"""The test of every scene experiment: graphs and swaps that none was trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from graphcond.bench.swap import Pair
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.evaluation import PictureSet, SceneDetector, Targets
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.evaluation.targets import targets_of
from graphcond.progress import Watch, silent
from graphcond.recipe import Recipe
from graphcond.scene_graph import SceneSet
from graphcond.worlds.scenes import swap_pairs


@dataclass(frozen=True)
class SceneExamples:
    """The first graphs of the comparison with their pictures.

    Args:
        targets: the graphs with their true pictures.
        made: the pictures of each experiment.
        detector: judges which picture is right.
    """

    targets: Targets
    made: Mapping[str, Sequence[Image.Image]]
    detector: SceneDetector


@dataclass(frozen=True)
class SceneExam:
    """The test of every experiment: graphs and pairs that none was trained on.

    Args:
        scenes: the scene world.
        targets: held-out graphs with their true pictures.
        pairs: of the swap test.
        detector: reads scene graphs off pictures.
        seed: of the noise, of who gets whose graph, and of the intervals.
    """

    scenes: SceneSet
    targets: Targets
    pairs: Sequence[Pair]
    detector: SceneDetector
    seed: int


def open_exam(
    recipe: Recipe,
    *,
    limit: int = 120,
    pairs: int = 100,
    seed: int = 0,
    detector: SceneDetector | None = None,
    watch: Watch = silent,
) -> SceneExam:
    """The held-out graphs of a recipe's data, and pairs for the swap test.

    Args:
        recipe: names the data.
        limit: held-out graphs, at most.
        pairs: of the swap test.
        seed: chooses graphs and pairs.
        detector: reads scene graphs off pictures; the scene world's oracle unless given.
        watch: progress, by task.

    Raises:
        InputError: the recipe reads no scene graphs, or none is held out.
    """
    data = open_data(recipe.data, progress=watch("drawing the world"))
    rows = data.held_out(recipe.data)
    if len(rows) < 2:
        raise InputError("fewer than two scenes are held out", place="data", remedy="add a test split")
    rows = np.sort(np.random.default_rng(seed).permutation(rows)[:limit])
    return SceneExam(
        scenes=data.scenes,
        targets=targets_of(data, rows, recipe.data.resolution),
        pairs=swap_pairs(pairs, seed),
        detector=detector or OracleDetector.load(),
        seed=seed,
    )


def first_targets(targets: Targets, count: int) -> Targets:
    """The first ``count`` targets."""
    return replace(
        targets,
        rows=targets.rows[:count],
        truths=PictureSet(targets.truths.pictures[:count]),
        texts=targets.texts[:count],
        facts={name: column[:count] for name, column in targets.facts.items()},
        scenes=targets.scenes[:count],
    )
