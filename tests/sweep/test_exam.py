"""What the scores of a sweep draw from."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from graphcond.data.dataset import SceneDataset
from graphcond.recipe import load_recipe
from graphcond.sweep.exam import Exam, Shared
from graphcond.worlds import SceneWorld


def test_targets_are_of_the_test_split_and_validation_is_not() -> None:
    settings: dict[str, Any] = {"data.scenes": 60}
    recipe = load_recipe("sgcond-i", base="tiny", overrides=settings.items())
    data = SceneDataset(SceneWorld(count=60, validation=9).scenes())
    exam = Exam(recipe=recipe, data=data, shared=Shared(torch.device("cpu")), seed=0)
    tested = data.columns.in_split("test")
    assert exam.rows(None, None).tolist() == tested.tolist()
    assert set(exam.rows(None, 5).tolist()) < set(tested.tolist())
    assert not np.intersect1d(exam.rows(None, None), data.held_out(recipe.data)).size
    assert exam.rows("val", None).tolist() == data.held_out(recipe.data).tolist() == list(range(60, 69))
