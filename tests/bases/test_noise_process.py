"""How bases are trained to denoise: diffusion as diffusers' DDPM does it, and flow matching."""

from __future__ import annotations

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
)
from diffusers.training_utils import compute_snr
from hypothesis import given
from hypothesis import strategies as st

from graphcond.bases.config import TIMESTEPS, check_training, predicted_by
from graphcond.bases.noise_process import Diffusion, Flow, NoiseProcess
from graphcond.errors import InputError

EVERY = torch.arange(1000)
SIZE = (8, 8)
GRID = (torch.arange(100_000) + 0.5) / 100_000


def scheduler(prediction: str, *, zero_terminal: bool = False) -> DDPMScheduler:
    return DDPMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        prediction_type=prediction,
        rescale_betas_zero_snr=zero_terminal,
    )


PROCESSES = {
    "epsilon": Diffusion(scheduler("epsilon")),
    "v_prediction": Diffusion(scheduler("v_prediction")),
    "flow": Flow(FlowMatchEulerDiscreteScheduler(shift=3.0)),
}
each_process = pytest.mark.parametrize("process", PROCESSES.values(), ids=PROCESSES)


def test_a_scheduler_tells_what_its_denoiser_predicts() -> None:
    assert {name: process.predicts for name, process in PROCESSES.items()} == {n: n for n in PROCESSES}
    assert predicted_by("DPMSolverMultistepScheduler", {"prediction_type": "flow_prediction"}) == "flow"
    assert predicted_by("UniPCMultistepScheduler", {"use_flow_sigmas": True}) == "flow"
    assert predicted_by("DDIMScheduler", {}) == "epsilon"
    assert isinstance(PROCESSES["flow"], Flow)
    assert isinstance(PROCESSES["epsilon"], Diffusion)


@given(st.lists(st.floats(0, 1, width=32), min_size=1), st.data())
def test_timesteps_are_valid(uniform: list[float], data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(PROCESSES)))
    kind = data.draw(st.sampled_from(["auto", *TIMESTEPS[name]]))
    timesteps = PROCESSES[name].timesteps(torch.tensor(uniform), kind, SIZE)
    assert timesteps.is_floating_point() == (name == "flow")
    assert timesteps.min() >= 0
    assert timesteps.max() <= (1000 if name == "flow" else 999)


def test_uniform_timesteps_cover_all_and_high_noise_ones_lean_to_the_end() -> None:
    process = PROCESSES["epsilon"]
    uniform = process.timesteps(GRID, "uniform", SIZE)
    assert torch.equal(uniform.bincount(), torch.full((1000,), 100))
    assert torch.equal(process.timesteps(GRID, "auto", SIZE), uniform)
    high = process.timesteps(GRID, "high_noise", SIZE).double()
    assert high.mean() == pytest.approx(1000 * 2 / 3, abs=1)
    assert (high >= 500).double().mean() == pytest.approx(0.75, abs=0.001)


def test_flow_timesteps_are_logit_normal_and_shifted() -> None:
    plain = Flow(FlowMatchEulerDiscreteScheduler(shift=1.0)).timesteps(GRID, "auto", SIZE) / 1000
    assert plain.logit().mean() == pytest.approx(0, abs=1e-3)
    assert plain.logit().std() == pytest.approx(1, abs=1e-3)
    shifted = PROCESSES["flow"].timesteps(GRID, "auto", SIZE) / 1000
    assert torch.allclose(shifted, 3 * plain / (1 + 2 * plain), atol=1e-5)
    assert torch.allclose(PROCESSES["flow"].timesteps(GRID, "uniform", SIZE), GRID * 1000)


def test_a_dynamic_shift_follows_the_number_of_picture_tokens_as_in_diffusers() -> None:
    flux = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    process = Flow(flux, patch=2)
    process.set_timesteps(flux, 4, device=torch.device("cpu"), size=(128, 128))
    sigmas = torch.linspace(1, 0.25, 4)
    mu = 1.15  # 4096 tokens
    wanted = torch.e**mu / (torch.e**mu + (1 / sigmas - 1))
    assert torch.allclose(flux.timesteps, wanted * 1000, atol=1e-2)
    drawn = process.timesteps(torch.tensor([0.5]), "auto", (128, 128)) / 1000
    assert drawn.item() == pytest.approx(torch.e**mu / (torch.e**mu + 1), abs=1e-5)
    small = process.timesteps(torch.tensor([0.5]), "auto", (32, 32)) / 1000
    assert small.item() == pytest.approx(torch.e**0.5 / (torch.e**0.5 + 1), abs=1e-5)


@each_process
def test_the_target_gives_back_the_clean_latents(process: NoiseProcess) -> None:
    latents, noise = torch.randn(2, 5, 4, 8, 8, dtype=torch.float64)
    timesteps = torch.tensor([0, 1, 400, 800, 999])
    noisy = process.noisy(latents, noise, timesteps)
    target = process.target(latents, noise, timesteps)
    signal = scheduler("epsilon").alphas_cumprod.double()[timesteps].view(-1, 1, 1, 1)
    if process.predicts == "epsilon":
        recovered = (noisy - (1 - signal).sqrt() * target) / signal.sqrt()
    elif process.predicts == "v_prediction":
        recovered = signal.sqrt() * noisy - (1 - signal).sqrt() * target
    else:
        recovered = noisy - timesteps.view(-1, 1, 1, 1) / 1000 * target
    torch.testing.assert_close(recovered, latents, atol=1e-4, rtol=1e-4)


def test_flow_noises_as_diffusers_does() -> None:
    chain = FlowMatchEulerDiscreteScheduler()
    latents, noise = torch.randn(2, 5, 4, 8, 8)
    timesteps = chain.timesteps[[0, 10, 500, 900, 999]]
    wanted = chain.scale_noise(latents, timesteps, noise)
    assert torch.allclose(Flow(chain).noisy(latents, noise, timesteps), wanted, atol=1e-5)


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_min_snr_weights_are_those_of_the_paper(gamma: float) -> None:
    for prediction in ("epsilon", "v_prediction"):
        snr = compute_snr(scheduler(prediction), EVERY).double()
        clipped = torch.minimum(snr, torch.full_like(snr, gamma))
        direct = clipped / snr if prediction == "epsilon" else clipped / (snr + 1)
        found = PROCESSES[prediction].loss_weight(EVERY, gamma).double()
        torch.testing.assert_close(found, direct, atol=1e-6, rtol=1e-4)


def test_min_snr_is_finite_at_zero_terminal_snr() -> None:
    for prediction, last in (("epsilon", 1.0), ("v_prediction", 0.0)):
        weights = Diffusion(scheduler(prediction, zero_terminal=True)).loss_weight(EVERY, 5.0)
        assert weights.isfinite().all()
        assert weights[-1] == last


def test_flow_refuses_min_snr_by_name() -> None:
    with pytest.raises(InputError, match="min_snr_gamma"):
        PROCESSES["flow"].loss_weight(EVERY, 5.0)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (("sample", "auto", None), "'sample'"),
        (("epsilon", "logit_normal", None), "training.timesteps"),
        (("flow", "auto", 5.0), "training.min_snr_gamma"),
    ],
)
def test_a_training_that_does_not_fit_is_named(settings: tuple, named: str) -> None:
    with pytest.raises(InputError, match=named):
        check_training(*settings)


def test_every_distribution_of_a_process_fits_it() -> None:
    for predicts, kinds in TIMESTEPS.items():
        for kind in ("auto", *kinds):
            check_training(predicts, kind, None)


@each_process
def test_only_a_scheduler_of_the_same_process_is_taken(process: NoiseProcess) -> None:
    schedulers = {
        "epsilon": [scheduler("epsilon"), DDIMScheduler(), DPMSolverMultistepScheduler()],
        "v_prediction": [EulerDiscreteScheduler(prediction_type="v_prediction")],
        "flow": [
            FlowMatchEulerDiscreteScheduler(),
            DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True),
        ],
    }
    for predicts, ours in schedulers.items():
        for one in ours:
            if predicts == process.predicts:
                process.check_scheduler(one)
            else:
                with pytest.raises(InputError, match=f"{type(one).__name__} .*'{predicts}'"):
                    process.check_scheduler(one)
