"""Several threads that draw with one base get the pictures that each would get alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import diffusers
import pytest
import torch
from torch import Tensor

from graphcond.adapters import GatedSelfAttentionInjector, PromptTokenInjector
from graphcond.bases import StableDiffusionBase
from graphcond.condition import Condition
from graphcond.context import SceneFeatures
from graphcond.encoders.config import TripleGCNConfig
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline

SCHEDULERS = [
    *("DDIM", "DDPM", "DEISMultistep", "DPMSolverMultistep", "DPMSolverSinglestep", "EulerAncestralDiscrete"),
    *("EulerDiscrete", "HeunDiscrete", "KDPM2Discrete", "LCM", "LMSDiscrete", "PNDM", "TCD"),
    "UniPCMultistep",
]
WIDTH, THREADS = 6, 4


def scene(objects: int, seed: int) -> SceneFeatures:
    """A random scene of ``objects`` in a row; scenes of unequal sizes cannot be taken for each other."""
    generator = torch.Generator().manual_seed(seed)
    there = torch.ones(1, objects, dtype=torch.bool)
    return SceneFeatures(
        nodes=torch.randn(1, objects, WIDTH, generator=generator),
        present=there,
        is_object=there,
        triples=torch.tensor([[[0, objects - 1]]]),
        predicates=torch.randn(1, 1, WIDTH, generator=generator),
        related=torch.ones(1, 1, dtype=torch.bool),
        boxes=torch.rand(1, objects, 4, generator=generator).sort(-1).values,
        boxed=there,
        sentences=("a scene",),
    )


def pipeline(
    base: StableDiffusionBase, injector: GatedSelfAttentionInjector | PromptTokenInjector
) -> GraphPipeline:
    torch.manual_seed(0)
    encoder = TripleGCNConfig().build(feature_width=WIDTH, base=base).eval()
    injector.inject(base)
    with torch.no_grad():
        for parameter in injector.parameters():
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return GraphPipeline(GraphModel(base, [Condition("scene", encoder, injector)], feature_width=WIDTH))


def draw(pipe: GraphPipeline, number: int) -> Tensor:
    return pipe(
        "a star",
        scene=scene(2 + number, number),
        guidance_scale=3.0,
        graph_guidance_scale=2.0,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(number),
        output_type="latent",
    ).images


@pytest.mark.parametrize("injector", [GatedSelfAttentionInjector, PromptTokenInjector])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_threads_draw_what_they_draw_alone(sd_folder: Path, scheduler: str, injector: type) -> None:
    base = StableDiffusionBase.from_pretrained(str(sd_folder))
    pipe = pipeline(base, injector())
    pipe.scheduler = getattr(diffusers, f"{scheduler}Scheduler").from_config(
        pipe.scheduler.config, skip_prk_steps=True
    )
    alone = [draw(pipe, number) for number in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        together = list(pool.map(lambda number: draw(pipe, number), range(THREADS)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
    generator = torch.Generator().manual_seed(0)
    plain = pipe("a star", num_inference_steps=2, generator=generator, output_type="latent").images
    assert plain.shape == (1, 4, 8, 8)
