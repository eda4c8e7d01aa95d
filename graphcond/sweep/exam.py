"""What the scores of one row look at: its data, its model, and pictures that are drawn once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Int64

from graphcond.data.contexts import AnySource
from graphcond.data.dataset import Dataset
from graphcond.errors import InputError
from graphcond.evaluation import Arm, PictureSet, Targets, make_pictures
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.io.fingerprint import fingerprint
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import Recipe
from graphcond.sweep.shared import Shared

BATCH = 40

Rows = Int64[np.ndarray, " n"]


@dataclass(frozen=True)
class Exam:
    """A row as its scores see it.

    Args:
        recipe: of the row.
        data: its dataset.
        shared: networks of this process.
        seed: of targets, noise and intervals.
        examples: number of pictures for the sheet.
        trained: the pipeline of its model; None where no score draws.
    """

    recipe: Recipe
    data: Dataset
    shared: Shared
    seed: int
    examples: int = 0
    trained: GraphPipeline | None = None
    _makers: dict[str, ModelPictures] = field(default_factory=dict, repr=False)
    _drawn: dict[str, PictureSet] = field(default_factory=dict, repr=False)

    @property
    def pipe(self) -> GraphPipeline:
        """The pipeline of the row's model.

        Raises:
            InputError: the row has none.
        """
        if self.trained is None:
            raise InputError("a score draws, and the row has no model", place="scores", remedy="name a model")
        return self.trained

    def rows(self, split: str | None, limit: int | None) -> Rows:
        """Targets, ascending, chosen at random: of a split, or those that nothing was trained or chosen by.

        Raises:
            InputError: there is no such split, or nothing is held out.
        """
        found = self.data.examined(self.recipe.data) if split is None else self.data.evaluated(split)
        if len(found) < 2:
            raise InputError(
                f"expected two held-out targets or more, got {len(found)}",
                place="data",
                remedy="give the data a test split, or name a split in the score",
            )
        return np.sort(np.random.default_rng(self.seed).permutation(found)[:limit])

    def forbidden(self, split: str | None) -> Rows:
        """The rows that are never neighbors: those of the forbidden splits and of the targets' own."""
        own = () if split is None else (split,)
        return self.data.forbidden(*own, *self.recipe.data.forbidden_splits)

    def views(self, split: str | None, *, boxes: bool = True) -> Mapping[str, AnySource]:
        """The data as each condition of the row reads them."""
        data = self.data if boxes else self.data.without_boxes()
        extractors = self.shared.extractors(self.recipe.features)
        return data.views(self.recipe, extractors, forbidden=self.forbidden(split))

    def pictures(
        self,
        targets: Targets,
        arm: Arm,
        settings: DrawSettings,
        *,
        among: Rows,
        split: str | None = None,
        boxes: bool = True,
        draw: int = 0,
    ) -> PictureSet:
        """The pictures of targets in an arm, drawn once however many scores look at them.

        Args:
            targets: the targets.
            arm: the arm.
            settings: how to draw.
            among: all rows that the score draws; graphs are shuffled among them.
            split: their split.
            boxes: whether the model is shown the boxes of scenes.
            draw: number of the draw; each has noise of its own.
        """
        maker = fingerprint(settings, among, split, boxes)
        if maker not in self._makers:
            views = self.views(split, boxes=boxes)
            self._makers[maker] = ModelPictures(self.pipe, views, among, settings, shuffle_seed=self.seed)
        key = fingerprint(maker, targets.rows, arm, draw)
        if key not in self._drawn:
            self._drawn[key] = make_pictures(
                self._makers[maker], targets, arms=[arm], seed=self.seed + draw, batch_size=BATCH
            )[arm]
        return self._drawn[key]


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
