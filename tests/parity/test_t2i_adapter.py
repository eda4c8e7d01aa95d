"""A released T2I-Adapter gives here what it gives in diffusers, and ours gives there what it gives here."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter

from graphcond.adapters import T2IAdapterInjector
from graphcond.bases import Base
from graphcond.errors import InputError
from graphcond.signals import LayoutMap
from tests.conformance.parts import HEIGHT, WIDTH, fresh, inputs

SETTINGS = {
    "stable_diffusion": {"adapter_type": "full_adapter", "downscale_factor": 8},
    "sdxl": {"adapter_type": "full_adapter_xl", "downscale_factor": 16},
}


@pytest.fixture(params=SETTINGS)
def base(request: pytest.FixtureRequest) -> Base:
    return fresh(request, request.param)


def write_released(base: Base, folder: Path) -> T2IAdapter:
    """A random T2I-Adapter for pictures, as diffusers writes it."""
    torch.manual_seed(1)
    widths = list(base.unet.config.block_out_channels)
    settings = SETTINGS["sdxl" if "XL" in type(base).__name__ else "stable_diffusion"]
    adapter = T2IAdapter(in_channels=3, channels=widths, num_res_blocks=2, **settings)
    adapter.save_pretrained(folder)
    return adapter.eval()


@torch.no_grad()
def test_theirs_is_read_by_us_and_ours_by_diffusers(base, tmp_path: Path) -> None:
    theirs = write_released(base, tmp_path / "theirs")
    injector = T2IAdapterInjector(
        layout_width=3, downscale=theirs.config["downscale_factor"], init=tmp_path / "theirs"
    )
    injector.inject(base)
    injector.load_init()
    pixels = base.facts.pixels_per_latent
    picture = torch.rand(2, 3, HEIGHT * pixels, WIDTH * pixels, generator=torch.Generator().manual_seed(2))
    given = inputs(base)
    drawn = base.denoise(injector.apply(given, LayoutMap(picture, torch.ones(2, dtype=torch.bool)), 0.7))
    injector.network.save_pretrained(tmp_path / "ours")
    for adapter in (theirs, T2IAdapter.from_pretrained(tmp_path / "ours")):
        wanted = base.unet(
            given.sample,
            given.timestep,
            encoder_hidden_states=given.context,
            down_intrablock_additional_residuals=[features * 0.7 for features in adapter(picture)],
            **base.conditions(given),
        ).sample
        assert torch.allclose(drawn, wanted, atol=1e-5)
    assert not torch.allclose(drawn, base.denoise(given), atol=1e-3)


def test_adapters_that_do_not_fit(base, tmp_path: Path) -> None:
    theirs = write_released(base, tmp_path / "theirs")
    downscale = theirs.config["downscale_factor"]
    with pytest.raises(InputError, match="number of channels of the layouts is not known"):
        T2IAdapterInjector().inject(base)
    for settings, problem in (
        ({"layout_width": 3, "downscale": downscale // 2}, "has shape"),
        ({"layout_width": 3, "downscale": downscale, "res_blocks": 1}, "is surplus"),
        ({"layout_width": 4, "downscale": downscale}, "has shape"),
    ):
        injector = T2IAdapterInjector(**settings, init=tmp_path / "theirs")
        injector.inject(base)
        with pytest.raises(InputError, match=problem):
            injector.load_init()
    light = T2IAdapter(in_channels=3, channels=[8, 8], num_res_blocks=1, adapter_type="light_adapter")
    light.save_pretrained(tmp_path / "light")
    injector = T2IAdapterInjector(layout_width=3, init=tmp_path / "light")
    injector.inject(base)
    with pytest.raises(InputError, match="the T2I-Adapter is a 'light_adapter', which is not read"):
        injector.load_init()
    injector = T2IAdapterInjector(layout_width=3, init=tmp_path / "control")
    injector.inject(base)
    with pytest.raises(InputError, match="cannot be loaded"):
        injector.load_init()
    ControlNetModel.from_unet(base.unet).save_pretrained(tmp_path / "control")
    with pytest.raises(InputError, match="expected a T2IAdapter, got a ControlNetModel"):
        injector.load_init()


def test_a_network_of_another_base_is_not_injected(request: pytest.FixtureRequest) -> None:
    injector = T2IAdapterInjector(layout_width=3)
    injector.inject(fresh(request, "stable_diffusion"))
    with pytest.raises(RuntimeError, match="injected already"):
        injector.inject(fresh(request, "stable_diffusion"))
    injector.eject()
    with pytest.raises(InputError, match="made for a base of another shape"):
        injector.inject(fresh(request, "sdxl"))
