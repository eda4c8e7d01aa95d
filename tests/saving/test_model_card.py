"""The README of a saved model names the base that it was trained over."""

from __future__ import annotations

import pytest

from graphcond.recipe import load_recipe, shipped_recipes
from graphcond.saving.model_card import model_card

FAMILIES = ("stable diffusion", "sdxl")


@pytest.mark.parametrize("name", shipped_recipes())
def test_another_base_leaves_no_trace_of_the_first(name: str) -> None:
    """Whatever replaces the base: the tiny one, or a model of the user's own."""
    tiny = model_card(load_recipe(name, base="tiny"))
    assert "the frozen base `tiny`" in tiny
    assert not [family for family in FAMILIES if family in tiny.replace(name, "").lower()]
    own = model_card(load_recipe(name, overrides=["base.model=me/finetuned"]))
    assert "the frozen base `me/finetuned`" in own
    assert not [family for family in FAMILIES if family in own.replace(name, "").lower()]
