"""References are what diffusers makes of them: on FLUX.2 in its own pipeline, on UNets in its community's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, Flux2KleinPipeline
from diffusers.models.attention_processor import AttnProcessor2_0
from einops import rearrange
from PIL import Image
from torch import Tensor

from graphcond.adapters import ReferencesConfig, ReferencesInjector
from graphcond.bases import Flux2Base
from graphcond.condition import Condition
from graphcond.context import NeighborFeatures
from graphcond.encoders import ReferencesConfig as ReferencesEncoderConfig
from graphcond.io.pictures import to_pixels
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.signals import ReferenceLatents
from tests.builders import FEATURE_WIDTH
from tests.conformance.parts import fresh, inputs, leaf, signal

TOKENS = 64
DRAWN: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 1.0, "height": 64, "width": 96}


def test_flux2_draws_with_references_what_diffusers_draws(flux2_folder: Path) -> None:
    base = Flux2Base.from_pretrained(str(flux2_folder), tokens=TOKENS)
    noise = np.random.default_rng(0)
    pictures = [Image.fromarray(noise.integers(0, 255, (80, 64, 3), np.uint8)) for _ in range(2)]
    injector = ReferencesConfig().build()
    injector.inject(base)
    encoder = ReferencesEncoderConfig().build(feature_width=FEATURE_WIDTH, base=base)
    pipe = GraphPipeline(
        GraphModel(base, [Condition("seen", encoder, injector)], feature_width=FEATURE_WIDTH)
    )
    shown = NeighborFeatures(
        torch.zeros(1, 2, FEATURE_WIDTH),
        torch.ones(1, 2, dtype=torch.bool),
        pictures=torch.from_numpy(np.stack([to_pixels(one) for one in pictures]))[None],
    )
    given = {"generator": torch.manual_seed(7), "output_type": "np"} | DRAWN
    found = pipe("a star", shown, graph_guidance_scale=1.0, **given).images
    plain = pipe("a star", **(given | {"generator": torch.manual_seed(7)})).images
    theirs = Flux2KleinPipeline.from_pretrained(str(flux2_folder))
    theirs.set_progress_bar_config(disable=True)
    given |= {"generator": torch.manual_seed(7), "max_sequence_length": TOKENS}
    wanted = theirs(prompt="a star", image=pictures, **given).images
    assert abs(found - wanted).max() < 1e-5
    assert abs(plain - wanted).max() > 1e-3


class Keeping(AttnProcessor2_0):
    """Self-attention that keeps what it reads, or reads that beside its own, as ``reference_attn`` does."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Tensor | None = None

    def __call__(self, attn: Any, hidden_states: Tensor, *args: Any, **options: Any) -> Tensor:
        if attn.is_cross_attention:
            return super().__call__(attn, hidden_states, *args, **options)
        if self.kept is None:
            self.kept, both = hidden_states, hidden_states
        else:
            kept = rearrange(self.kept, "(b k) v w -> b (k v) w", b=len(hidden_states))
            both = torch.cat([hidden_states, kept], dim=1)
        return super().__call__(attn, hidden_states, both)


@torch.no_grad()
@pytest.mark.parametrize("row", ["stable_diffusion", "sdxl"])
def test_a_unet_reads_references_as_diffusers_community_does(
    request: pytest.FixtureRequest, row: str
) -> None:
    base, injector = fresh(request, row), ReferencesInjector()
    injector.inject(base)
    read, given = signal(injector, base), inputs(base)
    assert isinstance(read, ReferenceLatents)
    found = base.denoise(injector.apply(given, read))
    latents, times = leaf(read).flatten(0, 1), given.timestep.repeat_interleave(3)
    noise = torch.randn(latents.shape[1:], generator=torch.Generator().manual_seed(0)).expand_as(latents)
    noisy = DDPMScheduler.from_config(base.scheduler.config).add_noise(latents, noise, times)
    further = base.conditions(given).get("added_cond_kwargs", {})
    if further:  # each reference is told its own size
        side = base.facts.pixels_per_latent
        height, width = (side * places for places in latents.shape[2:])
        sizes = torch.tensor([height, width, 0, 0, height, width]).expand(6, 6).to(further["time_ids"])
        of_references = {"text_embeds": further["text_embeds"].repeat_interleave(3, 0), "time_ids": sizes}
    else:
        of_references = {}
    base.unet.set_attn_processor({name: Keeping() for name in base.unet.attn_processors})
    prompts = given.context.repeat_interleave(3, 0)
    options = {"added_cond_kwargs": of_references} if further else {}
    base.unet(noisy, times, encoder_hidden_states=prompts, **options)
    options = {"added_cond_kwargs": further} if further else {}
    wanted = base.unet(given.sample, given.timestep, encoder_hidden_states=given.context, **options).sample
    assert (found - wanted).abs().max() < 1e-5
    assert (found - base.unet(given.sample, given.timestep, given.context, **options).sample).abs().max() < 1
