"""Predictions of branches that are used again, or left out, over the steps of a drawing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphcond.errors import InputError
from graphcond.guidance import Branch, BranchPredictions, GraphGuidance

PICTURES = 3


class Denoiser:
    """Answers every branch in every step with other numbers, and notes which ones it was asked for."""

    def __init__(self, share: Any = lambda step: 1.0) -> None:
        self.step, self.share, self.asked = 0, share, list[list[Branch]]()

    def __call__(self, branches: Sequence[Branch]) -> list[Tensor]:
        self.asked.append(list(branches))
        return [self.answer(one)[slice(None) if one.rows is None else list(one.rows)] for one in branches]

    def answer(self, branch: Branch) -> Tensor:
        """A prediction common to all branches, and the branch's own difference, by the picture's share."""
        common = self.noise(7)
        shares = torch.tensor([float(self.share(self.step) ** picture) for picture in range(PICTURES)])
        return common + shares.view(-1, 1, 1, 1) * self.noise(
            100 * branch.text + 10 * len(branch.graphs) + sum(branch.graphs)
        )

    def noise(self, seed: int) -> Tensor:
        return torch.randn(
            PICTURES, 2, 3, 3, generator=torch.Generator().manual_seed(1000 * self.step + seed)
        )


def drawn(guidance: GraphGuidance, denoiser: Denoiser, steps: int) -> tuple[list[Tensor], np.ndarray]:
    predictions, found = guidance.over_steps(), []
    for denoiser.step in range(steps):
        found.append(guidance.predict(denoiser.step / steps, denoiser, predictions))
    return found, predictions.made


def every_step(guidance: GraphGuidance, denoiser: Denoiser, steps: int) -> list[Tensor]:
    found = []
    for denoiser.step in range(steps):
        found.append(guidance.predict(denoiser.step / steps, denoiser))
    return found


@pytest.mark.parametrize(("scales", "rows"), [((2.0, 3.0), 3), ((2.0, 2.0), 2), ((1.0, 1.0), 1)])
def test_turned_off_it_is_the_sum_and_counts_its_predictions(scales: tuple[float, float], rows: int) -> None:
    """s_G = s_T needs two predictions in place of three, a third less."""
    guidance = GraphGuidance(text=scales[0], graphs=scales[1:])
    found, made = drawn(guidance, Denoiser(), 4)
    assert all(map(torch.equal, found, every_step(guidance, Denoiser(), 4)))
    assert made.tolist() == [4 * rows] * PICTURES


@pytest.mark.parametrize("batched", [True, False])
def test_differences_are_measured_in_every_third_step(batched: bool) -> None:
    guidance = GraphGuidance(text=2.0, graphs=(3.0,), reuse=3, batched=batched)
    denoiser = Denoiser()
    found, made = drawn(guidance, denoiser, 7)
    exact = every_step(guidance, Denoiser(), 7)
    assert [torch.equal(one, other) for one, other in zip(found, exact, strict=True)] == [
        step % 3 == 0 for step in range(7)
    ]
    assert made.tolist() == [3 * 3 + 4] * PICTURES
    # By hand: the sum of weights is 1, so the last differences are added to the new prediction.
    denoiser.step = 3
    empty, text, graph = (denoiser.answer(one) for one in guidance.branches())
    shift = -1.0 * (empty - graph) - 1.0 * (text - graph)
    for denoiser.step in (4, 5):
        expected = denoiser.answer(Branch(True, 0, 3.0)) + shift
        assert torch.allclose(found[denoiser.step], expected, atol=1e-5)


@given(st.integers(1, 5), st.floats(0, 1), st.lists(st.sampled_from([0.0, 1.5, 2.0]), max_size=3))
def test_denoisers_whose_differences_are_constant_lose_nothing(
    reuse: int, text: float, graphs: list[float]
) -> None:
    class Constant(Denoiser):
        def answer(self, branch: Branch) -> Tensor:
            steps = self.noise(7)
            self.step, now = 0, self.step
            own = self.noise(100 * branch.text + 10 * len(branch.graphs) + sum(branch.graphs))
            self.step = now
            return steps + own

    settings: dict[str, Any] = {"text": 1 + text, "graphs": tuple(graphs), "rescale": 0.3}
    found, _ = drawn(GraphGuidance(**settings, reuse=reuse), Constant(), 4)
    exact = every_step(GraphGuidance(**settings), Constant(), 4)
    assert all(torch.allclose(one, other, atol=1e-4) for one, other in zip(found, exact, strict=True))


def test_an_interval_that_begins_is_measured_at_once() -> None:
    denoiser = Denoiser()
    guidance = GraphGuidance(text=2.0, graphs=(3.0,), start=0.5, reuse=4)
    found, made = drawn(guidance, denoiser, 6)
    assert made.tolist() == [2 + 1 + 1 + 3 + 3 + 1] * PICTURES
    denoiser.step = 3
    assert torch.equal(found[3], guidance.predict(0.5, denoiser))


def test_branches_that_agree_are_left_out_picture_by_picture() -> None:
    """The differences of picture p fall to 0.5 ** (step * p): those of picture 0 never do."""
    denoiser = Denoiser(lambda step: 0.5**step)
    guidance = GraphGuidance(text=2.0, graphs=(3.0,), skip_below=0.1)
    found, made = drawn(guidance, denoiser, 6)
    assert made[0] == 18
    assert made[0] > made[1] > made[2] > 6
    asked = [[one.rows for one in step] for step in denoiser.asked]
    assert asked[0] == [None, None, None]
    assert asked[-1] == [(0,), (0,), None]
    exact = every_step(guidance, Denoiser(lambda step: 0.5**step), 6)
    assert torch.equal(found[0], exact[0])
    assert torch.allclose(found[-1][0], exact[-1][0])
    denoiser.step = 5
    assert torch.allclose(found[-1][2], denoiser.answer(Branch(True, 0, 3.0))[2], atol=1e-6)


def test_a_picture_does_not_depend_on_the_others() -> None:
    class OnePicture(Denoiser):
        def answer(self, branch: Branch) -> Tensor:
            return super().answer(branch)[2:]

    for settings in ({"skip_below": 0.1}, {"skip_below": 0.1, "reuse": 2}):
        guidance = GraphGuidance(text=2.0, graphs=(3.0,), **settings)  # type: ignore[arg-type]
        found, made = drawn(guidance, Denoiser(lambda step: 0.5**step), 6)
        alone, alone_made = drawn(guidance, OnePicture(lambda step: 0.5**step), 6)
        assert all(map(torch.equal, [one[2:] for one in found], alone))
        assert made[2:].tolist() == alone_made.tolist()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_stays(dtype: torch.dtype) -> None:
    class Half(Denoiser):
        def answer(self, branch: Branch) -> Tensor:
            return super().answer(branch).to(dtype)

    found, _ = drawn(GraphGuidance(text=2.0, graphs=(3.0,), reuse=2), Half(), 2)
    assert {one.dtype for one in found} == {dtype}


@pytest.mark.parametrize("reuse", [0, -1, 1.5, True, "2", None])
def test_what_is_no_number_of_steps(reuse: Any) -> None:
    with pytest.raises(
        InputError, match=r"guidance\.reuse: expected a whole number of steps, 1 or more, got"
    ):
        GraphGuidance(reuse=reuse)


def test_what_is_no_share() -> None:
    for wrong in (-0.1, 1.5):
        with pytest.raises(InputError, match=rf"skip_below {wrong} is outside 0\.\.1"):
            GraphGuidance(skip_below=wrong)
    with pytest.raises(InputError, match=r"guidance\.skip_below: expected a number"):
        GraphGuidance(skip_below="much")  # type: ignore[arg-type]


def test_the_leading_branch_is_the_last_of_the_most_conditioned() -> None:
    predictions = BranchPredictions(reuse=2)
    branches = [Branch(True, 0, 1.0), Branch(True, 1, 1.0), Branch(True, None, 1.0), Branch(False, None, 1.0)]
    predictions(branches, Denoiser())
    assert predictions.needed(branches) == [branches[1]]
