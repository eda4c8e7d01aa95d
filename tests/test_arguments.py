"""What a caller may hand to the pipeline, and what is refused in words."""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, PNDMScheduler, RePaintScheduler
from PIL import Image

from graphcond.bases import StableDiffusionBase
from graphcond.context import NeighborFeatures
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.model import GraphModel
from graphcond.pipeline import (
    NEIGHBORS,
    GraphPipeline,
    check_choice,
    check_count,
    check_generators,
    check_steps,
    graphs_by_condition,
    texts_of,
)
from graphcond.signals import GraphTokens
from tests.builders import small_base, small_model, small_recipe, some_features
from tests.scene_batches import PAIR, PARK, features_of
from tests.typecheck import unchecked

PICTURE = Image.new("RGB", (8, 8))


def closed() -> Image.Image:
    """A picture whose file is closed before it was read."""
    file = BytesIO()
    PICTURE.save(file, "PNG")
    picture = Image.open(file)
    picture.close()
    return picture


def coloured(*colours: str) -> list[Image.Image]:
    return [Image.new("RGB", (8, 8), colour) for colour in colours]


def test_graphs_in_every_form() -> None:
    features = some_features()
    for given, wanted in [
        ([PICTURE, PICTURE], [[PICTURE, PICTURE]]),
        ((PICTURE,), [[PICTURE]]),
        ([[PICTURE], (PICTURE, PICTURE)], [[PICTURE], [PICTURE, PICTURE]]),
        ([], [[]]),
        ([[], []], [[], []]),
        (features, [features]),
        ([features, [PICTURE]], [features, [PICTURE]]),
    ]:
        assert graphs_by_condition(given, ["a"], NEIGHBORS) == {"a": wanted}
        assert graphs_by_condition({"b": given}, ["a", "b"], NEIGHBORS) == {"b": wanted}
    assert graphs_by_condition(None, ["a"], NEIGHBORS) == {}


@pytest.mark.parametrize(
    "given",
    [[None], 5, torch.zeros(1, 5, 8), [[PICTURE], [None]], {"a": 5}],
    ids=["nothing", "a number", "a tensor", "nothing in one", "a number by name"],
)
def test_what_is_no_graph(given: Any) -> None:
    with pytest.raises(InputError, match=r"neighbors: a graph is a list of pictures, not .* Give a list"):
        graphs_by_condition(given, ["a"], NEIGHBORS)


def test_pictures_are_given_as_files_too_and_one_without_a_list(tmp_path: Path) -> None:
    file = tmp_path / "one.png"
    PICTURE.save(file)
    for given in (PICTURE, file, str(file), [file], [[file]], (PICTURE,)):
        ((graph,),) = graphs_by_condition({"a": given}, ["a", "b"], NEIGHBORS).values()
        assert [np.asarray(one).tolist() for one in graph] == [np.asarray(PICTURE).tolist()]
    for missing in ("two.png", [file, tmp_path / "two.png"]):
        with pytest.raises(InputError, match=r"two\.png"):
            graphs_by_condition(missing, ["a"], NEIGHBORS)


def test_graphs_name_what_they_belong_to() -> None:
    with pytest.raises(InputError, match="mixed"):
        graphs_by_condition([PICTURE, None], ["a"], NEIGHBORS)
    with pytest.raises(InputError, match="mapping with keys a, b"):
        graphs_by_condition([PICTURE], ["a", "b"], NEIGHBORS)
    with pytest.raises(InputError, match="there is no condition '1'"):
        graphs_by_condition({1: [PICTURE]}, ["a"], NEIGHBORS)


@pytest.mark.parametrize("given", [None, 5, [], ["a", None], b"a", "lone \ud800"], ids=repr)
def test_what_is_no_prompt(given: Any) -> None:
    with pytest.raises(InputError, match=r"prompt: .* Give a string"):
        texts_of(given, "prompt")


def test_counts_generators_and_choices() -> None:
    for wrong in (0, -1, 1.5, "3", None, True, np.True_, np.float64(3), torch.tensor(2.0)):
        with pytest.raises(InputError, match=r"copies: .* Use 1 or more"):
            check_count(wrong, "copies")
    with pytest.raises(InputError, match=r"expected at most 1000 steps, .* got 1001"):
        check_steps(1001, 1000)
    for generator, message in [
        ([torch.Generator()], "expected one or 2 generators, got 1"),
        (5, "expected a torch.Generator, got a int"),
        ((), "tuple"),
    ]:
        with pytest.raises(InputError, match=message):
            check_generators(generator, 2)
    check_generators([torch.Generator()] * 2, 2)
    assert [check_count(one, "copies") for one in (3, np.int64(3), torch.tensor(3), np.array(3))] == [3] * 4
    with pytest.raises(InputError, match="Did you mean 'pil'"):
        check_choice("pill", ["pil", "np"], "output_type")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_inference_steps": 1001}, "expected at most 1000 steps"),
        ({"num_images_per_prompt": 0}, "num_images_per_prompt: expected at least 1, got 0"),
        ({"output_type": "jpg"}, "output_type"),
        ({"height": 64.0}, "height: expected a whole number, got 64.0"),
        ({"width": -8}, "width: expected at least 1, got -8"),
        ({"generator": [torch.Generator()] * 2}, "expected one or 1 generators, got 2"),
        ({"latents": torch.zeros(1, 4, 8, 9)}, "latents: expected the shape"),
        ({"guidance_scale": float("inf")}, "not all finite"),
        ({"guidance_scale": 1e38}, "no finite values. Use lower scales"),
        ({"neighbors": 5}, "a graph is a list of pictures, not int"),
        ({"strength": 0.5}, "strength: there is no picture to draw from"),
        ({"mask_image": PICTURE}, "mask_image: there is no picture to draw from"),
        ({"image": PICTURE, "strength": 1.5}, "strength: expected a number in 0..1, got 1.5"),
        ({"image": PICTURE, "strength": -0.1}, "strength: expected a number in 0..1, got -0.1"),
        ({"image": PICTURE, "strength": "1"}, "strength: expected a number, got '1'"),
        ({"image": PICTURE, "strength": 0.3}, "strength: no step of 2 is left at 0.3"),
        (
            {"image": PICTURE, "mask_image": Image.new("L", (8, 9))},
            "mask_image: the picture has (8, 8) pixels (height, width), the mask (9, 8)",
        ),
        ({"image": 5}, "image: expected a picture, got a int"),
        ({"image": [PICTURE, PICTURE]}, "image: expected one picture, or one for each of 1 prompts, got 2"),
        ({"timesteps": [1, 2]}, "timesteps: DDIMScheduler does not take them"),
        ({"sigmas": [1.0, 0.5]}, "sigmas: DDIMScheduler does not take them"),
        ({"clip_skip": 9}, "clip_skip: expected a whole number, at most the 2 layers"),
        ({"prompt_embeds": torch.zeros(1, 5, 32)}, "prompt_embeds: expected the shape (1, 77, 32)"),
        ({"ip_adapter_image": PICTURE}, "ip_adapter_image: no IP-Adapter can read it"),
        ({"callback_on_step_end_tensor_inputs": ["noise"]}, "there is no 'noise'"),
        ({"eta": "1"}, "eta: expected a number, got '1'"),
        ({"neighbors": [PICTURE], "guidance_mode": "jiont"}, "guidance_mode: there is no 'jiont'"),
        ({"guidance_mode": ""}, "guidance_mode: there is no ''"),
        ({"num_inference_steps": True}, "num_inference_steps: expected a whole number, got True"),
        ({"guidance_scale": "7.5"}, "guidance_scale: expected a number, got '7.5'"),
        ({"guidance_scale": True}, "guidance_scale: expected a number, got True"),
        ({"guidance_rescale": [0.5]}, "guidance_rescale: expected a number, got [0.5]"),
        ({"guidance_start": None, "guidance_end": "1"}, "guidance_end: expected a number, got '1'"),
        ({"graph_guidance_scale": "1.5"}, "graph_guidance_scale: expected a number, got '1.5'"),
        ({"graph_guidance_scale": ["1.5"]}, "graph_guidance_scale: expected a number, got '1.5'"),
        ({"graph_guidance_scale": {"neighbors": 1.5}}, "graph_guidance_scale: expected a number, got {"),
        ({"graph_guidance_scale": [1.5, 2]}, "expected 1 scales, one for each graph, got 2"),
        ({"graph_guidance_scale": np.array([1.5, 2])}, "expected 1 scales, one for each graph, got 2"),
        ({"graph_guidance_scale": []}, "expected 1 scales, one for each graph, got 0"),
        ({"graph_guidance_scale": [float("nan")]}, "not all finite"),
        ({"latents": np.zeros((1, 4, 8, 8))}, "latents: expected a tensor of finite numbers"),
        ({"latents": torch.full((1, 4, 8, 8), float("nan"))}, "latents: expected a tensor of finite numbers"),
        ({"neighbors": [closed()]}, "a picture cannot be read (Operation on closed image)"),
        ({"neighbors": [Image.new("RGB", (0, 5))]}, "a picture has 0 x 5 pixels"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_the_pipeline_refuses(
    sd_folder: Path, clip_folder: Path, options: dict[str, Any], message: str
) -> None:
    pipe = GraphPipeline(small_model(sd_folder, features={"kind": "clip", "model": str(clip_folder)}))
    options.setdefault("neighbors", some_features())
    with unchecked(), pytest.raises(InputError) as caught:
        pipe("a star", **{"num_inference_steps": 2, **options})
    assert message in str(caught.value)


@pytest.fixture(scope="module")
def pipe(sd_folder: Path, clip_folder: Path) -> GraphPipeline:
    return GraphPipeline(small_model(sd_folder, features={"kind": "clip", "model": str(clip_folder)}))


def drawn(pipe: GraphPipeline, prompt: Any, **options: Any) -> torch.Tensor:
    noise = [torch.Generator().manual_seed(0) for _ in range(1 if isinstance(prompt, str) else len(prompt))]
    settings = {"num_inference_steps": 2, "output_type": "latent", "graph_guidance_scale": 3.0, **options}
    return pipe(prompt, generator=noise, **settings).images


def test_features_that_do_not_belong_together(pipe: GraphPipeline) -> None:
    embeddings = torch.zeros(1, 3, 24)
    with unchecked():
        for present in (
            torch.ones(1, 2, dtype=torch.bool),
            torch.ones(1, 3),
            torch.ones(3, dtype=torch.bool),
        ):
            with pytest.raises(
                InputError, match=r"neighbors: expected embeddings \(rows, n, width\) and pre"
            ):
                drawn(pipe, "a star", neighbors=NeighborFeatures(embeddings, present))


def test_lists_of_pictures_are_a_graph_for_each_of_several_prompts(pipe: GraphPipeline) -> None:
    one, other = coloured("red", "blue"), coloured("green")
    both = drawn(pipe, ["a star", "a boat"], neighbors=[one, other])
    for row, (prompt, graph) in enumerate([("a star", one), ("a boat", other)]):
        assert torch.allclose(both[row], drawn(pipe, prompt, neighbors=graph)[0], atol=1e-5)
    some = drawn(pipe, ["a star", "a boat"], neighbors=[one, []])
    assert torch.allclose(some[1], drawn(pipe, "a boat")[0], atol=1e-5)
    alone = drawn(pipe, ["a boat"], neighbors=[other])
    assert torch.allclose(alone, drawn(pipe, "a boat", neighbors=other), atol=1e-5)
    with pytest.raises(InputError, match="for each of 1 prompts, got 2"):
        drawn(pipe, ["a star"], neighbors=[one, other])
    mixed = drawn(pipe, "a star", neighbors=[one, other])
    features = [pipe.embed(one), pipe.embed(other)]
    mixed_for_two = drawn(pipe, ["a star", "a boat"], neighbors=features)
    assert torch.allclose(mixed_for_two[0], mixed[0], atol=1e-5)
    assert not torch.allclose(mixed[0], both[0], atol=1e-3)


@pytest.mark.parametrize("count", [2, 4])
def test_more_or_fewer_lists_of_pictures_than_prompts_are_ambiguous(pipe: GraphPipeline, count: int) -> None:
    with pytest.raises(InputError, match=r"for each of 3 prompts, got \d\. To show several graphs in every"):
        drawn(pipe, ["a", "b", "c"], neighbors=[coloured("red")] * count)
    with pytest.raises(InputError, match="for each of 2 prompts"):
        drawn(pipe, ["a", "b"], neighbors=[coloured("red"), some_features()])


@pytest.mark.parametrize(
    "scale", [3, np.float32(3), np.array(3), torch.tensor(3.0), [3], torch.tensor([3.0])]
)
def test_numbers_of_every_library_are_arguments(pipe: GraphPipeline, scale: Any) -> None:
    wanted = drawn(pipe, "a star", neighbors=some_features(), guidance_scale=2.0)
    options = {
        "graph_guidance_scale": scale,
        "guidance_scale": np.float64(2),
        "num_inference_steps": np.int64(2),
    }
    with unchecked():
        given = drawn(pipe, "a star", neighbors=some_features(), **options)
    assert torch.equal(given, wanted)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_absent_changes_nothing_and_what_is_present_is_named(pipe: GraphPipeline, bad: float) -> None:
    features = some_features(2, 3)
    present = torch.tensor([[True, True, True], [True, False, True]])
    spoiled = features.embeddings.clone()
    spoiled[1, 1] = bad
    clean = NeighborFeatures(features.embeddings.masked_fill(~present[..., None], 0), present)
    prompts = ["a star", "a boat"]
    wanted = drawn(pipe, prompts, neighbors=clean)
    assert torch.equal(drawn(pipe, prompts, neighbors=NeighborFeatures(spoiled, present)), wanted)
    with pytest.raises(InputError, match=r"neighbors: the embedding of neighbor 1 of graph 1 is not finite"):
        drawn(pipe, prompts, neighbors=NeighborFeatures(spoiled, torch.ones_like(present)))


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_steps_that_a_scheduler_cannot_make(pipe: GraphPipeline, steps: int) -> None:
    before = pipe.scheduler
    config = {**before.config, "skip_prk_steps": False}
    try:
        pipe.scheduler = PNDMScheduler.from_config(config)
        with pytest.raises(
            InputError, match=rf"num_inference_steps: PNDMScheduler cannot make {steps} steps"
        ):
            drawn(pipe, "a star", num_inference_steps=steps)
        assert drawn(pipe, "a star", num_inference_steps=4).isfinite().all()
        for scheduler, message in [
            (RePaintScheduler(), "RePaintScheduler cannot make a step"),
            (FlowMatchEulerDiscreteScheduler(), "predicts 'flow', the base predicts 'epsilon'"),
            (None, "expected a scheduler of diffusers, got a NoneType"),
            ("ddim", "expected a scheduler of diffusers, got a str"),
        ]:
            pipe.scheduler = scheduler
            with pytest.raises(InputError, match=message):
                drawn(pipe, "a star")
    finally:
        pipe.scheduler = before


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "gpu", "mps", 5])
def test_devices_that_are_not_there(sd_folder: Path, clip_folder: Path, device: Any) -> None:
    if device == "cuda" and torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    calls = [
        lambda: StableDiffusionBase.from_pretrained(str(sd_folder), device=device),
        lambda: GraphModel.build(small_recipe(sd_folder), feature_width=24, device=device),
        lambda: ClipExtractor.from_pretrained(clip_folder, device=device),
        lambda: small_base(sd_folder).placed(device, "sdpa", gradient_checkpointing=False),
    ]
    for call in calls:
        with pytest.raises(InputError, match=rf"the device '{device}' is not available here. Leave it out"):
            call()


@pytest.mark.parametrize("options", [{"dtype": "float16"}, {"dtype": torch.float16}, {"attention": "flash"}])
def test_formats_and_kernels_that_do_not_exist(sd_folder: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"base\.(dtype|attention): there is no '.*'"):
        StableDiffusionBase.from_pretrained(str(sd_folder), **options)


def test_weights_that_are_not_finite_are_named(sd_folder: Path) -> None:
    model = small_model(sd_folder)
    with torch.no_grad():
        next(model.conditions["neighbors"].encoder.parameters()).fill_(float("nan"))
    with pytest.raises(
        InputError, match="the encoder of the condition 'neighbors' gives values that are not"
    ):
        drawn(GraphPipeline(model), "a star", neighbors=some_features())


def test_relations_and_triples_that_name_nothing() -> None:
    features = some_features(2, 3)
    for relation, known in ((-1, False), (0, True), (2, True), (3, False)):
        relations = torch.zeros(2, 3, dtype=torch.long)
        relations[1, 2] = relation
        related = replace(features, relations=relations, relation_names=("same_artist", "same_year"))
        wanted = None if known else "the relation of neighbor 2 of graph 1 is not one of the 2 known"
        assert related.fault() == wanted
        assert replace(related, present=features.present & (relations == 0)).fault() is None
    scenes = features_of([PARK, PAIR], nodes=1)
    assert scenes.fault() is None
    for end in (-1, scenes.nodes.shape[1], scenes.nodes.shape[1] - 1):  # the last node is padding
        triples = scenes.triples.clone()
        triples[1, 0, 1] = end
        assert (
            replace(scenes, triples=triples).fault() == "triple 0 of scene 1 names a node that is not there"
        )
        assert replace(scenes, triples=triples, related=torch.zeros_like(scenes.related)).fault() is None
    nodes = scenes.nodes.clone()
    nodes[0, 1] = float("inf")
    assert replace(scenes, nodes=nodes).fault() == "the embedding of node 1 of scene 0 is not finite"


def test_what_is_no_list_of_pictures_is_not_embedded(pipe: GraphPipeline) -> None:
    for wrong in (5, [5], {"one": PICTURE}):
        with unchecked(), pytest.raises(InputError, match="a graph is a list of pictures"):
            pipe.embed(wrong)  # type: ignore[arg-type]


def test_embeddings_that_are_not_finite_are_named(clip_folder: Path) -> None:
    clip = ClipExtractor.from_pretrained(clip_folder)
    with torch.no_grad():
        clip.model.visual_projection.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="2 of 2 pictures or texts are not finite, the first is number 0"):
        clip.embed_pictures(coloured("red", "blue"))


def test_a_weight_of_graph_tokens_is_not_negative(sd_folder: Path) -> None:
    model = small_model(sd_folder)
    inputs = DenoiserInputs(torch.zeros(1, 4, 8, 8), torch.tensor([3]), torch.zeros(1, 5, 32))
    tokens = GraphTokens(torch.zeros(1, 2, 32), torch.ones(1, 2, dtype=torch.bool))
    for scale in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="expected a weight of at least 0"):
            model.conditions["neighbors"].injector.apply(inputs, tokens, scale)
