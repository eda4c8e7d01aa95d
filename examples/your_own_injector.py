"""Your own injector: the graph shifts the features of every transformer block.

Run it after `make demo`, whose graph it uses; it takes a few minutes on a laptop:

    python examples/your_own_injector.py --steps 300

You see shifted.png: held-out paintings drawn without graph and with the one that was just trained.
docs/write-an-injector.md says what an injector promises, and how a recipe uses yours.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler

from graphcond import (
    ClipExtractor,
    Condition,
    GraphPipeline,
    GraphTokens,
    Injector,
    NeighborMean,
    PictureDataset,
    StableDiffusionBase,
    denoising_loss,
    load_recipe,
)
from graphcond.adapters import InjectorFields, SiteAdditions, kept_layers, key_of
from graphcond.bases import Base
from graphcond.bases.base import Site
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.drawing.sheets import contact_sheet
from graphcond.io.pictures import open_picture


class FeatureShift(Injector[GraphTokens]):
    """Adds a projection of the mean graph token to the features of every transformer block."""

    reads = GraphTokens

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self._slot, self._additions = GroundingSlot(), SiteAdditions()

    def inject(self, base: Base) -> None:
        """Make a layer for each block, and attach it."""
        if self._additions:
            raise RuntimeError("the shift is injected already; eject it first")
        sites, width = base.required_sites("block"), base.facts.token_width
        made = nn.ModuleDict({key_of(name): nn.Linear(width, site.width) for name, site in sites.items()})
        for parameter in made.parameters():
            nn.init.zeros_(parameter)  # the untrained injector changes nothing
        self.layers = kept_layers(self.layers, made, "feature_shift")
        self.to(device=base.device, dtype=torch.float32)
        self._additions.attach(sites, self._added)

    def eject(self) -> None:
        """Detach the layers, which stay here with what they learned."""
        self._additions.detach()

    def apply(self, inputs: DenoiserInputs, signal: GraphTokens | None, scale: float = 1.0) -> DenoiserInputs:
        """Inputs that show the tokens of ``signal`` to the layers."""
        if signal is None or scale == 0 or not bool(signal.present.any()):
            return inputs
        strength = signal.has_graph.to(signal.tokens.dtype) * scale
        shown = Grounding(signal.tokens, signal.present, strength)
        return replace(inputs, grounding={**inputs.grounding, self._slot: shown})

    def _added(self, site: Site, features: Tensor) -> Tensor | None:
        shown = self._slot.value
        if shown is None:  # this call shows nothing of this injector
            return None
        share = shown.present / shown.present.sum(1, keepdim=True).clamp(min=1)
        mean = (share[..., None] * shown.tokens).sum(1)
        project = self.layers[key_of(site.name)]
        shift = project(mean.float()) * shown.strength[:, None].float()
        return shift[:, None].to(features.dtype).expand_as(features)


class FeatureShiftConfig(InjectorFields):
    """Shift the features of every transformer block by what the graph says."""

    component = FeatureShift
    reads = GraphTokens
    needs_sites = frozenset({"block"})
    kind: Literal["feature_shift"] = "feature_shift"


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    torch.manual_seed(0)
    base, clip = StableDiffusionBase.from_pretrained("tiny"), ClipExtractor.from_pretrained("tiny")
    recipe = load_recipe("instructg2i", base="tiny", overrides=[f"data.path={options.graph}"])
    pictures = PictureDataset.from_recipe(recipe, base=base)

    injector = FeatureShift()
    injector.inject(base)
    encoder = NeighborMean(feature_width=clip.width, token_width=base.facts.token_width)
    pipe = GraphPipeline.from_parts(base, Condition("neighbors", encoder, injector), extractor=clip)

    order = RandomSampler(pictures, replacement=True, num_samples=options.steps * options.batch)
    loader = DataLoader(pictures, options.batch, sampler=order, collate_fn=pictures.collate)
    optimizer = torch.optim.AdamW(pipe.model.parameters(), lr=1e-3)
    for step, batch in enumerate(loader):
        loss = denoising_loss(pipe.model, *batch, timesteps="high_noise")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)

    sheet(pipe, pictures).save(options.out)
    print(f"look at {options.out}")


def sheet(pipe: GraphPipeline, pictures: PictureDataset) -> Image.Image:
    """Held-out paintings, drawn without their neighbors and with them, from the same noise."""
    data, source = pictures.data, pictures.sources["neighbors"]
    rows = data.rows("test")[:6]
    prompts, neighborhood = [data.texts[row] for row in rows], source.features(source.sample(rows))
    drawings = [
        pipe(
            prompts,
            neighborhood,
            guidance_scale=2.0,
            graph_guidance_scale=scale,
            num_inference_steps=8,
            generator=torch.Generator().manual_seed(0),
        ).images
        for scale in (0.0, 2.0)
    ]
    truth = [open_picture(path) for path in map(data.picture_path, rows.tolist()) if path]
    labels = ["true picture", "no graph", "graph"]
    return contact_sheet([truth, *drawings], row_labels=labels, column_labels=prompts)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("shifted.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
