"""What is left out of scene graphs is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from graphcond.bases import Base
from graphcond.data.dataset import SceneDataset
from graphcond.errors import InputError
from graphcond.recipe import load_recipe
from graphcond.worlds import SceneWorld

ROWS = np.arange(30)


@pytest.fixture(scope="module")
def base() -> Base:
    return load_recipe("sgcond-i", base="tiny").base.build(device=torch.device("cpu"))


def notes(recipe_name: str, difficulty: Any, base: Base, **settings: Any) -> list[str]:
    recipe = load_recipe(recipe_name, base="tiny", overrides=settings.items())
    data = SceneDataset(SceneWorld(count=len(ROWS), difficulty=difficulty).scenes())
    sampled = {c.name: c.sampler.build().sample(data.scene_graphs(ROWS), None) for c in recipe.conditions}
    return data.notes_on_limits(recipe, ROWS, sampled.__getitem__, base)


@pytest.mark.parametrize("recipe", ["sgcond-iv", "sgcond-vi", "sgcond-vii"])
def test_nothing_is_cut_from_plain_scenes(recipe: str, base: Base) -> None:
    assert notes(recipe, "plain", base) == []


def test_hard_scenes_beyond_a_samplers_limit(base: Base) -> None:
    key = "conditions.scene.sampler"
    (note,) = notes("sgcond-iv", "hard", base, **{f"{key}.objects": 8})
    assert "scenes have more objects or relations than conditions.scene.sampler keeps" in note
    (note,) = notes("sgcond-iv", "hard", base, **{f"{key}.triples": 5})
    assert note.startswith("27 of 30 scenes have more objects or relations")
    assert notes("sgcond-iv", "hard", base) == []


def test_hard_scenes_beyond_an_encoders_limit(base: Base) -> None:
    few = {"conditions.scene.encoder.triples": 10}
    (note,) = notes("sgcond-vii", "hard", base, **few)
    assert "more triples than the 10 that the encoder reads" in note
    assert "raise conditions.scene.encoder.triples" in note


@pytest.mark.parametrize(("difficulty", "cut"), [("plain", "1 of 30 prompts"), ("hard", "27 of 30 prompts")])
def test_sentences_that_are_cut(difficulty: str, cut: str, base: Base) -> None:
    for recipe in ("sgcond-i", "sgcond-ii"):
        (note,) = notes(recipe, difficulty, base)
        assert note.startswith("the sentences of scenes (conditions.scene): ")
        assert f"{cut} are longer than the" in note


def test_paintings_are_not_hard() -> None:
    with pytest.raises(InputError, match="difficulty: the world 'art' has none"):
        load_recipe("instructg2i", base="tiny", overrides=["data.difficulty=hard"])
