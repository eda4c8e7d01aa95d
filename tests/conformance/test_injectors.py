"""What every injector keeps to. A new injector adds one row."""

from __future__ import annotations

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
import torch

from graphcond.adapters import INJECTORS, Injector
from graphcond.types import DenoiserInputs, GraphTokens
from tests.builders import small_base

ROWS: dict[str, dict[str, Any]] = {"prompt_tokens": {}, "lora": {"rank": 4}}
STARTS_AS_THE_BASE = {"lora"}


def build(kind: str) -> Injector:
    return INJECTORS[kind](**ROWS[kind]).build()


@pytest.fixture
def base(sd_folder: Path):
    return small_base(sd_folder)


@pytest.fixture(params=ROWS)
def kind(request) -> str:
    return request.param


def inputs(base) -> DenoiserInputs:
    generator = torch.Generator().manual_seed(0)
    sample = torch.randn(2, 4, 8, 8, generator=generator)
    return DenoiserInputs(sample, torch.tensor([300, 700]), base.encode_prompt(["a star", "a tree"]).hidden)


def signal(base, present: bool = True) -> GraphTokens:
    tokens = torch.randn(2, 6, base.token_width, generator=torch.Generator().manual_seed(1))
    return GraphTokens(tokens, torch.full(tokens.shape[:2], present))


def wake(injector: Injector) -> None:
    """Give trained weights known values away from their start, so that they act."""
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in injector.trainable_parameters().values():
            parameter.copy_(torch.randn_like(parameter) * 0.3)


def state(base) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in base.unet.state_dict().items()}


@torch.no_grad()
def run(base, injector: Injector, scale: float = 1.0, **options: Any) -> torch.Tensor:
    return base.denoise(injector.apply(inputs(base), signal(base, **options), scale))


def test_every_kind_has_a_row() -> None:
    assert set(ROWS) == set(INJECTORS)


@torch.no_grad()
def test_construction_touches_nothing(base, kind: str) -> None:
    before, output = state(base), base.denoise(inputs(base))
    build(kind)
    after = base.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(base.denoise(inputs(base)), output)


@torch.no_grad()
def test_scale_zero_is_exactly_the_base(base, kind: str) -> None:
    plain = base.denoise(inputs(base))
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    assert torch.equal(run(base, injector, scale=0.0), plain)
    assert not torch.allclose(run(base, injector, scale=1.0), plain, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(STARTS_AS_THE_BASE))
def test_starts_as_the_base(base, kind: str) -> None:
    plain = base.denoise(inputs(base))
    injector = build(kind)
    injector.inject(base)
    assert (run(base, injector) - plain).abs().max() < 1e-5


@torch.no_grad()
def test_an_absent_signal_is_exactly_the_base(base, kind: str) -> None:
    injector = build(kind)
    injector.inject(base)
    plain = base.denoise(inputs(base))
    assert torch.equal(run(base, injector, present=False), plain)


@torch.no_grad()
def test_one_absent_row_is_the_base_and_leaves_the_other(base) -> None:
    injector = build("prompt_tokens")
    both = signal(base)
    half = GraphTokens(both.tokens, torch.tensor([[True], [False]]).expand(2, 6))
    mixed = base.denoise(injector.apply(inputs(base), half))
    assert torch.allclose(mixed[1], base.denoise(inputs(base))[1], atol=1e-5)
    assert torch.allclose(mixed[0], base.denoise(injector.apply(inputs(base), both))[0], atol=1e-5)


@torch.no_grad()
def test_eject_restores_bit_for_bit(base, kind: str) -> None:
    before, plain = state(base), base.denoise(inputs(base))
    modules = [type(module) for module in base.unet.modules()]
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    run(base, injector)
    injector.eject()
    injector.eject()
    after = base.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [type(module) for module in base.unet.modules()] == modules
    assert torch.equal(base.denoise(inputs(base)), plain)


def test_only_trainable_parameters_get_gradients(base, kind: str) -> None:
    injector = build(kind)
    injector.inject(base)
    tokens = signal(base)
    tokens.tokens.requires_grad_(True)
    base.denoise(injector.apply(inputs(base), tokens)).square().sum().backward()
    trained = {id(parameter) for parameter in injector.trainable_parameters().values()}
    foreign = [n for n, p in base.unet.named_parameters() if p.grad is not None and id(p) not in trained]
    assert not foreign
    assert not [n for n, p in injector.trainable_parameters().items() if p.grad is None]
    if injector.reads is not None:
        assert tokens.tokens.grad is not None


@torch.no_grad()
@pytest.mark.parametrize("pair", list(permutations(ROWS, 2)))
def test_two_stack_in_either_order(base, pair: tuple[str, str]) -> None:
    plain, results = base.denoise(inputs(base)), []
    for order in (pair, pair[::-1]):
        injectors = [build(kind) for kind in order]
        for injector in injectors:
            injector.inject(base)
            wake(injector)
        both = inputs(base)
        for injector in injectors:
            both = injector.apply(both, signal(base))
        results.append(base.denoise(both))
        for injector in injectors:
            injector.eject()
        assert torch.equal(base.denoise(inputs(base)), plain)
    assert torch.allclose(*results, atol=1e-5)
    assert not torch.allclose(results[0], plain, atol=1e-4)


@torch.no_grad()
def test_two_of_a_kind_stack(base) -> None:
    plain = base.denoise(inputs(base))
    first, second = (INJECTORS["lora"](rank=2).build() for _ in range(2))
    second.name = "another"
    first.inject(base)
    wake(first)
    one = run(base, first)
    second.inject(base)
    wake(second)
    assert not torch.allclose(run(base, second), one, atol=1e-5)
    second.eject()
    assert torch.equal(run(base, first), one)
    first.eject()
    assert torch.equal(base.denoise(inputs(base)), plain)


@pytest.mark.gpu
def test_xformers_gives_what_sdpa_gives(base, kind: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    pytest.importorskip("xformers")
    base.to(torch.device("cuda"))
    injector = build(kind)
    injector.inject(base)
    on_gpu = inputs(base)
    on_gpu = DenoiserInputs(on_gpu.sample.cuda(), on_gpu.timestep.cuda(), on_gpu.context.cuda())
    tokens = signal(base)
    tokens = GraphTokens(tokens.tokens.cuda(), tokens.present.cuda())
    outputs = []
    for attention in ("sdpa", "xformers"):
        base.set_attention(attention)
        with torch.no_grad():
            outputs.append(base.denoise(injector.apply(on_gpu, tokens, 0.5)))
    assert torch.allclose(*outputs, atol=1e-3)
