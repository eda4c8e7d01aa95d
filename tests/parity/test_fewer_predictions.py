"""Predictions that are used again or left out, in `GraphPipeline`, in `attach` and in a `GraphGuider`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline
from diffusers.guiders import ClassifierFreeGuidance
from torch import Tensor

from graphcond import GraphGuider, attach
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import small_model, some_features

STEPS = 5
OPTIONS: dict[str, Any] = {"guidance_scale": 3.0, "num_inference_steps": STEPS}
GRAPHS = [some_features(2, seed=1), some_features(2, seed=2)]
SCALES = [2.0, -1.0]
PROMPTS = ["a star", "a boat"]


@pytest.fixture(scope="module")
def saved(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fewer") / "model"
    small_model(sd_folder).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pipe(saved: Path) -> GraphPipeline:
    return GraphPipeline.from_pretrained(saved)


def drawn(pipe: Any, prompts: list[str] = PROMPTS, **options: Any) -> Tensor:
    pipe.set_progress_bar_config(disable=True)
    noise = [torch.Generator().manual_seed(7 + PROMPTS.index(one)) for one in prompts]
    latents: Tensor = pipe(prompts, output_type="latent", generator=noise, **({**OPTIONS, **options})).images
    return latents


def near(one: Tensor, other: Tensor) -> bool:
    return bool((one - other).abs().max() < 1e-5 * max(1, float(other.abs().max())))


@pytest.mark.parametrize("batched", [True, False])
def test_the_pipeline_makes_fewer_predictions_and_counts_them(
    pipe: GraphPipeline, batched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[int] = []
    denoise = pipe.model.base.denoise
    monkeypatch.setattr(
        pipe.model.base, "denoise", lambda inputs: (rows.append(len(inputs.sample)), denoise(inputs))[1]
    )
    pictures, graph = {}, {"neighbors": GRAPHS, "graph_guidance_scale": SCALES, "batched": batched}
    for reuse, made in ((1, 4 * STEPS), (2, 4 * 3 + 2), (3, 4 * 2 + 3), (50, 4 + 4)):
        rows.clear()
        pictures[reuse] = drawn(pipe, **graph, guidance_reuse=reuse)
        assert pipe.predictions_made.tolist() == [made] * 2
        assert sum(rows) == 2 * made
    assert torch.equal(pictures[1], drawn(pipe, **graph))
    assert not near(pictures[1], pictures[3])


def test_what_agrees_is_left_out_in_each_picture_by_itself(pipe: GraphPipeline) -> None:
    graph: dict[str, Any] = {"graph_guidance_scale": SCALES, "guidance_skip_below": 0.97}
    both = drawn(pipe, neighbors=GRAPHS, **graph)
    made = pipe.predictions_made.tolist()
    assert all(STEPS < count < 4 * STEPS for count in made)
    for picture, prompt in enumerate(PROMPTS):
        own = [one.select(torch.tensor([picture])) for one in GRAPHS]
        alone = drawn(pipe, [prompt], neighbors=own, **graph)
        assert near(alone, both[picture : picture + 1])
        assert pipe.predictions_made.tolist() == made[picture : picture + 1]


@pytest.mark.parametrize(("setting", "value"), [("reuse", 2), ("skip_below", 0.97), ("reuse", 1)], ids=str)
def test_attach_makes_as_few(
    saved: Path, sd_folder: Path, setting: str, value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model's own setting draws the same picture through both doors, with as many predictions."""
    own = GraphPipeline.from_pretrained(saved)
    model = with_setting(own.model, **{setting: value})
    graph: dict[str, Any] = {"neighbors": GRAPHS, "graph_guidance_scale": SCALES}
    own = GraphPipeline(model)
    wanted = drawn(own, **graph)
    made = int(own.predictions_made.sum())
    plain = StableDiffusionPipeline.from_pretrained(sd_folder)
    rows: list[int] = []
    attached = attach(plain, model)
    denoise = model.base.denoise
    monkeypatch.setattr(
        model.base, "denoise", lambda inputs: (rows.append(len(inputs.sample)), denoise(inputs))[1]
    )
    attached.show(**graph)
    assert near(drawn(plain), wanted)
    assert sum(rows) == made
    assert near(drawn(plain), wanted)  # the next drawing starts anew


def with_setting(model: GraphModel, **settings: Any) -> GraphModel:
    """The model with its own settings of guidance."""
    guidance = model.recipe.guidance.model_copy(update=settings)
    return model.drawn_as(model.recipe.model_copy(update={"guidance": guidance}))


@pytest.mark.parametrize("reuse", [1, 2, 3])
def test_a_graph_guider_prepares_fewer_branches(pipe: GraphPipeline, reuse: int) -> None:
    graph: dict[str, Any] = {"neighbors": GRAPHS}
    guider = GraphGuider(3.0, SCALES, reuse=reuse)
    own = drawn(pipe, **graph, guider=guider, guidance_scale=None)
    made = pipe.predictions_made.tolist()
    assert torch.equal(own, drawn(pipe, **graph, graph_guidance_scale=SCALES, guidance_reuse=reuse))
    answers = {name: torch.randn(2, 4, 8, 8) for name in guider.predictions}
    prepared = 0
    for _ in range(2):  # a second drawing measures again
        for step in range(STEPS):
            guider.set_state(step, STEPS, torch.tensor(step))
            blocks = guider.prepare_inputs({"one": tuple(guider.predictions)})
            assert len(blocks) == guider.num_conditions
            prepared += len(blocks)
            for block in blocks:
                block.noise_pred = answers[block.one]
            assert near(guider(blocks).pred, full(answers))
    assert prepared == 2 * made[0]


def full(answers: dict[str, Tensor]) -> Tensor:
    text, empty, *graphs = answers.values()
    shift = sum(scale * (one - text) for scale, one in zip(SCALES, graphs, strict=True))
    return empty + 3.0 * (text - empty) + shift


def test_a_guider_of_diffusers_reads_predictions_that_are_used_again(pipe: GraphPipeline) -> None:
    graph: dict[str, Any] = {"neighbors": GRAPHS, "graph_guidance_scale": SCALES, "guidance_reuse": 2}
    wanted = drawn(pipe, **graph)
    guider = ClassifierFreeGuidance(3.0)
    assert near(drawn(pipe, **graph, guider=guider, guidance_scale=None), wanted)
    assert pipe.predictions_made.tolist() == [4 * 3 + 2] * 2


def test_settings_that_are_refused(pipe: GraphPipeline) -> None:
    for settings, message in [
        ({"guidance_reuse": 0}, "expected a whole number of steps, 1 or more, got 0"),
        ({"guidance_skip_below": 2}, r"skip_below 2\.0 is outside 0\.\.1"),
        ({"guidance_reuse": 2, "guider": GraphGuider(3.0)}, "it is a setting of the GraphGuider, too"),
    ]:
        with pytest.raises(InputError, match=message):
            drawn(pipe, guidance_scale=None, **settings)
    with pytest.raises(TypeError, match="skip_below"):
        GraphGuider(skip_below=0.1)
