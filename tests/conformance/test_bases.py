"""What every base keeps to. A new base adds one row to `parts`."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace as Parts
from typing import Any, get_args

import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file
from torch import Tensor

from graphcond.adapters import INJECTORS
from graphcond.bases import BASES, Base
from graphcond.bases.base import LatentMoments
from graphcond.bases.config import SiteKind
from graphcond.condition import Condition
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.encoders import ENCODERS
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe.checks import check_base
from graphcond.signals import LayoutMap
from graphcond.training.objective import denoising_loss
from tests.builders import some_features
from tests.conformance.parts import (
    BASE_ROWS,
    HEIGHT,
    INJECTOR_ROWS,
    LAYOUT_WIDTH,
    WIDTH,
    build,
    fresh,
    hooks,
    inputs,
    run,
    state,
    wake,
)
from tests.scene_batches import PAIR, PARK, WORD_WIDTH, features_of

CPU = torch.device("cpu")
FEATURE_WIDTH = 10
LONG = "a star " * 100
ALLOWED = [(row, kind) for row in BASE_ROWS for kind in INJECTOR_ROWS if BASE_ROWS[row].allows(kind)]
REFUSED = [(row, kind) for row in BASE_ROWS for kind in INJECTORS if not BASE_ROWS[row].allows(kind)]
each_base = pytest.mark.parametrize("row", BASE_ROWS)
each_pair = pytest.mark.parametrize(("row", "kind"), ALLOWED)


@pytest.fixture
def base(request: pytest.FixtureRequest, row: str) -> Base:
    return fresh(request, row)


def tokens_of(base: Base, count: int) -> Tensor:
    return torch.randn(2, count, base.facts.token_width, generator=torch.Generator().manual_seed(3))


def with_tokens(base: Base, tokens: Tensor, weight: float) -> DenoiserInputs:
    """The inputs with further context tokens."""
    plain = inputs(base)
    before = torch.ones(plain.context.shape[:2]) if plain.context_weight is None else plain.context_weight
    weights = torch.cat([before, torch.full(tokens.shape[:2], weight)], dim=1)
    return replace(plain, context=torch.cat([plain.context, tokens], dim=1), context_weight=weights)


def test_every_kind_has_a_row() -> None:
    assert {row.config.component for row in BASE_ROWS.values() if row.config in BASES.values()} == {
        config.component for config in BASES.values()
    }


# Facts


@each_base
@torch.no_grad()
def test_the_config_tells_the_facts_before_the_base_is_loaded(request, row: str, base: Base) -> None:
    config = BASE_ROWS[row].made(request)
    assert config.facts() == base.facts
    assert config.folder().is_dir()
    assert base.facts.predicts == base.process.predicts
    assert base.facts.multiple % base.facts.pixels_per_latent == 0
    assert base.facts.default_size % base.facts.multiple == 0


@each_base
@torch.no_grad()
def test_prompts_and_pictures_have_the_shapes_of_the_facts(base: Base) -> None:
    facts, prompts = base.facts, ["a star", "", LONG]
    text = base.encode_prompt(prompts)
    assert text.ids.shape == (3, facts.token_count)
    assert text.hidden.shape == (3, facts.token_count, facts.token_width)
    assert {name: extra.shape[1:] for name, extra in text.extras.items()} == facts.extras
    if text.present is not None:
        count = text.present.sum(dim=1)
        assert count[1] < count[0] < count[2] == facts.token_count
    pixels = torch.rand(2, 3, 2 * facts.multiple, 3 * facts.multiple) * 2 - 1
    latents = base.encode_pictures(pixels)
    assert latents.mean.shape == latents.std.shape == (2, *base.latent_shape(*pixels.shape[2:]))
    assert (latents.std >= 0).all()
    assert base.decode_latents(latents.mean).shape == pixels.shape
    with pytest.raises(InputError, match="is not a multiple"):
        base.latent_shape(facts.pixels_per_latent + 1, facts.pixels_per_latent)


@each_base
@torch.no_grad()
def test_a_batch_of_prompts_is_its_prompts(base: Base) -> None:
    prompts = ["a star", "", LONG]
    batch = base.encode_prompt(prompts)
    for number, prompt in enumerate(prompts):
        one = base.encode_prompt([prompt])
        assert torch.equal(one.ids[0], batch.ids[number])
        torch.testing.assert_close(one.hidden[0], batch.hidden[number], atol=1e-5, rtol=1e-4)
        for name, extra in one.extras.items():
            torch.testing.assert_close(extra[0], batch.extras[name][number], atol=1e-5, rtol=1e-4)


@each_base
@torch.no_grad()
def test_a_batch_of_samples_is_its_samples(base: Base) -> None:
    both = inputs(base)
    for number, whole in enumerate(base.denoise(both)):
        row = slice(number, number + 1)
        one = DenoiserInputs(
            both.sample[row],
            both.timestep[row],
            both.context[row],
            None if both.context_weight is None else both.context_weight[row],
            extras={name: extra[row] for name, extra in both.extras.items()},
        )
        torch.testing.assert_close(base.denoise(one)[0], whole, atol=1e-5, rtol=1e-4)


@each_base
@torch.no_grad()
def test_half_precision_is_near_single(request, row: str, base: Base) -> None:
    single, half = base, BASE_ROWS[row].made(request, dtype="bf16").build(device=CPU)
    assert (single.dtype, half.dtype) == (torch.float32, torch.bfloat16)
    tokens = tokens_of(single, 3)
    wanted = single.denoise(with_tokens(single, tokens, 0.5))
    assert wanted.dtype == torch.float32
    found = half.denoise(with_tokens(half, tokens, 0.5))
    assert found.dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        mixed = single.denoise(with_tokens(single, tokens, 0.5))
    for one in (found, mixed):
        assert (one.float() - wanted).abs().mean() < 0.05 * wanted.abs().mean()


@each_base
def test_versions_change_with_what_is_cached(request, row: str, base: Base) -> None:
    before = base.pictures_version(), base.prompts_version()
    twin = BASE_ROWS[row].made(request).build(device=CPU)
    assert (twin.pictures_version(), twin.prompts_version()) == before
    for network in twin.others:
        with torch.no_grad():
            next(network.parameters()).add_(1.0)
    assert twin.pictures_version() != before[0]
    assert twin.prompts_version() != before[1]


# Context tokens


@each_base
@torch.no_grad()
def test_a_hidden_token_is_not_there(base: Base) -> None:
    plain = base.denoise(inputs(base))
    hidden = base.denoise(with_tokens(base, 9 * tokens_of(base, 3), 0.0))
    torch.testing.assert_close(hidden, plain, atol=1e-5, rtol=1e-4)
    shown = base.denoise(with_tokens(base, 9 * tokens_of(base, 3), 1.0))
    assert (shown - plain).abs().max() > 1e-4


@each_base
@torch.no_grad()
def test_a_token_of_weight_two_counts_as_two(base: Base) -> None:
    tokens = tokens_of(base, 3)
    double = base.denoise(with_tokens(base, tokens, 2.0))
    twice = base.denoise(with_tokens(base, tokens.repeat(1, 2, 1), 1.0))
    torch.testing.assert_close(double, twice, atol=1e-5, rtol=1e-4)
    assert (double - base.denoise(with_tokens(base, tokens, 1.0))).abs().max() > 1e-5


@each_base
@torch.no_grad()
def test_a_token_may_weigh_otherwise_at_each_place(row: str, base: Base) -> None:
    assert base.weighs_places == BASE_ROWS[row].config.weighs_places
    assert base.takes_references == BASE_ROWS[row].config.takes_references
    given = with_tokens(base, tokens_of(base, 3), 0.5)
    everywhere = replace(given, context_weight=given.weights(places=True))
    torch.testing.assert_close(base.denoise(everywhere), base.denoise(given), atol=1e-5, rtol=1e-4)
    left = everywhere.context_weight.clone()
    left[:, -3:, :, WIDTH // 2 :] = 0
    changed = base.denoise(replace(given, context_weight=left)) - base.denoise(given)
    assert changed.abs().max() > 1e-5
    hidden = left.clone()
    hidden[:, -3:] = 0
    without = base.denoise(replace(given, context_weight=hidden))
    torch.testing.assert_close(without, base.denoise(inputs(base)), atol=1e-5, rtol=1e-4)


@each_base
@torch.no_grad()
def test_padding_counts_as_the_base_says(base: Base) -> None:
    text = base.encode_prompt(["a star", "a tree"])
    assert text.present is not None
    padding = ~text.present
    other = replace(text, hidden=torch.where(padding[..., None], text.hidden + 5, text.hidden))
    sample, timestep = inputs(base).sample, inputs(base).timestep
    same, changed = (base.denoise(base.inputs(sample, timestep, one)) for one in (text, other))
    if base.masks_padding:
        torch.testing.assert_close(changed, same, atol=1e-5, rtol=1e-4)
    else:
        assert (changed - same).abs().max() > 1e-4


# Sites


@each_base
def test_the_config_says_which_kinds_of_sites_there_are(row: str, base: Base) -> None:
    assert {kind for kind in get_args(SiteKind) if base.sites(kind)} == BASE_ROWS[row].config.sites
    for kind in BASE_ROWS[row].config.sites:
        for name, site in base.sites(kind).items():
            assert (site.name, site.kind) == (name, kind)
            assert base.denoiser.get_submodule(name) is site.module


@each_base
@torch.no_grad()
def test_sites_have_the_widths_and_grids_that_they_say(base: Base) -> None:
    seen: dict[str, torch.Size] = {}

    def note(name: str, features: Tensor) -> None:
        seen[name] = features.shape

    handles: list[Any] = []
    for name, site in base.sites("block").items():
        assert site.attach is not None
        handles.append(site.attach(partial(note, name)))
    for name, site in base.sites("cross_attention").items():
        hook = lambda _, args, kwargs, name=name: note(name, args[0] if args else kwargs["hidden_states"])  # noqa: E731
        handles.append(site.module.register_forward_pre_hook(hook, with_kwargs=True))
    base.denoise(inputs(base))
    for handle in handles:
        handle.remove()
    for site in (*base.sites("block").values(), *base.sites("cross_attention").values()):
        rows, columns = site.grid(HEIGHT, WIDTH)
        assert seen[site.name] == (2, rows * columns, site.width)
        assert site.width % site.heads == 0


@each_base
@torch.no_grad()
def test_residuals_are_added_at_their_sites(base: Base) -> None:
    plain = base.denoise(inputs(base))
    for name, site in base.sites("encoder_level").items():
        added = torch.ones(2, site.width, *site.grid(HEIGHT, WIDTH))
        changed = base.denoise(replace(inputs(base), residuals={name: added}))
        assert (changed - plain).abs().max() > 1e-5
        assert torch.equal(base.denoise(replace(inputs(base), residuals={name: 0 * added})), plain)


@each_base
@torch.no_grad()
def test_what_is_added_at_a_block_comes_through_and_goes_again(base: Base) -> None:
    plain, before = base.denoise(inputs(base)), hooks(base)
    for site in base.sites("block").values():
        assert site.attach is not None
        nothing = site.attach(lambda features: None)
        assert torch.equal(base.denoise(inputs(base)), plain)
        nothing.remove()
        seen: list[Tensor] = []
        ramp = torch.linspace(0, 1, site.width)  # norms do not see a constant
        something = site.attach(ramp.expand_as)
        after = site.attach(seen.append)
        assert (base.denoise(inputs(base)) - plain).abs().max() > 1e-5
        something.remove()
        base.denoise(inputs(base))
        torch.testing.assert_close(seen[0], seen[1] + ramp)  # what was added before counts
        after.remove()
        assert hooks(base) == before
    assert torch.equal(base.denoise(inputs(base)), plain)


@each_base
def test_a_recomputed_block_is_shown_its_grounding(base: Base) -> None:
    slot, seen = GroundingSlot(), []
    shown = Grounding(torch.ones(2, 1, 3), torch.ones(2, 1, dtype=torch.bool), torch.ones(2))
    for site in base.sites("block").values():
        assert site.attach is not None
        site.attach(lambda _: seen.append(slot.value))
    base.enable_gradient_checkpointing()
    assert base.gradient_checkpointing
    both = replace(inputs(base), grounding={slot: shown})
    output = base.denoise(replace(both, sample=both.sample.requires_grad_(True)))
    assert slot.value is None
    output.sum().backward()
    assert slot.value is None
    assert len(seen) == 2 * len(base.sites("block"))
    assert all(value is shown for value in seen)


@each_base
def test_gradient_checkpointing_changes_no_gradient_and_none_reaches_the_base(base: Base) -> None:
    gradients = []
    for enable in (False, True):
        if enable:
            base.enable_gradient_checkpointing()
        tokens = tokens_of(base, 3).requires_grad_(True)
        given = with_tokens(base, tokens, 0.5)
        given = replace(given, sample=given.sample.requires_grad_(True))
        base.denoise(given).square().sum().backward()
        gradients.append((tokens.grad, given.sample.grad))
    for one, other in zip(*gradients, strict=True):
        assert one.abs().max() > 0
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)
    for network in (base.denoiser, *base.others):
        assert not network.training
        assert not [name for name, p in network.named_parameters() if p.requires_grad or p.grad is not None]


# Process


@each_base
def test_only_schedulers_of_its_own_process_are_taken(base: Base) -> None:
    pipe = GraphPipeline(GraphModel(base, [], feature_width=FEATURE_WIDTH))
    size = base.facts.default_size
    flows = base.facts.predicts == "flow"
    settings = (
        {"use_flow_sigmas": True, "prediction_type": "flow_prediction"} if flows else base.scheduler.config
    )
    for scheduler in (base.new_scheduler(), DPMSolverMultistepScheduler.from_config(settings)):
        pipe.scheduler = scheduler
        picture = pipe("a star", num_inference_steps=2, output_type="np").images
        assert picture.shape == (1, size, size, 3)
    pipe.scheduler = foreign = DDIMScheduler() if flows else FlowMatchEulerDiscreteScheduler()
    with pytest.raises(InputError, match=f"{type(foreign).__name__} .*'{base.facts.predicts}'"):
        pipe("a star", num_inference_steps=2)


# Injectors


@each_pair
@torch.no_grad()
def test_scale_zero_is_the_base_and_ejection_restores_it(base: Base, kind: str) -> None:
    before, plain, hooked = state(base), base.denoise(inputs(base)), hooks(base)
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    assert torch.equal(run(base, injector, scale=0.0), plain)
    assert (run(base, injector) - plain).abs().max() > 1e-4
    injector.eject()
    after = base.denoiser.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert hooks(base) == hooked
    assert torch.equal(base.denoise(inputs(base)), plain)


@pytest.mark.parametrize(("row", "kind"), [pair for pair in ALLOWED if pair[1] != "references"])
def test_training_lowers_the_loss_and_leaves_the_base(base: Base, kind: str) -> None:
    before, injector = state(base), build(kind)
    injector.inject(base)
    conditions, contexts = [], {}
    if injector.reads is not None:
        maps = injector.reads is LayoutMap
        scenes = maps or kind == "prompt_tokens added"
        encoder = ENCODERS["layout" if maps else "sentence_graph" if scenes else "neighbor_mean"](
            **{"channels": LAYOUT_WIDTH} if maps else {}
        )
        width = WORD_WIDTH if scenes else FEATURE_WIDTH
        conditions = [Condition("graph", encoder.build(feature_width=width, base=base), injector)]
        contexts["graph"] = features_of([PARK, PAIR]) if scenes else some_features(2, width=width)
    lora = None if conditions else injector
    model = GraphModel(base, conditions, feature_width=FEATURE_WIDTH, lora=lora)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    latents, noise = torch.randn(2, 2, base.facts.latent_channels, HEIGHT, WIDTH)
    losses = []
    for _ in range(5):
        loss = denoising_loss(
            model,
            LatentMoments(latents, torch.zeros_like(latents)),
            ["a star", ""],
            contexts,
            noise=noise,
            timesteps=inputs(base).timestep,
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    ids = {id(parameter) for parameter in model.parameters()}
    assert losses[-1] < losses[0]
    assert not [
        name for name, p in base.denoiser.named_parameters() if p.grad is not None and id(p) not in ids
    ]
    injector.eject()
    assert all(torch.equal(before[name], tensor) for name, tensor in base.denoiser.state_dict().items())


@pytest.mark.parametrize(("row", "kind"), REFUSED)
def test_an_injector_without_sites_is_refused_before_anything_is_loaded(request, row: str, kind: str) -> None:
    config = BASE_ROWS[row].made(request)
    wanted = f"'{kind}' needs sites of the kind .*'{config.kind}' has"
    if INJECTORS[kind].needs_references:
        wanted = f"'{kind}' needs a base that takes references, and '{config.kind}' does not"
    with pytest.raises(ValueError, match=wanted):
        check_base(
            "conditions.0", Parts(injector=INJECTORS[kind](), encoder=ENCODERS["neighbor_mean"]()), config
        )
    with pytest.raises(InputError, match=r"has no sites of the kind|does not take references"):
        build(kind).inject(config.build(device=CPU))


@each_base
def test_its_lora_file_is_read_again(base: Base, tmp_path: Path) -> None:
    saved = build("lora")
    saved.inject(base)
    wake(saved)
    wanted = run(base, saved)
    saved.save_weights(tmp_path)
    saved.eject()
    (file,) = tmp_path.iterdir()
    assert all(name.startswith(f"{base.denoiser_name}.") for name in load_file(file))
    again = build("lora")
    again.inject(base)
    again.load_weights(tmp_path)
    assert torch.equal(run(base, again), wanted)
