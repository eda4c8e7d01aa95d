"""The Graph-QFormer: the release's names and shapes, and a start at the base's own text encoder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.bases import Base
from graphcond.context import NeighborFeatures
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.encoders import GraphQFormer, GraphQFormerConfig
from graphcond.errors import InputError
from tests.builders import FEATURE_WIDTH, small_base, some_features
from tests.conformance.parts import fresh


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


def build(base, **settings) -> GraphQFormer:
    torch.manual_seed(0)
    return GraphQFormerConfig(**settings).build(feature_width=FEATURE_WIDTH, base=base)


def test_names_and_shapes_are_the_releases(base) -> None:
    text, width = base.text_encoder.config, base.facts.token_width
    clip = {f"text_model.{name.removeprefix('text_model.')}" for name in base.text_encoder.state_dict()}
    ours = {name: tuple(tensor.shape) for name, tensor in build(base).state_dict().items()}
    layers = [n for n in range(text.num_hidden_layers) if n % 2 == 0]
    extra = {
        f"text_model.encoder.layers.{n}.{part}.{kind}"
        for n in layers
        for part in (*(f"crossattention.{p}_proj" for p in "qkv"), "crossattention.out_proj", "layer_norm3")
        for kind in ("weight", "bias")
    }
    projector = {
        "projector.proj.weight",
        "projector.proj.bias",
        "projector.norm.weight",
        "projector.norm.bias",
    }
    assert set(ours) == clip | extra | projector
    assert ours["projector.proj.weight"] == (4 * width, FEATURE_WIDTH)
    assert ours["projector.norm.weight"] == (width,)
    assert ours["text_model.encoder.layers.0.crossattention.k_proj.weight"] == (text.hidden_size, width)


@pytest.mark.parametrize(("every", "layers"), [(1, {0, 1}), (2, {0}), (3, {0})])
def test_cross_attention_in_every_nth_layer(base, every: int, layers: set[int]) -> None:
    names = build(base, cross_attention_every=every).state_dict()
    assert {int(name.split(".")[3]) for name in names if "crossattention" in name} == layers


@torch.no_grad()
def test_it_starts_as_the_text_encoder(base) -> None:
    text = base.encode_prompt(["a star", "a house by the sea"])
    tokens = build(base)(some_features(2), text).tokens
    assert torch.allclose(tokens, text.hidden, atol=1e-5)


@torch.no_grad()
def test_so_that_training_starts_at_the_base(base) -> None:
    """A context of the prompt's tokens twice attends to the same mean as the prompt's tokens once."""
    text = base.encode_prompt(["a star"])
    tokens = build(base)(some_features(1), text).tokens
    sample = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = DenoiserInputs(sample, torch.tensor([400]), text.hidden)
    with_graph = DenoiserInputs(sample, torch.tensor([400]), torch.cat([text.hidden, tokens], 1))
    assert torch.allclose(base.denoise(plain), base.denoise(with_graph), atol=1e-5)


@torch.no_grad()
def test_self_attention_lets_neighbors_exchange(base) -> None:
    """With it, what one neighbor says depends on who else is there, beyond a softmax over all."""
    encoder = build(base, neighbor_self_attention=True, zero_start=False)
    assert encoder.mixer is not None
    tokens = encoder.projector(some_features(1).embeddings)
    everyone = torch.ones(tokens.shape[:2], dtype=torch.bool)
    alone = everyone.clone()
    alone[:, 4:] = False
    mixed, unmixed = encoder.mixer(tokens, everyone), encoder.mixer(tokens, alone)
    assert (mixed[:, :4] - unmixed[:, :4]).abs().max() > 1e-4


@torch.no_grad()
def test_the_prompt_asks(base) -> None:
    encoder, features = build(base, zero_start=False), some_features(1)
    one, other = (encoder(features, base.encode_prompt([text])).tokens for text in ("a star", "a house"))
    assert (one - other).abs().max() > 1e-3


def test_weights_of_another_shape_are_refused(base) -> None:
    with pytest.raises((ValueError, RuntimeError)):
        build(base).start_from(torch.nn.Linear(2, 2))


@torch.no_grad()
def test_normalized_embeddings_ignore_their_length(base) -> None:
    encoder = build(base, normalize_embeddings=True, zero_start=False)
    text, features = base.encode_prompt(["a star"]), some_features(1)
    longer = NeighborFeatures(features.embeddings * 7, features.present)
    assert torch.allclose(encoder(features, text).tokens, encoder(longer, text).tokens, atol=1e-5)


def test_frozen_text_leaves_what_reads_the_neighbors(base) -> None:
    trained = {name for name, p in build(base, freeze_text=True).named_parameters() if p.requires_grad}
    everything = {name for name, _ in build(base).named_parameters()}
    assert trained == {name for name in everything if _reads_neighbors(name)}


def _reads_neighbors(name: str) -> bool:
    return any(part in name for part in ("projector", "crossattention", "layer_norm3"))


@torch.no_grad()
def test_clips_start_reads_a_picture_as_the_text_state_that_projects_to_it(base) -> None:
    """What CLIP makes of a prompt's last state becomes that state again, up to the null space."""
    torch.manual_seed(3)
    projection = torch.randn(FEATURE_WIDTH, base.facts.token_width)
    config = GraphQFormerConfig(init="clip")
    encoder = config.build(feature_width=FEATURE_WIDTH, base=base, text_projection=projection)
    norm = encoder.text_model.final_layer_norm
    state = base.encode_prompt(["a star"]).hidden[0, 4]
    token = encoder.projector.proj((projection @ state)[None, None])[0, 0, : base.facts.token_width]
    read = token * norm.weight + norm.bias
    assert torch.allclose(projection @ read, projection @ state, rtol=0.2, atol=0.5)
    other = projection @ base.encode_prompt(["a house by the sea"]).hidden[0, 4]
    assert (projection @ read - projection @ state).norm() < (projection @ read - other).norm()


@torch.no_grad()
def test_clips_start_lets_neighbors_through_at_once(base) -> None:
    projection = torch.randn(
        FEATURE_WIDTH, base.facts.token_width, generator=torch.Generator().manual_seed(0)
    )
    text = base.encode_prompt(["a star"])
    encoder = GraphQFormerConfig(init="clip").build(
        feature_width=FEATURE_WIDTH, base=base, text_projection=projection
    )
    one, other = (encoder(some_features(1, seed=seed), text).tokens for seed in (0, 1))
    assert (one - other).abs().max() > 1e-2
    empty = NeighborFeatures(torch.zeros(1, 0, FEATURE_WIDTH), torch.zeros(1, 0, dtype=torch.bool))
    assert torch.allclose(encoder(empty, text).tokens, text.hidden, atol=1e-5)


def test_a_projection_that_does_not_fit(base) -> None:
    with pytest.raises(InputError, match="init: clip"):
        GraphQFormerConfig(init="clip").build(
            feature_width=FEATURE_WIDTH, base=base, text_projection=torch.zeros(3, 5)
        )


def test_a_width_that_does_not_fit_the_base(base) -> None:
    with pytest.raises(InputError, match=r"encoder\.width: the width 17 does not fit"):
        build(base, width=17, init="random")


# Bases without CLIP


@pytest.fixture(scope="module", params=["sana", "flux2"])
def other(request: pytest.FixtureRequest) -> Base:
    return fresh(request, request.param)


@torch.no_grad()
def test_over_another_text_encoder_it_starts_as_the_prompt(other: Base) -> None:
    text = other.encode_prompt(["a star", "a house by the sea"])
    encoder = build(other)
    given = encoder(some_features(2), text)
    assert torch.equal(given.tokens, text.hidden)
    assert torch.equal(given.present, text.attended(other.masks_padding))
    random = build(other, init="random")(some_features(2), text)
    assert (random.tokens - text.hidden).abs().max() > 0.1


def test_there_it_learns_from_neighbors_and_from_the_prompt(other: Base) -> None:
    encoder, text = build(other, zero_start=False), other.encode_prompt(["a star", "a house"])
    torch.nn.init.normal_(encoder.to_tokens.weight)
    given = encoder(some_features(2), text)
    assert given.tokens.shape == (2, other.facts.token_count, other.facts.token_width)
    changed = [encoder(some_features(2, seed=5), text).tokens, encoder(some_features(2), text).tokens]
    assert (changed[0] - given.tokens).abs().max() > 1e-3
    assert torch.equal(changed[1], given.tokens)
    given.tokens.square().sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.parameters())


@pytest.mark.parametrize("settings", [{"init": "clip"}, {"freeze_text": True}])
def test_what_needs_clip_is_refused_there(other: Base, settings: dict) -> None:
    with pytest.raises(InputError, match="has no CLIP text encoder to start from"):
        build(other, **settings)


def test_there_the_first_step_reaches_what_reads_the_neighbors(other: Base) -> None:
    encoder, text = build(other), other.encode_prompt(["a star", "a house"])
    torch.nn.init.normal_(encoder.to_tokens.weight)  # as after a first step
    encoder(some_features(2), text).tokens.square().sum().backward()
    assert encoder.projector.proj.weight.grad.abs().max() > 0


def test_there_its_layers_are_a_setting(other: Base, base: Base) -> None:
    assert [len(build(other, layers=n).text_model.encoder.layers) for n in (1, None)] == [1, 12]
    with pytest.raises(
        InputError, match=r"layers of its own.*encoder\.layers|encoder\.layers.*layers of its own"
    ):
        build(base, layers=2)


@torch.no_grad()
def test_fewer_tokens_are_those_of_the_prompts_first(base: Base) -> None:
    text = base.encode_prompt(["a star", "a house by the sea"])
    whole, few = (build(base, tokens=tokens, zero_start=False) for tokens in (None, 5))
    assert (whole.token_count, few.token_count) == ("prompt", 5)
    given = few(some_features(2), text)
    assert given.present.shape == (2, 5)
    assert torch.allclose(given.tokens, whole(some_features(2), text).tokens[:, :5], atol=1e-6)
    with pytest.raises(InputError, match="a prompt of the base has"):
        build(base, tokens=base.facts.token_count + 1)
