"""Guidance as a weighted sum of branches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.guidance import Branch, GraphGuidance, rescaled


@pytest.mark.parametrize(("text", "graphs"), [(float("nan"), ()), (7.5, (1.0, float("inf")))])
def test_scales_are_finite(text: float, graphs: tuple[float, ...]) -> None:
    with pytest.raises(InputError, match="not all finite"):
        GraphGuidance(text=text, graphs=graphs)


scales = st.floats(-3, 12, allow_nan=False).map(lambda x: round(x, 3))


def predictions(branches: list[Branch]) -> list[torch.Tensor]:
    """A different fixed picture for every branch."""
    return [
        torch.randn(
            2,
            4,
            3,
            3,
            generator=torch.Generator().manual_seed(hash((b.text, b.graph)) % 1000),
            dtype=torch.double,
        )
        for b in branches
    ]


def value(text: bool, graph: int | None) -> torch.Tensor:
    return predictions([Branch(text, graph, 1.0)])[0]


@given(scales, st.lists(scales, max_size=4), st.booleans())
def test_the_sum_is_the_papers_formula(text: float, graphs: list[float], batched: bool) -> None:
    guidance = GraphGuidance(text=text, graphs=tuple(graphs), batched=batched)
    got = guidance.predict(0.5, predictions)
    null, textual = value(False, None), value(True, None)
    wanted = null + text * (textual - null)
    for k, scale in enumerate(graphs):
        wanted = wanted + scale * (value(True, k) - textual)
    assert torch.allclose(got, wanted, atol=1e-9)


@given(scales)
def test_joint_is_plain_guidance_over_the_graph_branch(scale: float) -> None:
    guidance = GraphGuidance(text=scale, graphs=(99.0,), mode="joint")
    low, high = value(False, 0), value(True, 0)
    assert torch.allclose(guidance.predict(0.0, predictions), low + scale * (high - low), atol=1e-9)


def test_branches_without_weight_are_not_computed() -> None:
    assert GraphGuidance(text=1.0, graphs=()).branches() == (Branch(True, None, 1.0),)
    assert GraphGuidance(text=7.5, graphs=(0.0,)).branches() == GraphGuidance(text=7.5).branches()
    one_scale = GraphGuidance(text=2.0, graphs=(2.0,)).branches()
    assert [(b.text, b.graph) for b in one_scale] == [(False, None), (True, 0)]
    assert len(GraphGuidance(text=7.5, graphs=(1.5, 3.0)).branches()) == 4
    assert GraphGuidance(text=0.0, graphs=()).branches() == (Branch(False, None, 1.0),)


def test_all_in_one_call_or_one_after_another() -> None:
    for batched, calls in ((True, [4]), (False, [1, 1, 1, 1])):
        seen: list[int] = []

        def call(branches, seen=seen):
            seen.append(len(branches))
            return predictions(branches)

        GraphGuidance(graphs=(1.0, 2.0), batched=batched).predict(0.0, call)
        assert seen == calls


@pytest.mark.parametrize(
    ("fraction", "steers"), [(0.0, False), (0.2, True), (0.59, True), (0.6, False), (1.0, False)]
)
def test_graphs_steer_only_between_start_and_end(fraction: float, steers: bool) -> None:
    guidance = GraphGuidance(graphs=(1.5,), start=0.2, end=0.6)
    assert any(branch.graph == 0 for branch in guidance.at(fraction).branches()) == steers


@pytest.mark.parametrize(("fraction", "acts"), [(0.0, False), (0.25, True), (0.5, True), (0.75, False)])
def test_the_scale_of_the_text_acts_only_in_its_interval(fraction: float, acts: bool) -> None:
    guidance = GraphGuidance(text=2.0, graphs=(1.5,), text_start=0.25, text_end=0.75)
    weights = [branch.weight for branch in guidance.at(fraction).branches()]
    assert weights == ([-1.0, 0.5, 1.5] if acts else [-0.5, 1.5])
    joint = GraphGuidance(text=3.0, graphs=(1.0,), mode="joint", text_end=0.5)
    assert [len(joint.at(part).branches()) for part in (0.0, 0.5)] == [2, 1]
    with pytest.raises(InputError, match=r"text_start 0\.5 and text_end 0\.5 are not an interval"):
        GraphGuidance(text_start=0.5, text_end=0.5)


def test_rescale_goes_to_the_spread_with_text_and_graph() -> None:
    guidance = GraphGuidance(text=7.5, graphs=(1.5,), rescale=1.0)
    branches = guidance.branches()
    assert [(branch.text, branch.graph) for branch in branches] == [(False, None), (True, None), (True, 0)]
    predictions = [torch.randn(2, 4, 8, 8) * size for size in (1.0, 2.0, 3.0)]
    spread = guidance.combine(branches, predictions).std((1, 2, 3))
    assert torch.allclose(spread, predictions[-1].std((1, 2, 3)), rtol=1e-4)


def test_rescale_brings_back_the_spread() -> None:
    guided, conditional = torch.randn(2, 4, 8, 8) * 5, torch.randn(2, 4, 8, 8)
    full = rescaled(guided, conditional, 1.0)
    assert torch.allclose(full.std((1, 2, 3)), conditional.std((1, 2, 3)), rtol=1e-5)
    assert torch.allclose(rescaled(guided, conditional, 0.3), 0.3 * full + 0.7 * guided, atol=1e-6)


@pytest.mark.parametrize(
    "settings",
    [
        {"start": 0.5, "end": 0.5},
        {"start": -0.1},
        {"end": 1.1},
        {"rescale": 2.0},
        {"mode": "joint"},
        {"mode": "joint", "graphs": (1.0, 2.0)},
    ],
)
def test_bad_settings(settings: dict) -> None:
    with pytest.raises(InputError, match="guidance"):
        GraphGuidance(**settings)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    """The sum errs by the last rounding alone, not by that of each term."""
    guidance = GraphGuidance(text=7.5, graphs=(1.5,))
    branches = guidance.branches()
    generator = torch.Generator().manual_seed(0)
    common = torch.randn(1, 4, 32, 32, generator=generator)
    predictions = [
        (common + 0.05 * torch.randn(common.shape, generator=generator)).to(dtype) for _ in branches
    ]
    exact = sum(branch.weight * one.double() for branch, one in zip(branches, predictions, strict=True))
    combined = guidance.combine(branches, predictions)
    assert combined.dtype == dtype
    last_rounding = exact.abs() * torch.finfo(dtype).eps / 2
    assert ((combined.double() - exact).abs() <= last_rounding + 1e-6).all()


@st.composite
def conditioned_scales(draw) -> tuple[tuple[float, ...], tuple[str, ...]]:
    conditions = draw(st.lists(st.sampled_from("abc"), max_size=5))
    return tuple(draw(scales) for _ in conditions), tuple(conditions)


def weights(graphs: tuple[float, ...], conditions: tuple[str, ...]) -> dict[tuple[int, ...], float]:
    return GraphGuidance(graphs=graphs, conditions=conditions).weights()


@given(conditioned_scales())
def test_every_graph_gets_its_scale_and_no_prediction_two_of_one_condition(given_scales) -> None:
    graphs, conditions = given_scales
    found = weights(graphs, conditions)
    for number, scale in enumerate(graphs):
        assert sum(w for shown, w in found.items() if number in shown) == pytest.approx(scale, abs=1e-9)
    for shown in found:
        assert len({conditions[number] for number in shown}) == len(shown)


@given(conditioned_scales())
def test_a_graph_of_scale_zero_is_never_shown_and_as_good_as_not_given(given_scales) -> None:
    graphs, conditions = given_scales
    with_nothing = weights((*graphs, 0.0), (*conditions, "a"))
    assert with_nothing == weights(graphs, conditions)


@given(conditioned_scales(), st.randoms())
def test_the_order_of_graphs_does_not_matter(given_scales, random) -> None:
    graphs, conditions = given_scales
    order = list(range(len(graphs)))
    random.shuffle(order)
    turned = weights(tuple(graphs[n] for n in order), tuple(conditions[n] for n in order))
    renamed = {tuple(sorted(order[n] for n in shown)): weight for shown, weight in turned.items()}
    found = weights(graphs, conditions)
    for shown in found.keys() | renamed.keys():
        assert found.get(shown, 0.0) == pytest.approx(renamed.get(shown, 0.0), abs=1e-9)


def test_graphs_of_several_conditions_are_shown_in_one_prediction() -> None:
    assert weights((1.5, 1.5, 1.5), ("a", "b", "c")) == {(0, 1, 2): 1.5}
    branches = GraphGuidance(text=7.5, graphs=(1.5, 1.5), conditions=("a", "b")).branches()
    assert branches == (Branch(False, None, -6.5), Branch(True, None, 6.0), Branch(True, 0, 1.5, (1,)))
    assert branches[-1].graphs == (0, 1)
    assert weights((1.0, 3.0), ("a", "b")) == {(1,): 2.0, (0, 1): 1.0}
    assert weights((2.0, -1.0), ("a", "b")) == {(0,): 2.0, (1,): -1.0}
    assert weights((1.0, 3.0), ("a", "a")) == {(0,): 1.0, (1,): 3.0}
    two_of_a_beside_b = weights((1.5, 0.5, 2.0), ("a", "a", "b"))
    assert two_of_a_beside_b == {(0, 2): 1.5, (1, 2): 0.5}


def test_joint_guidance_takes_a_graph_of_each_condition() -> None:
    guidance = GraphGuidance(text=3.0, graphs=(9.0, 9.0), conditions=("a", "b"), mode="joint")
    assert guidance.branches() == (Branch(False, 0, -2.0, (1,)), Branch(True, 0, 3.0, (1,)))
    with pytest.raises(InputError, match="one graph of each condition, not 3 of 2"):
        GraphGuidance(graphs=(1.0, 1.0, 1.0), conditions=("a", "b", "a"), mode="joint")


def test_a_constant_prediction_is_not_rescaled() -> None:
    constant, other = torch.full((1, 4, 2, 2), 3.0), torch.randn(1, 4, 2, 2)
    assert torch.equal(rescaled(constant, other, 0.7), constant)
    assert torch.isfinite(rescaled(other, constant, 1.0)).all()


@pytest.mark.parametrize("number", [2, np.float32(2), np.int64(2), np.array(2.0), torch.tensor(2)])
def test_numbers_of_every_library_are_scales(number: object) -> None:
    guidance = GraphGuidance(text=number, graphs=(number,))  # type: ignore[arg-type]
    assert guidance == GraphGuidance(text=2.0, graphs=(2.0,))
    assert type(guidance.text) is float


@pytest.mark.parametrize("wrong", ["1.5", True, None, [1.0], np.array([1.0]), torch.ones(1), 1j, 10**400])
def test_what_is_no_scale(wrong: object) -> None:
    for settings in ({"text": wrong}, {"graphs": (wrong,)}, {"rescale": wrong}, {"start": wrong}):
        with pytest.raises(InputError, match=r"guidance.* expected a number, got .* Give a number"):
            GraphGuidance(**settings)  # type: ignore[arg-type]
