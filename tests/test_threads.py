"""Several threads that draw with one base get the pictures that each would get alone."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import diffusers
import pytest
import torch
from torch import Tensor

from graphcond.adapters import (
    ControlNetInjector,
    GatedSelfAttentionInjector,
    LoraInjector,
    PromptTokenInjector,
)
from graphcond.bases import Base
from graphcond.condition import Condition
from graphcond.context import SceneFeatures
from graphcond.encoders.config import LayoutConfig, TripleGCNConfig
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import small_base

SCHEDULERS = [
    *("DDIM", "DDPM", "DEISMultistep", "DPMSolverMultistep", "DPMSolverSinglestep", "EulerAncestralDiscrete"),
    *("EulerDiscrete", "HeunDiscrete", "KDPM2Discrete", "LCM", "LMSDiscrete", "PNDM", "TCD"),
    "UniPCMultistep",
]
WIDTH, THREADS, LAYOUT_WIDTH = 6, 4, 5
INJECTORS = {
    "prompt_tokens": PromptTokenInjector,
    "gated_self_attention": GatedSelfAttentionInjector,
    "controlnet": partial(ControlNetInjector, layout_width=LAYOUT_WIDTH),
    "lora": partial(LoraInjector, rank=2, dropout=0.5),
    "dora": partial(LoraInjector, rank=2, weight_decomposed=True),
}


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


def pipeline(base: Base, kind: str, *, seed: int = 0) -> GraphPipeline:
    """A model made by hand, with one injector away from its start; ``none`` is the base alone."""
    torch.manual_seed(seed)
    injector = None if kind == "none" else INJECTORS[kind]()
    conditions, lora = [], injector if isinstance(injector, LoraInjector) else None
    if injector is not None and lora is None:
        config = LayoutConfig(channels=LAYOUT_WIDTH) if kind == "controlnet" else TripleGCNConfig()
        encoder = config.build(feature_width=WIDTH, base=base)
        conditions = [Condition("scene", encoder, injector)]
    if injector is not None:
        injector.inject(base)
        with torch.no_grad():
            for parameter in injector.parameters():
                parameter.copy_(torch.randn_like(parameter) * 0.3)
    return GraphPipeline(GraphModel(base, conditions, feature_width=WIDTH, lora=lora))


def draw(pipe: GraphPipeline, number: int) -> Tensor:
    graph = {"scene": scene(2 + number, number), "graph_guidance_scale": 2.0} if pipe.model.conditions else {}
    return pipe(
        "a star",
        **graph,
        guidance_scale=3.0,
        num_inference_steps=4,
        generator=torch.Generator().manual_seed(number),
        output_type="latent",
    ).images


def together(jobs: list[tuple[GraphPipeline, int]]) -> list[Tensor]:
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(lambda job: draw(*job), jobs))


def equal(some: list[Tensor], others: list[Tensor]) -> bool:
    return all(torch.equal(one, other) for one, other in zip(some, others, strict=True))


@pytest.mark.parametrize("kind", ["gated_self_attention", "prompt_tokens"])
@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_threads_draw_what_they_draw_alone(sd_folder: Path, scheduler: str, kind: str) -> None:
    base = small_base(sd_folder)
    pipe = pipeline(base, kind)
    pipe.scheduler = getattr(diffusers, f"{scheduler}Scheduler").from_config(
        pipe.scheduler.config, skip_prk_steps=True
    )
    alone = [draw(pipe, number) for number in range(THREADS)]
    assert equal(together([(pipe, number) for number in range(THREADS)]), alone)
    generator = torch.Generator().manual_seed(0)
    plain = pipe("a star", num_inference_steps=2, generator=generator, output_type="latent").images
    assert plain.shape == (1, 4, 8, 8)


def test_models_on_one_base_draw_what_each_draws_alone(sd_folder: Path) -> None:
    models = [("none", 0), *((kind, seed) for kind in INJECTORS for seed in (0, 1))]
    alone = [draw(pipeline(small_base(sd_folder), name, seed=seed), 0) for name, seed in models]
    assert len({tuple(one.flatten().tolist()) for one in alone}) == len(models)
    base = small_base(sd_folder)
    pipes = [pipeline(base, name, seed=seed) for name, seed in models]
    assert equal([draw(pipe, 0) for pipe in pipes], alone), "in turns"
    jobs = [(pipe, 0) for _ in range(2) for pipe in pipes]
    assert equal(together(jobs), alone * 2), "in threads"
    for pipe in pipes[::2]:
        for injector in (pipe.model.lora, *(one.injector for one in pipe.model.conditions.values())):
            if injector is not None:
                injector.eject()
    assert equal([draw(pipe, 0) for pipe in pipes[1::2]], alone[1::2]), "when others have left"
