"""What every injector keeps to, on every base that has its sites. A new injector adds one row to `parts`."""

from __future__ import annotations

import math
from dataclasses import is_dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import cpu_offload
from diffusers.hooks.group_offloading import ModuleGroup
from diffusers.models.attention_processor import AttnProcessor

from graphcond.adapters import INJECTORS, Injector
from graphcond.bases.attention import why_not_xformers
from tests.conformance.parts import (
    BASE_ROWS,
    INJECTOR_ROWS,
    build,
    fresh,
    hooks,
    inputs,
    leaf,
    run,
    signal,
    state,
    wake,
)

STARTS_AS_THE_BASE = {"gated_self_attention", "controlnet", "lora", "peft", "difffit"}
MAY_DIFFER_PER_SAMPLE = sorted(row for row in INJECTOR_ROWS if INJECTORS[row.split()[0]].reads is not None)
PAIRS = [
    *combinations(INJECTORS, 2),
    ("gated_self_attention by coverage", "lora"),
    ("gated_self_attention by coverage", "references"),
    ("ip_adapter in boxes", "references"),
]


@pytest.fixture(params=["stable_diffusion", "sdxl", "sana", "flux2"])
def base(request: pytest.FixtureRequest):
    row, asked = BASE_ROWS[request.param], request.node.callspec.params
    refused = [k for k in (asked.get("kind"), *asked.get("kinds", ())) if k and not row.allows(k)]
    if refused:
        pytest.skip(f"it has no sites for {refused[0]}, which test_bases covers")
    return fresh(request, request.param)


@pytest.fixture(params=INJECTOR_ROWS)
def kind(request) -> str:
    return request.param


def test_every_kind_has_a_row() -> None:
    assert {row.split()[0] for row in INJECTOR_ROWS} == set(INJECTORS)


@torch.no_grad()
def test_construction_touches_nothing(base, kind: str) -> None:
    before, output, hooked = state(base), base.denoise(inputs(base)), hooks(base)
    build(kind)
    assert hooks(base) == hooked
    after = base.denoiser.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(base.denoise(inputs(base)), output)


@torch.no_grad()
@pytest.mark.parametrize("base", ["stable_diffusion", "flux2"], indirect=True)
def test_it_acts_on_weights_that_are_offloaded_before_or_after(base, kind: str) -> None:
    """Accelerate's sequential offloading, whose weights are there during the forward pass of a layer only."""
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    wanted = run(base, injector)
    cpu_offload(base.denoiser, execution_device=torch.device("cpu"), offload_buffers=True)
    assert torch.allclose(run(base, injector), wanted, atol=1e-5)
    injector.eject()
    injector.inject(base)
    assert torch.allclose(run(base, injector), wanted, atol=1e-5)
    assert all(parameter.is_meta for parameter in base.denoiser.parameters())


@torch.no_grad()
@pytest.mark.parametrize("base", ["stable_diffusion", "flux2"], indirect=True)
def test_it_acts_on_weights_that_are_offloaded_in_groups(
    base, kind: str, tmp_path: Path, monkeypatch
) -> None:
    """As diffusers does, here to the disk, so that the weights are gone between the calls on a CPU too."""
    injector, offload = build(kind), ModuleGroup._offload_to_disk

    def clearly_gone(group: ModuleGroup) -> None:
        offload(group)
        for tensor in group.tensor_to_key:
            tensor.fill_(torch.nan)

    injector.inject(base)
    wake(injector)
    wanted = run(base, injector)
    monkeypatch.setattr(ModuleGroup, "_offload_to_disk", clearly_gone)
    base.denoiser.enable_group_offload(
        torch.device("cpu"), offload_type="leaf_level", offload_to_disk_path=str(tmp_path)
    )
    assert torch.allclose(run(base, injector), wanted, atol=1e-5)
    injector.eject()
    injector.inject(base)
    assert torch.allclose(run(base, injector), wanted, atol=1e-5)
    assert all(parameter.isnan().all() for parameter in base.denoiser.parameters())


@torch.no_grad()
@pytest.mark.parametrize("base", ["stable_diffusion", "flux2"], indirect=True)
def test_it_starts_from_weights_that_are_offloaded_in_blocks(
    base, kind: str, tmp_path: Path, monkeypatch
) -> None:
    """To the disk, with hooks of diffusers on blocks around the layers that an injector starts from."""
    offload = ModuleGroup._offload_to_disk

    def clearly_gone(group: ModuleGroup) -> None:
        offload(group)
        for tensor in group.tensor_to_key:
            tensor.fill_(torch.nan)

    def made() -> Injector:
        torch.manual_seed(0)
        injector = build(kind)
        injector.inject(base)
        return injector

    injector = made()
    wanted = run(base, injector)
    injector.eject()
    monkeypatch.setattr(ModuleGroup, "_offload_to_disk", clearly_gone)
    base.denoiser.enable_group_offload(
        torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
        offload_to_disk_path=str(tmp_path),
    )
    assert torch.allclose(run(base, made()), wanted, atol=1e-5)


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
@pytest.mark.parametrize("kind", MAY_DIFFER_PER_SAMPLE)
def test_an_absent_signal_is_exactly_the_base(base, kind: str) -> None:
    plain = base.denoise(inputs(base))
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    assert torch.equal(run(base, injector, present=(False, False)), plain)
    assert torch.equal(base.denoise(injector.apply(inputs(base), None)), plain)


@torch.no_grad()
@pytest.mark.parametrize("kind", MAY_DIFFER_PER_SAMPLE)
def test_one_absent_row_is_the_base_and_leaves_the_other(base, kind: str) -> None:
    plain = base.denoise(inputs(base))
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    mixed = run(base, injector, present=(True, False))
    if kind.startswith(("prompt_tokens", "references")):  # hidden in attention, which rounds
        assert torch.allclose(mixed[1], plain[1], atol=1e-5)
    else:
        assert torch.equal(mixed[1], plain[1])
    assert torch.allclose(mixed[0], run(base, injector)[0], atol=1e-5)
    assert not torch.allclose(mixed[0], plain[0], atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", MAY_DIFFER_PER_SAMPLE)
def test_what_stands_in_an_absent_slot_changes_nothing(base, kind: str, bad: float) -> None:
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    read = signal(injector, base, present=(True, False))
    assert read is not None
    wanted = base.denoise(injector.apply(inputs(base), read))
    leaf(read)[~read.present] = bad
    if getattr(read, "boxes", None) is not None:
        read.boxes[~read.boxed] = bad
    assert torch.equal(base.denoise(injector.apply(inputs(base), read)), wanted)
    assert all(math.isfinite(figure) for figure in injector.figures().values())


@torch.no_grad()
def test_eject_restores_bit_for_bit(base, kind: str) -> None:
    before, plain = state(base), base.denoise(inputs(base))
    modules, hooked = [type(module) for module in base.denoiser.modules()], hooks(base)
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    run(base, injector)
    injector.eject()
    injector.eject()
    after = base.denoiser.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert [type(module) for module in base.denoiser.modules()] == modules
    assert hooks(base) == hooked
    assert torch.equal(base.denoise(inputs(base)), plain)


def test_only_trainable_parameters_get_gradients(base, kind: str) -> None:
    injector = build(kind)
    injector.inject(base)
    read = signal(injector, base)
    if read is not None:
        leaf(read).requires_grad_(True)
    base.denoise(injector.apply(inputs(base), read)).square().sum().backward()
    trained = {id(parameter) for parameter in injector.trainable_parameters().values()}
    foreign = [n for n, p in base.denoiser.named_parameters() if p.grad is not None and id(p) not in trained]
    assert not foreign
    assert not [n for n, p in injector.trainable_parameters().items() if p.grad is None]
    if read is not None:
        assert leaf(read).grad is not None


def test_parameters_belong_to_the_groups_that_the_config_declares(base, kind: str) -> None:
    injector, declared = build(kind), INJECTORS[kind.split()[0]].groups
    injector.inject(base)
    found = {injector.group_of(name) for name in injector.trainable_parameters()}
    assert injector.groups == declared
    assert found - {None} == declared


def awake_pair(base, kinds: tuple[str, str]) -> list[Injector]:
    injectors = [build(kind) for kind in kinds]
    for injector in injectors:
        injector.inject(base)
        wake(injector)
    return injectors


def run_all(base, injectors: list[Injector]) -> torch.Tensor:
    both = inputs(base)
    for injector in injectors:
        both = injector.apply(both, signal(injector, base))
    return base.denoise(both)


@torch.no_grad()
@pytest.mark.parametrize("kinds", PAIRS)
def test_two_stack_in_either_order(base, kinds: tuple[str, str]) -> None:
    plain, results = base.denoise(inputs(base)), []
    for order in (kinds, kinds[::-1]):
        injectors = awake_pair(base, order)
        results += [run_all(base, injectors), run_all(base, injectors[::-1])]
        for injector in injectors:
            injector.eject()
        assert torch.equal(base.denoise(inputs(base)), plain)
    assert all(torch.allclose(results[0], other, atol=1e-5) for other in results[1:])
    assert not torch.allclose(results[0], plain, atol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("kinds", PAIRS)
def test_either_of_two_may_leave_first(base, kinds: tuple[str, str]) -> None:
    before, plain, hooked = state(base), base.denoise(inputs(base)), hooks(base)
    for last in (0, 1):
        injectors = awake_pair(base, kinds)
        alone = build(kinds[last])
        injectors[1 - last].eject()
        with_other_gone = run_all(base, [injectors[last]])
        injectors[last].eject()
        assert hooks(base) == hooked
        assert torch.equal(base.denoise(inputs(base)), plain)
        assert all(torch.equal(before[name], tensor) for name, tensor in base.denoiser.state_dict().items())
        alone.inject(base)
        wake(alone)
        assert torch.equal(run(base, alone), with_other_gone)
        alone.eject()


@torch.no_grad()
def test_the_attention_kernel_may_change_after_injection(base, kind: str) -> None:
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    before = run(base, injector)
    if base.denoiser_name == "unet":  # others have processors of their own
        base.denoiser.set_attn_processor(AttnProcessor())
    assert torch.allclose(run(base, injector), before, atol=1e-5)
    base.set_attention("sdpa")
    assert torch.allclose(run(base, injector), before, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("kind", sorted(set(INJECTOR_ROWS) - {"prompt_tokens"}))
def test_weights_survive_a_round_trip_and_an_ejection(base, kind: str) -> None:
    first, second = build(kind), build(kind)
    for injector in (first, second):
        injector.inject(base)
        injector.eject()
    first.inject(base)
    wake(first)
    wanted = run(base, first)
    first.eject()
    second.load_state_dict(first.state_dict())
    second.inject(base)
    assert torch.equal(run(base, second), wanted)


def test_gradient_checkpointing_changes_no_gradient(base, kind: str) -> None:
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    gradients = []
    for enable in (False, True):
        if enable:
            base.enable_gradient_checkpointing()
        read = signal(injector, base)
        if read is not None:
            leaf(read).requires_grad_(True)
        base.denoise(injector.apply(inputs(base), read)).square().sum().backward()
        found = {n: p.grad.clone() for n, p in injector.trainable_parameters().items()}
        gradients.append(found | ({} if read is None else {"signal": leaf(read).grad}))
        for parameter in injector.trainable_parameters().values():
            parameter.grad = None
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradients[1][name], gradient, atol=1e-4, rtol=1e-4), name
    assert any(gradient.abs().max() > 0 for gradient in gradients[0].values())


@torch.no_grad()
def test_figures_are_numbers_and_a_new_injector_is_called_unused(base, kind: str) -> None:
    injector = build(kind)
    assert injector.figures() in ({}, {"gate": 0.0})
    assert injector.unused() is None
    injector.inject(base)
    run(base, injector)
    assert all(isinstance(value, float) for value in injector.figures().values())
    assert (injector.unused() is not None) == (kind == "gated_self_attention" or "controlnet" in kind)
    wake(injector)
    run(base, injector)
    assert injector.unused() is None


@torch.no_grad()
def test_two_of_a_kind_stack_and_each_acts_in_its_own_calls(base, kind: str) -> None:
    plain, hooked = base.denoise(inputs(base)), hooks(base)
    first, second = build(kind), build(kind)
    first.inject(base)
    wake(first)
    one = run(base, first)
    second.inject(base)
    wake(second)
    assert torch.equal(run(base, first), one)
    assert torch.equal(run(base, second), one), "they were given the same weights"
    assert torch.equal(base.denoise(inputs(base)), plain)
    both = run_all(base, [first, second])
    # In the prompt's place, the same sentence twice is the sentence, unless it competes with the picture.
    once = kind == "prompt_tokens added" and bool(base.sites("cross_attention"))
    assert torch.allclose(both, one, atol=1e-5) == once
    second.eject()
    assert torch.equal(run(base, first), one)
    first.eject()
    assert torch.equal(base.denoise(inputs(base)), plain)
    assert hooks(base) == hooked


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@torch.no_grad()
def test_cuda_gives_what_the_cpu_gives(base, kind: str) -> None:
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    here = run(base, injector)
    base.to(torch.device("cuda"))
    injector.to("cuda")
    with torch.backends.cudnn.flags(allow_tf32=False):
        there = base.denoise(injector.apply(on_gpu(inputs(base)), on_gpu(signal(injector, base))))
    assert torch.allclose(there.cpu(), here, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kinds", PAIRS)
def test_xformers_gives_what_sdpa_gives(base, kinds: tuple[str, str]) -> None:
    if reason := why_not_xformers(torch.device("cuda")):
        pytest.skip(reason)
    if base.denoiser_name != "unet":
        pytest.skip("it has a kernel of its own")
    base.to(torch.device("cuda"))
    injectors = awake_pair(base, kinds)
    outputs = []
    for attention in ("sdpa", "xformers"):
        base.set_attention(attention)
        both = on_gpu(inputs(base))
        for injector in injectors:
            both = injector.apply(both, on_gpu(signal(injector, base)), 0.5)
        with torch.no_grad():
            outputs.append(base.denoise(both))
    assert torch.allclose(*outputs, atol=1e-3)


def on_gpu(value: Any) -> Any:
    """The value with its tensors on the GPU, those in its mappings too."""
    if isinstance(value, torch.Tensor):
        return value.cuda()
    if isinstance(value, dict):
        return {name: on_gpu(each) for name, each in value.items()}
    return (
        replace(value, **{name: on_gpu(each) for name, each in vars(value).items()})
        if is_dataclass(value)
        else value
    )
