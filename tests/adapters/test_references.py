"""What is particular to references: their weights, sizes and numbers, and models without training."""

from __future__ import annotations

import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DiffusionPipeline
from PIL import Image

from graphcond import attach, detach
from graphcond.adapters import ReferencesInjector
from graphcond.bases import Base, StableDiffusionConfig
from graphcond.bases.reference_attention import install_reference_attention
from graphcond.context import NeighborFeatures
from graphcond.denoiser_inputs import DenoiserInputs, References
from graphcond.encoders import ReferencesConfig
from graphcond.errors import InputError, Notice
from graphcond.guidance import stacked
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import parse_recipe
from graphcond.signals import ReferenceLatents
from tests.builders import recipe_values, small_recipe
from tests.conformance.parts import BASE_ROWS, fresh, inputs, signal
from tests.typecheck import unchecked

WIDTH = 64
"""Of the embeddings of the tiny CLIP."""

CONDITION = {
    "name": "seen",
    "sampler": {"kind": "ppr"},
    "encoder": {"kind": "references"},
    "injector": {"kind": "references"},
}


@pytest.fixture(params=["stable_diffusion", "flux2"])
def base(request: pytest.FixtureRequest) -> Base:
    return fresh(request, request.param)


@pytest.fixture
def model(sd_folder: Path) -> GraphModel:
    recipe = small_recipe(sd_folder, conditions=[CONDITION])
    return GraphModel.build(recipe, feature_width=WIDTH)


def read(base: Base, count: int = 3) -> ReferenceLatents:
    found = signal(ReferencesInjector(), base)
    assert isinstance(found, ReferenceLatents)
    return ReferenceLatents(found.latents[:, :count], found.present[:, :count])


def shown(base: Base, signal: ReferenceLatents, scale: float = 1.0) -> Any:
    injector = ReferencesInjector()
    injector.inject(base)
    return injector.apply(inputs(base), signal, scale)


@torch.no_grad()
def test_a_reference_of_weight_two_is_two_references(base: Base) -> None:
    one, found = read(base, 1), []
    for weight in (2.0, 0.5):
        found.append(
            base.denoise(replace(inputs(base), references=References(one.latents, one.present * weight)))
        )
    if base.facts.predicts != "flow":  # there each has a place of its own
        twice = ReferenceLatents(one.latents.repeat(1, 2, 1, 1, 1), one.present.repeat(1, 2))
        torch.testing.assert_close(found[0], base.denoise(shown(base, twice)), atol=1e-5, rtol=1e-4)
    whole, plain = base.denoise(shown(base, one)), base.denoise(inputs(base))
    assert (found[1] - plain).abs().max() > 1e-4
    assert (found[1] - whole).abs().max() > 1e-4


@torch.no_grad()
def test_branches_of_guidance_with_and_without_references_are_one_call(base: Base) -> None:
    with_two, with_one = shown(base, read(base, 2)), shown(base, read(base, 1))
    branches = [inputs(base), with_two, with_one]
    found = base.denoise(stacked(branches)).chunk(3)
    for one, branch in zip(found, branches, strict=True):
        torch.testing.assert_close(one, base.denoise(branch), atol=1e-5, rtol=1e-4)


def test_gradient_checkpointing_changes_no_gradient(base: Base) -> None:
    gradients = []
    for enable in (False, True):
        if enable:
            base.enable_gradient_checkpointing()
        signal = read(base)
        latents = signal.latents.clone().requires_grad_(True)
        base.denoise(shown(base, ReferenceLatents(latents, signal.present))).square().sum().backward()
        gradients.append(latents.grad)
    assert gradients[0] is not None
    torch.testing.assert_close(gradients[1], gradients[0], atol=1e-5, rtol=1e-4)


def test_places_of_weights_hold_beside_references(base: Base) -> None:
    """Tokens that are hidden everywhere leave the picture with references as it is."""
    given = shown(base, read(base))
    tokens = torch.randn(2, 4, base.facts.token_width)
    hidden = torch.zeros(2, 4, *given.sample.shape[2:])
    both = replace(given, context_weight=given.weights(places=True)).with_tokens(tokens, hidden)
    with torch.no_grad():
        torch.testing.assert_close(base.denoise(both), base.denoise(given), atol=1e-5, rtol=1e-4)


def test_references_of_two_conditions_stand_side_by_side(base: Base) -> None:
    injectors = [ReferencesInjector() for _ in range(2)]
    both = inputs(base)
    for injector in injectors:
        injector.inject(base)
        both = injector.apply(both, read(base, 1))
    twice = ReferenceLatents(*(torch.cat([one, one], 1) for one in vars(read(base, 1)).values()))
    with torch.no_grad():
        assert torch.equal(base.denoise(both), base.denoise(shown(base, twice)))
    latents = torch.zeros(2, 1, base.facts.latent_channels, 8, 8)
    other = ReferenceLatents(latents, torch.ones(2, 1, dtype=torch.bool))
    with pytest.raises(InputError, match=r"latents of 4 x 12 and of 8 x 8"):
        injectors[0].apply(both, other)


def test_the_hooks_are_put_there_once(request: pytest.FixtureRequest) -> None:
    base = fresh(request, "stable_diffusion")
    assert not install_reference_attention(base.denoiser)
    base.release()
    assert install_reference_attention(base.denoiser)


def test_a_call_before_injection_a_second_one_and_a_base_that_looks_at_none(
    request: pytest.FixtureRequest, base: Base
) -> None:
    injector = ReferencesInjector()
    with pytest.raises(RuntimeError, match="not injected"):
        injector.apply(inputs(base), read(base))
    injector.inject(base)
    with pytest.raises(RuntimeError, match="injected already"):
        injector.inject(base)
    with pytest.raises(InputError, match="SanaBase does not take references"):
        ReferencesInjector().inject(fresh(request, "sana"))


# Models without training


def pictures(*sizes: tuple[int, int]) -> list[Image.Image]:
    noise = np.random.default_rng(0)
    return [Image.fromarray(noise.integers(0, 255, (*size, 3), np.uint8)) for size in sizes]


def drawn(pipe: GraphPipeline, neighbors: Any, **options: Any) -> Any:
    given = {"num_inference_steps": 2, "generator": torch.manual_seed(0), "output_type": "np"}
    return pipe("a star", neighbors, **(given | options)).images


def test_a_model_is_saved_and_draws_without_training(model: GraphModel, tmp_path: Path) -> None:
    """Pictures of any size are brought to that of the data, and more than the sampler gives are taken."""
    assert not model.trainable_parameters()
    model.save_pretrained(tmp_path / "model")
    model.eject()
    pipe = GraphPipeline.from_pretrained(tmp_path / "model")
    some = pictures((48, 96), (64, 64), (200, 30))
    found, plain = drawn(pipe, some), drawn(pipe, None)
    assert abs(found - plain).max() > 1e-3
    assert np.array_equal(drawn(pipe, pipe.embed(some)), found)
    assert abs(drawn(pipe, pictures(*[(64, 64)] * 9)) - plain).max() > 1e-3
    assert abs(drawn(pipe, some, height=128, width=64)).max() > 0
    joint = {"guidance_mode": "joint", "guidance_scale": 2.0}
    assert np.isfinite(drawn(pipe, some, **joint)).all()


def test_branches_without_references_do_not_carry_them(
    model: GraphModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe, calls = GraphPipeline(model), []
    denoise = model.base.denoise

    def noted(given: DenoiserInputs) -> torch.Tensor:
        calls.append((len(given.sample), given.references is not None))
        return denoise(given)

    monkeypatch.setattr(model.base, "denoise", noted)
    scales = {"guidance_scale": 3.0, "graph_guidance_scale": 2.0, "num_inference_steps": 1}
    drawn(pipe, pictures((64, 64)), **scales)
    assert calls == [(2, False), (1, True)]


@pytest.mark.parametrize("kind", ["stable_diffusion", "flux2"])
def test_a_model_without_an_autoencoder(request: pytest.FixtureRequest, kind: str, tmp_path: Path) -> None:
    folder = request.getfixturevalue(str(BASE_ROWS[kind].folder))
    shutil.copytree(folder, tmp_path / "base", ignore=shutil.ignore_patterns("vae"))
    values = recipe_values(folder, conditions=[CONDITION])
    values["base"] = {"kind": kind, "model": str(tmp_path / "base")}
    with pytest.raises(InputError, match="vae"):
        parse_recipe(values)


@pytest.mark.parametrize("row", ["stable_diffusion", "sdxl"])
def test_a_plain_pipeline_draws_with_references_what_graph_pipeline_draws(
    request: pytest.FixtureRequest, row: str
) -> None:
    folder = request.getfixturevalue(str(BASE_ROWS[row].folder))
    values = recipe_values(folder, base={"kind": row, "model": str(folder)}, conditions=[CONDITION])
    pipe = GraphPipeline(GraphModel.build(parse_recipe(values), feature_width=WIDTH))
    shown, given = pipe.embed(pictures((64, 64), (64, 64))), {"guidance_scale": 2.0, "output_type": "latent"}
    wanted = drawn(pipe, shown, graph_guidance_scale=1.5, negative_prompt="a boat", **given)
    plain = DiffusionPipeline.from_pretrained(folder)
    plain.set_progress_bar_config(disable=True)
    attach(plain, pipe.model).show(shown, graph_guidance_scale=1.5)
    found = plain(
        "a star", num_inference_steps=2, generator=torch.manual_seed(0), negative_prompt="a boat", **given
    ).images
    detach(plain)
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)


def test_neighbors_without_pictures_and_pictures_of_other_shapes_are_refused(model: GraphModel) -> None:
    pipe = GraphPipeline(model)
    bare = NeighborFeatures(torch.zeros(1, 2, WIDTH), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(InputError, match=r"looks at the neighbors' pictures, and there are none"):
        drawn(pipe, bare)
    with unchecked(), pytest.raises(InputError, match=r"pictures are \(1, 2, 3, 64\), not \(1, 2\) of 3"):
        drawn(pipe, replace(bare, pictures=torch.zeros(1, 2, 3, 64)))
    with pytest.raises(InputError, match=r"width: 60 is not a multiple of"):
        drawn(pipe, replace(bare, pictures=torch.zeros(1, 2, 3, 64, 60)))
    with pytest.raises(InputError, match=r"picture of neighbor 0 of graph 0 is not finite"):
        drawn(pipe, replace(bare, pictures=torch.full((1, 2, 3, 64, 64), torch.nan)))
    masked = replace(bare, pictures=torch.zeros(1, 2, 3, 64, 64), mask=torch.ones(1, 64, 64))
    with pytest.raises(InputError, match="reads no masks"):
        drawn(pipe, masked)


def test_more_than_the_base_is_made_for_is_said(request: pytest.FixtureRequest) -> None:
    base = fresh(request, "flux2")
    encoder = ReferencesConfig().build(feature_width=WIDTH, base=base)
    text = base.encode_prompt(["a star"])

    def encoded(count: int) -> ReferenceLatents:
        present = torch.ones(1, count, dtype=torch.bool)
        shown = torch.zeros(1, count, 3, 32, 32)
        return encoder(NeighborFeatures(torch.zeros(1, count, 4), present, pictures=shown), text)

    with pytest.warns(Notice, match="made for up to 4, and gets 5"):
        assert encoded(5).latents.shape == (1, 5, *base.latent_shape(32, 32))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoded(4)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"injector": {"kind": "prompt_tokens"}}, "'prompt_tokens' reads GraphTokens.*'references' gives"),
        ({"without_graph": "zeros"}, "'zeros' is made of tokens, not of ReferenceLatents"),
    ],
)
def test_recipes_that_do_not_fit(sd_folder: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        small_recipe(sd_folder, conditions=[CONDITION | changes])


def test_a_recipe_over_a_base_that_looks_at_none(sd_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StableDiffusionConfig, "takes_references", False)
    with pytest.raises(InputError, match="takes references, and 'stable_diffusion' does not"):
        small_recipe(sd_folder, conditions=[CONDITION])
