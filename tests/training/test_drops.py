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


def shares_of(drops: Drops, condition: int = 0) -> dict[str, float]:
    graph = drops.graph[:, condition]
    return {
        "text": (drops.text & ~graph).mean(),
        "graph": (graph & ~drops.text).mean(),
        "both": (drops.text & graph).mean(),
    }


@given(share, share, share)
def test_shares_are_what_the_recipe_says(text: float, graph: float, both: float) -> None:
    grid = (np.arange(10_000) + 0.5) / 10_000
    drops = drops_of(grid[:, None], DropConfig(text=text, graph=graph, both=both))
    assert shares_of(drops) == pytest.approx({"text": text, "graph": graph, "both": both}, abs=2e-4)


def test_drawn_drops_have_these_shares_too() -> None:
    chances = draws_of(0, np.arange(4000), (1, 1, 1)).drop
    drops = drops_of(chances, DropConfig(text=0.1, graph=0.2, both=0.3))
    assert drops.text.mean() == pytest.approx(0.4, abs=0.03)
    assert drops.graph.mean() == pytest.approx(0.5, abs=0.03)


def test_every_condition_is_dropped_by_itself_as_often_as_the_recipe_says() -> None:
    config = DropConfig(text=0.1, graph=0.2, both=0.15)
    drops = drops_of(draws_of(0, np.arange(6000), (1, 1, 1), conditions=3).drop, config)
    for condition in range(3):
        assert shares_of(drops, condition) == pytest.approx(config.model_dump(), abs=0.02)
    kept_text = drops.graph[~drops.text]
    one, other = kept_text[:, 0], kept_text[:, 1]
    assert (one & other).mean() == pytest.approx(one.mean() * other.mean(), abs=0.01)
    assert (one & ~other).any()
    assert (other & ~one).any()


def test_further_conditions_leave_the_other_numbers_as_they_were() -> None:
    one, two = (draws_of(3, np.arange(8), (1, 2, 2), conditions=count) for count in (1, 2))
    assert np.array_equal(one.drop[:, 0], two.drop[:, 0])
    assert np.array_equal(one.mirrored, two.mirrored)
    for name in ("time", "posterior", "noise"):
        assert (getattr(one, name) == getattr(two, name)).all()
    config = DropConfig(text=0.2, graph=0.2, both=0.2)
    assert np.array_equal(drops_of(one.drop, config).text, drops_of(two.drop, config).text)


def test_over_a_frozen_base_only_samples_with_graph_are_computed() -> None:
    one, other = np.array([False, False, True, True]), np.array([False, True, False, True])
    drops = Drops(text=other, graph=one[:, None])
    assert gives_gradient(drops, always=False).tolist() == [True, True, False, False]
    assert gives_gradient(drops, always=True).all()
    two = Drops(text=other, graph=np.stack([one, other], axis=1))
    assert gives_gradient(two, always=False).tolist() == [True, True, True, False]


def test_lora_and_injectors_that_read_nulls_learn_without_graph() -> None:
    from tests.training.parts import LearnedInjector, TokenEncoder

    def condition(null: str) -> Condition:
        encoder = TokenEncoder()
        encoder.token_count = 3
        return Condition("one", encoder, LearnedInjector(), null=null)  # type: ignore[arg-type]

    assert learns_without_graph([], base=True)
    assert not learns_without_graph([condition("absent")], base=False)
    assert learns_without_graph([condition("zeros")], base=False)
