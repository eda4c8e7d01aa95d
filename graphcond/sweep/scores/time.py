"""How long a picture takes, and how many predictions."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.io.fingerprint import fingerprint
from graphcond.sweep.exam import Exam
from graphcond.sweep.scores.base import Figure, Score, Scored
from graphcond.sweep.scores.config import TimeScoreConfig

DEFAULT = TimeScoreConfig.model_construct()


@dataclass(frozen=True, kw_only=True)
class TimeScore(Score):
    """Draws the same targets again and again with their graphs, by the guidance of the row's recipe.

    ``milliseconds``: processor time of a picture, encoders and autoencoder included; on a GPU, wall time. A
    first batch, in which everything is loaded, does not count. ``predictions``: those that the denoiser makes
    for a picture, over all steps.

    Args:
        split: whose targets are drawn.
        pictures: of a batch.
        repeats: batches.
        steps: denoising steps.
    """

    split: str | None = DEFAULT.split
    pictures: int = DEFAULT.pictures
    repeats: int = DEFAULT.repeats
    steps: int = DEFAULT.steps

    def score(self, exam: Exam) -> Scored:
        """The time over the batches, and the predictions over the pictures."""
        rows = exam.rows(self.split, self.pictures)
        settings = DrawSettings(steps=self.steps, resolution=exam.recipe.data.resolution)
        maker = ModelPictures(exam.pipe, exam.views(self.split), rows, settings, shuffle_seed=exam.seed)
        on_gpu = exam.shared.device.type == "cuda"
        clock, spent = time.perf_counter if on_gpu else time.process_time, []
        for _ in range(1 + self.repeats):
            begun = clock()
            maker.make(rows, "graph", exam.seed)
            spent.append(1000 * (clock() - begun) / len(rows))
        named = fingerprint(exam.shared.data_identity(exam.recipe.data), rows)
        values = np.array(spent[1:])
        made = exam.pipe.predictions_made.astype(np.float64)
        return Scored(
            [
                Figure("milliseconds", "", values, len(values), "mean", False, "no network", named),
                Figure("predictions", "", made, len(made), "mean", False, "no network", named),
            ]
        )
