"""A released InstructG2I checkpoint draws here what it draws in a plain-torch reference of the release."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import PNDMScheduler, StableDiffusionPipeline
from PIL import Image
from transformers import CLIPTextModel
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.pipeline import GraphPipeline
from tests.parity import release_reference
from tests.parity.release_reference import Call, ReleaseReference, qformer
from tests.release_folder import PREFIX, write_release_folder

TEXT_SCALE, GRAPH_SCALES = 7.5, [1.5, 3.0]
SAME, DIFFERENT = 1e-4, 1e-2
CHECKPOINTS = [(1, 1, 4), (2, 2, 4), (3, 3, 4), (4, 2, 5), (2, 3, 5)]
"""Tokens per neighbor; every how many layers look at neighbors; layers."""
FORMS = [("RGB", (64, 90)), ("L", (90, 50)), ("RGBA", (70, 120)), ("P", (40, 40)), ("RGB", (200, 65))]
TURNED = 6
"""EXIF's word for a picture that lies on its side, which the release does not heed."""


def pictures(count: int, seed: int = 0) -> list[Image.Image]:
    """Pictures of several modes and sizes, partly transparent where they can be."""
    draw = np.random.default_rng(seed)
    row = []
    for mode, size in FORMS[:count]:
        patches = Image.fromarray(draw.integers(0, 256, (4, 4, 4), np.uint8), "RGBA")
        row.append(patches.resize(size, Image.Resampling.NEAREST).convert(mode))
    row[0].getexif()[0x0112] = TURNED
    return row


def a_call(*prompts: str, negative: str = "") -> Call:
    prompts = prompts or ("a red house",)
    latents = torch.randn(len(prompts), 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return Call(list(prompts), latents, steps=4, negative=negative)


def ours(pipe: GraphPipeline, call: Call, neighbors: Any, **options: Any) -> np.ndarray:
    return pipe(
        call.prompts if len(call.prompts) > 1 else call.prompts[0],
        neighbors=neighbors,
        negative_prompt=call.negative,
        num_inference_steps=call.steps,
        latents=call.latents,
        output_type="np",
        **options,
    ).images


def distance(one: np.ndarray, other: np.ndarray) -> float:
    assert one.shape == other.shape
    return float(np.abs(one - other).max())


@pytest.fixture(scope="module", params=CHECKPOINTS, ids=str)
def release(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    tokens, every, layers = request.param
    folder = tmp_path_factory.mktemp("release")
    return write_release_folder(folder, tokens_per_neighbor=tokens, every=every, layers=layers, seed=tokens)


@pytest.fixture(scope="module")
def reference(release: Path) -> ReleaseReference:
    return ReleaseReference(release)


@pytest.fixture(scope="module")
def pipe(release: Path) -> GraphPipeline:
    return GraphPipeline.from_pretrained(release)


@pytest.mark.parametrize(("count", "negative"), [(5, ""), (3, "blurry"), (1, "")])
def test_joint(pipe: GraphPipeline, reference: ReleaseReference, count: int, negative: str) -> None:
    call, neighbors = a_call(negative=negative), pictures(count)
    got = ours(pipe, call, neighbors, guidance_scale=TEXT_SCALE, guidance_mode="joint")
    assert distance(got, reference.joint(call, reference.graph(neighbors), scale=TEXT_SCALE)) < SAME


@pytest.mark.parametrize(("count", "negative"), [(5, ""), (3, "blurry"), (1, "")])
def test_guide(pipe: GraphPipeline, reference: ReleaseReference, count: int, negative: str) -> None:
    call, neighbors = a_call(negative=negative), pictures(count)
    got = ours(pipe, call, neighbors, guidance_scale=TEXT_SCALE, graph_guidance_scale=2.0)
    graph = reference.graph(neighbors)
    assert distance(got, reference.guide(call, graph, text_scale=TEXT_SCALE, graph_scale=2.0)) < SAME


@pytest.mark.parametrize("counts", [(2, 1), (5, 3), (1, 5)], ids=str)
def test_multi(pipe: GraphPipeline, reference: ReleaseReference, counts: tuple[int, int]) -> None:
    call, neighbors = a_call(negative="blurry"), [pictures(n, seed=n) for n in counts]
    got = ours(pipe, call, neighbors, guidance_scale=TEXT_SCALE, graph_guidance_scale=GRAPH_SCALES)
    graphs = [reference.graph(one) for one in neighbors]
    wanted = reference.multi(call, graphs, text_scale=TEXT_SCALE, graph_scales=GRAPH_SCALES)
    assert distance(got, wanted) < SAME


def test_several_prompts_share_a_graph(pipe: GraphPipeline, reference: ReleaseReference) -> None:
    call, neighbors = a_call("a red house", "boats at night"), pictures(3)
    graph = reference.graph(neighbors)
    joint = ours(pipe, call, neighbors, guidance_scale=TEXT_SCALE, guidance_mode="joint")
    assert distance(joint, reference.joint(call, graph, scale=TEXT_SCALE)) < SAME
    guided = ours(pipe, call, neighbors, guidance_scale=TEXT_SCALE, graph_guidance_scale=2.0)
    wanted = reference.guide(call, graph, text_scale=TEXT_SCALE, graph_scale=2.0)
    assert distance(guided, wanted) < SAME


def test_scales_that_are_not_given_are_the_releases(pipe: GraphPipeline, reference: ReleaseReference) -> None:
    call, neighbors = a_call(), pictures(2)
    wanted = reference.guide(call, reference.graph(neighbors), text_scale=7.5, graph_scale=1.5)
    assert distance(ours(pipe, call, neighbors), wanted) < SAME


@pytest.mark.filterwarnings("ignore:Palette images")
@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_the_command_line_draws_the_same(tmp_path: Path, mode: str) -> None:
    reference = ReleaseReference(write_release_folder(tmp_path / "release"))
    files = []
    for number, picture in enumerate(pictures(4)):
        files.append(tmp_path / f"{number}.png")
        picture.save(files[-1], exif=picture.getexif())
    graphs = [files] if mode == "joint" else [files[:3], files[3:]]
    neighbors = [word for graph in graphs for word in ("--neighbors", *map(str, graph))]
    call, read = a_call(), [reference.graph([Image.open(file) for file in graph]) for graph in graphs]
    if mode == "joint":
        wanted = reference.joint(call, read[0], scale=TEXT_SCALE)
    else:
        wanted = reference.multi(call, read, text_scale=TEXT_SCALE, graph_scales=GRAPH_SCALES)
        neighbors += ["--graph-scale", *map(str, GRAPH_SCALES)]
    command_line("convert", "instructg2i", tmp_path / "release", "--out", tmp_path / "model")
    for model in ("release", "model"):
        out = tmp_path / f"{model}.png"
        asked = (
            "--prompt",
            call.prompts[0],
            "--steps",
            call.steps,
            "--seed",
            0,
            "--mode",
            mode,
            "--out",
            out,
        )
        command_line("generate", tmp_path / model, *asked, *neighbors)
        drawn = np.asarray(Image.open(out), np.float32)[None] / 255
        assert distance(drawn, wanted) < 0.51 / 255


def command_line(*arguments: object) -> None:
    result = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output


def other_preprocessing(folder: Path) -> None:
    side = {"height": 64, "width": 64}
    _edit(folder / "image_encoder" / "preprocessor_config.json", size=side, image_mean=[0.2, 0.5, 0.8])


def other_text_model(folder: Path) -> None:
    """As Stable Diffusion 2.x has it, with the end token's number that 1.5 has."""
    sizes = {"hidden_act": "gelu", "layer_norm_eps": 1e-2, "num_attention_heads": 4}
    _edit(folder / "text_encoder" / "config.json", **sizes, eos_token_id=2)


def other_scheduler(folder: Path) -> None:
    config = ReleaseReference(folder).scheduler.config
    PNDMScheduler.from_config(config, skip_prk_steps=True).save_pretrained(folder / "scheduler")
    _edit(folder / "model_index.json", scheduler=["diffusers", "PNDMScheduler"])


def _edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize("change", [other_preprocessing, other_text_model, other_scheduler])
def test_what_the_configs_of_a_release_say(tmp_path: Path, change: Callable[[Path], None]) -> None:
    plain = ReleaseReference(write_release_folder(tmp_path))
    change(tmp_path)
    call, neighbors, changed = a_call(), pictures(3), ReleaseReference(tmp_path)
    wanted = changed.joint(call, changed.graph(neighbors), scale=TEXT_SCALE)
    assert distance(wanted, plain.joint(call, plain.graph(neighbors), scale=TEXT_SCALE)) > DIFFERENT
    pipe = GraphPipeline.from_pretrained(tmp_path)
    got = ours(pipe, call, neighbors, guidance_scale=TEXT_SCALE, guidance_mode="joint")
    assert distance(got, wanted) < SAME


def test_pictures_are_prepared_as_clips_where_nothing_says_how(tmp_path: Path) -> None:
    reference = ReleaseReference(write_release_folder(tmp_path, processor=False))
    call, neighbors = a_call(), pictures(3)
    wanted = reference.guide(call, reference.graph(neighbors), text_scale=TEXT_SCALE, graph_scale=1.5)
    got = ours(GraphPipeline.from_pretrained(tmp_path), call, neighbors, guidance_scale=TEXT_SCALE)
    assert distance(got, wanted) < SAME


def test_graph_text_and_mask_each_change_the_reference(reference: ReleaseReference) -> None:
    call, graph = a_call(), reference.graph(pictures(3))
    other_text = a_call("boats at night")
    other_graph = reference.graph(pictures(3, seed=1))
    unmasked = replace(graph, mask=torch.ones_like(graph.mask))
    for draw in (
        lambda call, graph: reference.joint(call, graph, scale=TEXT_SCALE),
        lambda call, graph: reference.guide(call, graph, text_scale=TEXT_SCALE, graph_scale=2.0),
    ):
        picture = draw(call, graph)
        for changed in ((other_text, graph), (call, other_graph), (call, unmasked)):
            assert distance(picture, draw(*changed)) > DIFFERENT
    no_graph = reference.guide(call, graph, text_scale=TEXT_SCALE, graph_scale=0.0)
    assert distance(picture, no_graph) > DIFFERENT


def test_order_and_scales_of_graphs_change_the_reference(reference: ReleaseReference) -> None:
    call, graphs = a_call(), [reference.graph(pictures(3, seed=seed)) for seed in (0, 1)]
    one, other = (
        reference.multi(call, graphs, text_scale=TEXT_SCALE, graph_scales=scales)
        for scales in (GRAPH_SCALES, GRAPH_SCALES[::-1])
    )
    assert distance(one, other) > DIFFERENT


@pytest.mark.parametrize("mode", ["joint", "guide"])
@torch.no_grad()
def test_the_reference_is_diffusers_where_one_scale_guides(
    release: Path, reference: ReleaseReference, mode: str
) -> None:
    """With equal scales, what the text alone would give cancels out of the guidance over text and graph."""
    call, graph, scale = a_call(negative="blurry"), reference.graph(pictures(3)), 3.0
    tokens = reference.graph_tokens(call.prompts, graph)
    if mode == "joint":
        zeros = replace(graph, embeddings=torch.zeros_like(graph.embeddings))
        null, got = reference.graph_tokens(call.negatives, zeros), reference.joint(call, graph, scale=scale)
    else:
        null = torch.zeros_like(tokens)
        got = reference.guide(call, graph, text_scale=scale, graph_scale=scale)
    diffusers = StableDiffusionPipeline.from_pretrained(release)
    diffusers.set_progress_bar_config(disable=True)
    wanted = diffusers(
        prompt_embeds=torch.cat([reference.text(call.prompts), tokens], 1),
        negative_prompt_embeds=torch.cat([reference.text(call.negatives), null], 1),
        guidance_scale=scale,
        num_inference_steps=call.steps,
        latents=call.latents,
        output_type="np",
    ).images
    assert distance(got, wanted) < SAME


@torch.no_grad()
def test_the_references_qformer_is_clips_text_model_where_it_hears_nobody(
    release: Path, reference: ReleaseReference
) -> None:
    silent = {
        key: torch.zeros_like(value) if "crossattention.out_proj" in key else value
        for key, value in reference.gnn.items()
    }
    clip = CLIPTextModel(reference.text_encoder.config).eval()
    own = {key.removeprefix(PREFIX): value for key, value in reference.gnn.items()}
    clip.load_state_dict({key: own[key] for key in clip.state_dict()})
    ids, neighbors = reference.ids(["a red house", ""]), torch.randn(6, clip.config.hidden_size)
    got = qformer(silent, clip.config, ids, neighbors, torch.zeros(6))
    assert torch.allclose(got, clip(ids).last_hidden_state, atol=1e-5)


@torch.no_grad()
def test_the_references_qformer_hears_nobody_who_is_absent(reference: ReleaseReference) -> None:
    graph = reference.graph(pictures(3))
    moved = replace(graph, embeddings=graph.embeddings + (1 - graph.mask)[:, None])
    one, other = (reference.graph_tokens(["a red house"], given) for given in (graph, moved))
    assert torch.equal(one, other)


def test_the_reference_has_nothing_from_the_package() -> None:
    source = Path(release_reference.__file__).read_text(encoding="utf-8")
    assert "import graphcond" not in source
    assert "from graphcond" not in source
