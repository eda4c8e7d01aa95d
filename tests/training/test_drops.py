from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.condition import Condition
from graphcond.recipe.sections import DropConfig
from graphcond.training.objective import Drops, drops_of, gives_gradient, learns_without_graph
from graphcond.training.randomness import draws_of

share = st.floats(0, 0.33)


@given(share, share, share)
def test_shares_are_what_the_recipe_says(text: float, graph: float, both: float) -> None:
    grid = (np.arange(10_000) + 0.5) / 10_000
    drops = drops_of(grid, DropConfig(text=text, graph=graph, both=both))
    shares = {
        "text": (drops.text & ~drops.graph).mean(),
        "graph": (drops.graph & ~drops.text).mean(),
        "both": (drops.text & drops.graph).mean(),
    }
    assert shares == pytest.approx({"text": text, "graph": graph, "both": both}, abs=2e-4)


def test_drawn_drops_have_these_shares_too() -> None:
    chances = draws_of(0, np.arange(4000), (1, 1, 1)).drop
    drops = drops_of(chances, DropConfig(text=0.1, graph=0.2, both=0.3))
    assert drops.text.mean() == pytest.approx(0.4, abs=0.03)
    assert drops.graph.mean() == pytest.approx(0.5, abs=0.03)


def test_over_a_frozen_base_only_samples_with_graph_are_computed() -> None:
    drops = Drops(text=np.array([False, True, False, True]), graph=np.array([False, False, True, True]))
    assert gives_gradient(drops, always=False).tolist() == [True, True, False, False]
    assert gives_gradient(drops, always=True).all()


def test_lora_and_injectors_that_read_nulls_learn_without_graph() -> None:
    from tests.training.parts import LearnedInjector, TokenEncoder

    def condition(null: str) -> Condition:
        return Condition("one", TokenEncoder(), LearnedInjector(), null=null)  # type: ignore[arg-type]

    assert learns_without_graph([], lora=True)
    assert not learns_without_graph([condition("absent")], lora=False)
    assert learns_without_graph([condition("zeros")], lora=False)
