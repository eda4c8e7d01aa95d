"""Stages: their settings, and what does not fit a recipe's conditions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from graphcond.encoders import ENCODERS
from graphcond.recipe.stages import StageConfig, check_stages

CONDITIONS = [
    SimpleNamespace(name="scene", encoder=ENCODERS["layout"]()),
    SimpleNamespace(name="triples", encoder=ENCODERS["triple_transformer"]()),
    SimpleNamespace(name="neighbors", encoder=ENCODERS["neighbor_mean"]()),
]


def stage(**settings: Any) -> StageConfig:
    values = {"name": "layout", "condition": "scene", "objective": {"kind": "layout"}}
    return StageConfig(**values | settings)


def test_what_fits() -> None:
    contrast = stage(
        name="contrast", condition="triples", objective={"kind": "triple_contrast"}, then="freeze"
    )
    check_stages([stage(), contrast], CONDITIONS)
    check_stages([], CONDITIONS)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([stage(), stage()], r"stages\.1\.name: 'layout' is taken"),
        ([stage(condition="sene")], r"stages\.0\.condition: there is no 'sene'; known are scene, triples"),
        (
            [stage(condition="neighbors")],
            r"'layout' cannot train the encoder 'neighbor_mean', which has no predicted_boxes\(\)",
        ),
        (
            [stage(objective={"kind": "triple_contrast"})],
            r"stages\.0\.objective: 'triple_contrast' cannot train the encoder 'layout'",
        ),
    ],
)
def test_what_does_not_fit(stages: list[StageConfig], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_stages(stages, CONDITIONS)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "A stage"},
        {"steps": 0},
        {"then": "forget"},
        {"objective": {"kind": "gan"}},
        {"objective": {"kind": "layout", "relations": 1}},
        {"epochs": 3},
    ],
)
def test_bad_settings(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        stage(**wrong)


def test_it_speaks_the_trainers_words() -> None:
    training = stage(steps=7, learning_rate=0.5, warmup=3, schedule="linear", seed=4).as_training()
    assert (training.steps, training.learning_rate, training.warmup) == (7, 0.5, 3)
    assert (training.schedule, training.seed, training.weight_decay) == ("linear", 4, 0.0)


def test_it_survives_a_recipe_file() -> None:
    given = stage(data={"kind": "world", "world": "scenes"})
    assert StageConfig.model_validate(given.model_dump(mode="json")) == given
