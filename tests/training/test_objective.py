from __future__ import annotations

import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from hypothesis import given
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.training.objective import (
    check_prediction,
    min_snr_weight,
    noisy_latents,
    prediction_target,
    squared_error,
    timesteps_of,
)

EVERY = torch.arange(1000)


def scheduler(prediction: str, *, zero_terminal: bool = False) -> DDPMScheduler:
    return DDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction,
        rescale_betas_zero_snr=zero_terminal,
    )


@given(st.lists(st.floats(0, 1, width=32), min_size=1), st.sampled_from(["uniform", "high_noise"]))
def test_timesteps_are_valid(uniform: list[float], kind: str) -> None:
    timesteps = timesteps_of(torch.tensor(uniform), 1000, kind)  # type: ignore[arg-type]
    assert timesteps.dtype == torch.int64
    assert timesteps.min() >= 0
    assert timesteps.max() <= 999


def test_uniform_timesteps_cover_all_and_high_noise_ones_lean_to_the_end() -> None:
    grid = (torch.arange(100_000) + 0.5) / 100_000
    assert torch.equal(timesteps_of(grid, 1000, "uniform").bincount(), torch.full((1000,), 100))
    high = timesteps_of(grid, 1000, "high_noise").double()
    assert high.mean() == pytest.approx(1000 * 2 / 3, abs=1)
    assert (high >= 500).double().mean() == pytest.approx(0.75, abs=0.001)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_the_target_gives_back_the_clean_latents(prediction: str) -> None:
    chain = scheduler(prediction)
    latents, noise = torch.randn(2, 5, 4, 8, 8, dtype=torch.float64)
    timesteps = torch.tensor([0, 1, 400, 800, 999])
    noisy = noisy_latents(chain, latents, noise, timesteps)
    target = prediction_target(chain, latents, noise, timesteps)
    signal = chain.alphas_cumprod.double()[timesteps].view(-1, 1, 1, 1)
    if prediction == "epsilon":
        recovered = (noisy - (1 - signal).sqrt() * target) / signal.sqrt()
    else:
        recovered = signal.sqrt() * noisy - (1 - signal).sqrt() * target
    torch.testing.assert_close(recovered, latents, atol=1e-4, rtol=1e-4)


def test_squared_errors_are_per_sample_and_in_float32() -> None:
    errors = squared_error(torch.full((2, 4, 8, 8), 3.0, dtype=torch.float16), torch.ones(2, 4, 8, 8))
    assert errors.dtype == torch.float32
    assert errors.tolist() == [4.0, 4.0]


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_weights_are_those_of_the_paper(gamma: float) -> None:
    for prediction in ("epsilon", "v_prediction"):
        chain = scheduler(prediction)
        snr = compute_snr(chain, EVERY).double()
        clipped = torch.minimum(snr, torch.full_like(snr, gamma))
        direct = clipped / snr if prediction == "epsilon" else clipped / (snr + 1)
        torch.testing.assert_close(min_snr_weight(chain, EVERY, gamma).double(), direct, atol=1e-6, rtol=1e-4)


def test_min_snr_is_finite_at_zero_terminal_snr() -> None:
    for prediction, last in (("epsilon", 1.0), ("v_prediction", 0.0)):
        chain = scheduler(prediction, zero_terminal=True)
        weights = min_snr_weight(chain, EVERY, 5.0)
        assert chain.alphas_cumprod[-1] == 0
        assert weights.isfinite().all()
        assert weights[-1] == last


def test_other_predictions_are_refused() -> None:
    check_prediction("epsilon")
    with pytest.raises(InputError, match="it predicts 'sample'"):
        check_prediction("sample")
