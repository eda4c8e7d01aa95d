"""Which attention kernel runs, and what is said where the one asked for cannot."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from graphcond.bases import StableDiffusionConfig, attention
from graphcond.bases.attention import choose_attention, why_not_xformers
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from tests.builders import small_base

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def pretend_xformers(monkeypatch: pytest.MonkeyPatch, ops: object) -> None:
    monkeypatch.setattr(attention, "version", lambda name: "0.0.35")
    monkeypatch.setitem(sys.modules, "xformers", SimpleNamespace(ops=ops))
    monkeypatch.setitem(sys.modules, "xformers.ops", ops)


def test_sdpa_is_the_fallback() -> None:
    assert choose_attention("sdpa", CPU) == "sdpa"
    assert choose_attention("auto", CPU) == "sdpa"


def test_xformers_where_it_cannot_run_is_said(monkeypatch: pytest.MonkeyPatch, sd_folder: Path) -> None:
    with pytest.raises(InputError, match=r"base\.attention: xformers: .*Set base\.attention"):
        StableDiffusionConfig(model=str(sd_folder), attention="xformers").build(device=CPU)
    pretend_xformers(monkeypatch, SimpleNamespace())
    monkeypatch.setattr(attention, "call_xformers", lambda device: None)
    assert "no kernels for the device 'cpu'" in str(why_not_xformers(CPU))
    assert why_not_xformers(CUDA) is None
    assert choose_attention("auto", CUDA) == "xformers"


def test_a_broken_xformers_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_xformers(monkeypatch, None)
    assert "cannot be imported" in str(why_not_xformers(CUDA))
    assert choose_attention("auto", CUDA) == "sdpa"


def test_an_xformers_without_kernels_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Built for another torch it imports, and its first call fails, as seen on an H200."""

    def fails(device: torch.device) -> None:
        raise NotImplementedError(
            "No operator found for `memory_efficient_attention_forward`:\n  query : ..."
        )

    pretend_xformers(monkeypatch, SimpleNamespace())
    monkeypatch.setattr(attention, "call_xformers", fails)
    assert "has no kernel that runs beside torch" in str(why_not_xformers(CUDA))
    assert choose_attention("auto", CUDA) == "sdpa"
    with pytest.raises(InputError, match="No operator found"):
        choose_attention("xformers", CUDA)


@torch.no_grad()
def test_contexts_are_padded_to_what_xformers_takes(sd_folder: Path) -> None:
    """The padding is hidden, so on any kernel the output stays what it was."""
    base = small_base(sd_folder)
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    context = torch.randn(1, 13, base.facts.token_width)
    weight = torch.ones(1, 13)
    weight[:, 11:] = 0
    inputs = DenoiserInputs(sample, torch.tensor([3]), context, weight)
    plain, seen = base.denoise(inputs), []
    base.unet.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["encoder_hidden_states"].shape[1]), with_kwargs=True
    )
    base.attention = "xformers"  # only the padding: the kernel stays SDPA
    assert torch.allclose(base.denoise(inputs), plain, atol=1e-5)
    assert seen == [16]
