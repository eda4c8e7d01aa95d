"""Bases and injectors as the conformance suites run them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from graphcond_sana.config import SanaConfig

from graphcond.adapters import INJECTORS, Injector
from graphcond.bases import Base, BaseFields, Flux2Config, StableDiffusionConfig, StableDiffusionXLConfig
from graphcond.bases.config import EmojiConfig
from graphcond.bases.flux2_config import TinyDitConfig
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.signals import Alignment, GraphTokens, LayoutMap, ReferenceLatents, Signal

LAYOUT_WIDTH = 5
HEIGHT, WIDTH = 8, 12
"""Of latents; not a square."""

INJECTOR_ROWS: dict[str, dict[str, Any]] = {  # a kind, and what is particular to the row
    "prompt_tokens": {},
    "prompt_tokens in boxes": {"visible": "in_boxes"},
    "prompt_tokens added": {"place": "add"},
    "gated_self_attention": {},
    "gated_self_attention by coverage": {"place": "coverage", "keys": "tokens", "start": "cross_attention"},
    "ip_adapter": {},
    "ip_adapter in boxes": {"visible": "in_boxes"},
    "references": {},
    "controlnet": {"layout_width": LAYOUT_WIDTH},
    "controlnet of a picture": {"layout_width": LAYOUT_WIDTH, "hint": "picture"},
    "t2i_adapter": {"layout_width": LAYOUT_WIDTH},
    "lora": {"rank": 4},
    "peft": {"method": "lokr", "settings": {"r": 4}},
    "difffit": {},
    "hypernetwork": {},
    "peft by oft": {"method": "oft", "settings": {"oft_block_size": 8}},
}


@dataclass(frozen=True)
class BaseRow:
    """A base of the suites.

    Args:
        config: of its kind.
        folder: the fixture that writes a random one; None for a base inside the package.
        settings: of the config.
    """

    config: type[BaseFields]
    folder: str | None
    settings: dict[str, Any] = field(default_factory=dict)

    def made(self, request: pytest.FixtureRequest, **settings: Any) -> BaseFields:
        """The config of the base."""
        model = {} if self.folder is None else {"model": str(request.getfixturevalue(self.folder))}
        return self.config(**model, **(self.settings | settings))

    def allows(self, injector: str) -> bool:
        """Whether the base publishes the sites that an injector needs."""
        config = INJECTORS[injector.split()[0]]
        if config.needs_references and not self.config.takes_references:
            return False
        return not config.needs_sites or bool(config.needs_sites & self.config.sites)


BASE_ROWS = {
    "stable_diffusion": BaseRow(StableDiffusionConfig, "sd_folder"),
    "stable_diffusion_2": BaseRow(StableDiffusionConfig, "sd2_folder"),
    "sdxl": BaseRow(StableDiffusionXLConfig, "sdxl_folder"),
    "flux2": BaseRow(Flux2Config, "flux2_folder", {"tokens": 48}),
    "emoji": BaseRow(EmojiConfig, None),
    "tiny-dit": BaseRow(TinyDitConfig, None),
    "sana": BaseRow(SanaConfig, "sana_folder", {"tokens": 40}),  # of the package in examples/your_own_base
}


_LOADED: dict[str, Base] = {}


def fresh(request: pytest.FixtureRequest, row: str) -> Base:
    """A copy of the base of a row, which is loaded once."""
    if row not in _LOADED:
        _LOADED[row] = BASE_ROWS[row].made(request).build(device=torch.device("cpu"))
    return deepcopy(_LOADED[row])


def build(kind: str) -> Injector:
    return INJECTORS[kind.split()[0]](**INJECTOR_ROWS[kind]).build()


def inputs(base: Base) -> DenoiserInputs:
    """Two samples, the same at every call."""
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, base.facts.latent_channels, HEIGHT, WIDTH, generator=generator)
    timesteps = base.process.timesteps(torch.tensor([0.3, 0.7]), "uniform", (HEIGHT, WIDTH))
    return base.inputs(sample, timesteps, base.encode_prompt(["a star", "a tree by the sea"]))


def signal(injector: Injector, base: Base, present: tuple[bool, bool] = (True, True)) -> Signal | None:
    """What ``injector`` reads, the same at every call."""
    generator, there = torch.Generator().manual_seed(1), torch.tensor(present)
    if injector.reads is None:
        return None
    if injector.reads is LayoutMap:
        features = torch.randn(2, LAYOUT_WIDTH, 16, 16, generator=generator)
        return LayoutMap(features * there[:, None, None, None], there)
    if injector.reads is ReferenceLatents:
        latents = torch.randn(2, 3, base.facts.latent_channels, HEIGHT // 2, WIDTH, generator=generator)
        return ReferenceLatents(latents, there[:, None].expand(2, 3))
    tokens = torch.randn(2, 6, base.facts.token_width, generator=generator)
    boxed = torch.tensor([True, True, False, True, True, False]).expand(2, 6)
    boxes = torch.rand(2, 6, 4, generator=generator) / 2
    boxes[..., 2:] += 0.5
    sentence = base.encode_prompt(["a star", "a tree by the sea"])
    words = torch.rand(2, 6, sentence.hidden.shape[1], generator=generator) < 0.5
    alignment = Alignment(sentence.hidden, sentence.attended(base.masks_padding), words)
    return GraphTokens(tokens, there[:, None].expand(2, 6), boxes, boxed, alignment)


def leaf(signal: Signal) -> torch.Tensor:
    return signal.values


def wake(injector: Injector) -> None:
    """Give trained weights known values away from their start, so that they act."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in injector.trainable_parameters().values():
            parameter.copy_(torch.randn_like(parameter) * 0.3)


def state(base: Base) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in base.denoiser.state_dict().items()}


def hooks(base: Base) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in base.denoiser.modules())


@torch.no_grad()
def run(base: Base, injector: Injector, scale: float = 1.0, **options: Any) -> torch.Tensor:
    return base.denoise(injector.apply(inputs(base), signal(injector, base, **options), scale))
