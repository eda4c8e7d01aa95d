"""The null of a condition: what the denoiser reads where there is no graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcond.adapters import GatedSelfAttentionInjector, PromptTokenInjector
from graphcond.condition import Condition
from graphcond.context import SceneFeatures
from graphcond.encoders import ENCODERS, Encoder
from graphcond.errors import InputError
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import parse_recipe
from graphcond.scene_graph import SceneGraph
from graphcond.signals import GraphTokens, TextTokens
from tests.builders import FEATURE_WIDTH, recipe_values, small_base, small_model, some_features
from tests.scene_batches import EMPTY, PAIR, PARK, WORD_WIDTH, features_of

MANY = SceneGraph(["circle", "square", "star", "ring", "heart"], [])


class TwoPlaces(Encoder[SceneFeatures, GraphTokens]):
    """A plug-in's encoder: the first two objects, each with its place."""

    reads = SceneFeatures
    token_count = 2

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        tokens = context.nodes[:, :2, : text.hidden.shape[-1]]
        return GraphTokens(tokens, context.is_object[:, :2], context.boxes[:, :2], context.boxed[:, :2])


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


def prompts(base, count: int) -> TextTokens:
    return base.encode_prompt(["a star", "a tree", "a boat"][:count])


def built(base, kind: str, width: int = FEATURE_WIDTH, **settings: Any) -> Encoder:
    torch.manual_seed(0)
    return ENCODERS[kind](**settings).build(feature_width=width, base=base)


@pytest.mark.parametrize(
    ("kind", "width"),
    [("graph_qformer", FEATURE_WIDTH), ("neighbor_mean", FEATURE_WIDTH), ("sentence", WORD_WIDTH)],
)
def test_zeros_mean_the_same_without_graph_and_with_an_empty_one(base, kind: str, width: int) -> None:
    condition = Condition("c", built(base, kind, width), PromptTokenInjector(), null="zeros")
    text = prompts(base, 2)
    context = features_of([PAIR, EMPTY]) if kind == "sentence" else some_features(2)
    context = context.without(torch.tensor([False, True]))
    with torch.no_grad():
        signal, null = condition.signal(context, text), condition.null_signal(text)
        plain = condition.encoder(context, text)
    assert isinstance(signal, GraphTokens)
    assert null is not None
    for row, wanted in ((0, plain), (1, null)):
        assert torch.equal(signal.tokens[row], wanted.tokens[row])
        assert torch.equal(signal.present[row], wanted.present[row])


def test_zeros_keep_places_and_hide_padding_as_the_encoder_does(base) -> None:
    one = SceneGraph(["circle"], [], boxes=[[0.1, 0.1, 0.4, 0.4]])
    two = SceneGraph(["circle", "star"], [], boxes=[[0, 0, 0.4, 0.4], [0.6, 0.6, 1, 1]])
    condition = Condition("scene", TwoPlaces(), GatedSelfAttentionInjector(), null="zeros")
    text = prompts(base, 3)
    text = replace(text, hidden=text.hidden[..., :WORD_WIDTH])
    context = features_of([one, two, EMPTY])
    context = replace(context, boxed=context.boxed | torch.tensor([[False], [False], [True]]))
    signal = condition.signal(context, text)
    assert isinstance(signal, GraphTokens)
    assert signal.present.tolist() == [[True, False], [True, True], [True, True]]
    assert signal.boxed is not None
    assert signal.boxed.tolist() == [[True, False], [True, True], [False, False]]
    assert torch.equal(signal.boxes, context.boxes[:, :2])
    assert not signal.tokens[2].any()


@pytest.mark.parametrize("kind", ["triple_gcn", "gcn", "sage", "gat", "triple_transformer", "layout"])
def test_zeros_are_refused_where_the_graph_decides_on_the_tokens(base, sd_folder: Path, kind: str) -> None:
    encoder = built(base, kind, WORD_WIDTH, node_width=16)
    reason = "made of tokens, not of LayoutMap" if kind == "layout" else "depends on the graph"
    injector = PromptTokenInjector()
    if kind != "layout":
        with pytest.raises(InputError, match=rf"condition 'scene', .*{reason}.* Use the null 'absent'"):
            Condition("scene", encoder, injector, null="zeros")
    condition = {
        "name": "scene",
        "sampler": {"kind": "scene_triples"},
        "encoder": {"kind": kind},
        "injector": {"kind": "controlnet" if kind == "layout" else "prompt_tokens"},
        "without_graph": "zeros",
    }
    values = recipe_values(
        sd_folder,
        data={"kind": "world", "world": "scenes"},
        conditions=[condition],
        features={"kind": "tiny_bert"},
    )
    with pytest.raises(InputError, match=rf"conditions\.0\.without_graph: 'zeros' .*{reason}"):
        parse_recipe(values)


@pytest.mark.parametrize("kind", ["graph_qformer", "neighbor_mean"])
@pytest.mark.parametrize("null", ["absent", "zeros"])
def test_no_graph_is_scale_zero(sd_folder: Path, kind: str, null: str) -> None:
    condition = {
        "name": "neighbors",
        "sampler": {"kind": "ppr"},
        "encoder": {"kind": kind},
        "injector": {"kind": "prompt_tokens"},
        "without_graph": null,
    }
    pipe = GraphPipeline(small_model(sd_folder, conditions=[condition]))
    options: dict[str, Any] = {"num_inference_steps": 2, "output_type": "latent"}
    nothing, zero, empty = (
        pipe(
            ["a star", "a boat"],
            neighbors,
            graph_guidance_scale=scale,
            generator=torch.Generator().manual_seed(0),
            **options,
        ).images
        for neighbors, scale in ((None, None), (some_features(2), 0.0), ([[]], 1.5))
    )
    assert torch.equal(nothing, zero)
    assert torch.allclose(nothing, empty, atol=1e-5)


def test_a_picture_does_not_depend_on_its_batch(sd_folder: Path) -> None:
    """Of a scene that is drawn alone, and beside one with more objects."""
    base = small_base(sd_folder)
    model_pipe = GraphPipeline.from_parts(
        base,
        Condition("scene", built(base, "sentence", WORD_WIDTH), PromptTokenInjector(), null="zeros"),
        extractor=_Words(),
    )
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    options: dict[str, Any] = {"num_inference_steps": 2, "output_type": "latent"}
    alone = model_pipe("a star", scene=features_of([PAIR]), latents=noise[:1], **options).images
    beside = model_pipe(["a star"] * 2, scene=features_of([PAIR, MANY]), latents=noise, **options).images
    assert torch.allclose(alone[0], beside[0], atol=1e-5)


def test_joint_guidance_of_a_scene_shows_the_null_beside_the_negative_prompt(base) -> None:
    condition = Condition("scene", built(base, "sentence", WORD_WIDTH), PromptTokenInjector(), null="zeros")
    seen: list[torch.Size] = []
    denoise = base.denoise
    pipe = GraphPipeline.from_parts(base, condition, extractor=_Words())
    base.denoise = lambda inputs: seen.append(inputs) or denoise(inputs)
    try:
        pipe(
            "a star",
            scene=features_of([PARK]),
            guidance_mode="joint",
            num_inference_steps=1,
            output_type="latent",
            batched=False,
        )
    finally:
        del base.denoise
    unconditional, conditional = seen
    length = base.facts.token_count
    assert unconditional.context.shape == conditional.context.shape == (1, 2 * length, base.facts.token_width)
    assert not unconditional.context[:, length:].any()
    assert unconditional.context_weight is None or bool(unconditional.context_weight.all())


class _Words:
    """Stands in for a text encoder of words; features are given."""

    width = WORD_WIDTH


def test_two_conditions_of_one_name_are_refused(base) -> None:
    conditions = [Condition("c", built(base, "neighbor_mean"), PromptTokenInjector()) for _ in range(2)]
    with pytest.raises(InputError, match="two of the 2 conditions have one name"):
        GraphPipeline.from_parts(base, *conditions, extractor=_Words())
