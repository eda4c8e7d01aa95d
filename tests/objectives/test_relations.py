"""Geometric words on boxes: what holds costs nothing, what costs nothing holds."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.objectives.relations import RULES, WORDS, shortfall, stated
from graphcond.scene_graph import SPATIAL_PREDICATES, Box, SceneGraph, holds
from tests.scene_batches import context_of

CPU = torch.device("cpu")


def missed(word: str, subject: tuple[float, ...], target: tuple[float, ...]) -> float:
    relations = stated(context_of([SceneGraph(("a", "b"), ((0, word, 1),))]), CPU)
    return float(shortfall(torch.tensor([[subject, target]]), relations))


LEFT, RIGHT = (0.1, 0.4, 0.3, 0.6), (0.6, 0.4, 0.9, 0.7)
TOP, BOTTOM = (0.4, 0.0, 0.6, 0.2), (0.4, 0.7, 0.6, 0.9)
INNER, OUTER = (0.4, 0.4, 0.6, 0.6), (0.1, 0.1, 0.9, 0.9)


@pytest.mark.parametrize(
    ("word", "subject", "target"),
    [
        ("left of", LEFT, RIGHT),
        ("to the right of", RIGHT, LEFT),
        ("above", TOP, BOTTOM),
        ("on top of", TOP, BOTTOM),
        ("under", BOTTOM, TOP),
        ("Beneath", BOTTOM, TOP),
        ("inside", INNER, OUTER),
        ("surrounding", OUTER, INNER),
        ("bigger than", OUTER, INNER),
        ("smaller than", INNER, OUTER),
    ],
)
def test_a_relation_costs_only_where_it_is_missed(word: str, subject, target) -> None:
    assert missed(word, subject, target) == 0
    assert missed(word, target, subject) > 0.1


boxes = st.builds(
    lambda x, y, w, h: Box(x, y, x + w, y + h),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0.05, 0.5),
    st.floats(0.05, 0.5),
)


@settings(max_examples=200, deadline=None)
@given(subject=boxes, target=boxes, word=st.sampled_from(SPATIAL_PREDICATES))
def test_without_cost_the_spatial_rule_agrees(subject: Box, target: Box, word: str) -> None:
    """`spatial.holds` judges pictures; nested boxes have no direction there, which overlap prevents here."""
    if missed(word, subject, target) == 0:
        nested = any(holds(name, subject, target) for name in ("inside", "surrounding"))
        assert holds(word, subject, target) or nested


def test_other_words_and_relations_to_itself_say_nothing() -> None:
    graph = SceneGraph(("a", "b"), ((0, "holding", 1), (0, "left of", 0)), (("red",), ()))
    assert stated(context_of([graph]), CPU).shape == (0, 4)


def test_scenes_are_told_apart() -> None:
    graphs = [SceneGraph(("a",)), SceneGraph(("a", "b", "c"), ((2, "below", 0),))]
    assert stated(context_of(graphs), CPU).tolist() == [[1, 0, 2, RULES.index("above")]]


def test_every_spatial_predicate_is_a_word() -> None:
    assert set(SPATIAL_PREDICATES) <= set(WORDS)


def test_gradients_lead_to_boxes_that_keep_the_relation() -> None:
    start = torch.tensor([[0.6, 0.4, 0.8, 0.6], LEFT])
    places = start[None].requires_grad_()
    relations = stated(context_of([SceneGraph(("a", "b"), ((0, "left of", 1),))]), CPU)
    for _ in range(60):
        (slope,) = torch.autograd.grad(shortfall(places, relations).sum(), places)
        places = (places - 0.02 * slope).detach().requires_grad_()
    assert holds("left of", Box(*places[0, 0].tolist()), Box(*places[0, 1].tolist()))
