"""Guidance as a weighted sum of branches."""

from __future__ import annotations

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
