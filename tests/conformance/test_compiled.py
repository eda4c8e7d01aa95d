"""torch.compile runs a denoiser in one piece with what injectors have attached to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from graphcond.signals import GraphTokens
from tests.conformance.parts import build, fresh, inputs, run, signal, wake
from tests.typecheck import unchecked

KINDS = [
    "prompt_tokens",
    "ip_adapter",
    "gated_self_attention",
    "gated_self_attention by coverage",
    "controlnet",
    "t2i_adapter",
    "lora",
]


@pytest.fixture(autouse=True)
def _compiling() -> Iterator[None]:
    """Dynamo does not trace the checks of shapes, and keeps at most a few versions of the same code."""
    with unchecked():
        yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        *(("stable_diffusion", kind) for kind in KINDS),
        ("flux2", "prompt_tokens"),
        ("flux2", "gated_self_attention"),
    ],
)
def test_an_injector_compiles_without_a_break(request: pytest.FixtureRequest, row: str, kind: str) -> None:
    base = fresh(request, row)
    injector = build(kind)
    injector.inject(base)
    wake(injector)
    wanted = {scale: run(base, injector, scale) for scale in (0.5, 0.7)}
    absent = run(base, injector, 0.5, present=(True, False))
    # This backend shows what is traced and when, and leaves out what takes minutes: the generation of code.
    base.replace(base.denoiser_name, torch.compile(base.denoiser, backend="eager", fullgraph=True))
    assert torch.allclose(run(base, injector, 0.5), wanted[0.5], atol=1e-5)
    with torch._dynamo.config.patch(error_on_recompile=True):
        assert torch.allclose(run(base, injector, 0.7), wanted[0.7], atol=1e-5)
        assert torch.allclose(run(base, injector, 0.5, present=(True, False)), absent, atol=1e-5)
    base.replace(base.denoiser_name, base.denoiser)
    assert torch.equal(run(base, injector, 0.5), wanted[0.5])


def test_references_run_in_the_denoiser_as_it_is(request: pytest.FixtureRequest) -> None:
    base = fresh(request, "stable_diffusion")
    injector = build("references")
    injector.inject(base)
    wanted = run(base, injector)

    def untouched(*args: object, **options: object) -> None:
        raise AssertionError("the compiled denoiser was called")

    compiled = torch.compile(base.denoiser, backend="eager")
    compiled.forward = untouched
    base.replace(base.denoiser_name, compiled)
    assert torch.equal(run(base, injector), wanted)


def test_numbers_of_tokens_and_samples_compile_twice(request: pytest.FixtureRequest) -> None:
    base = fresh(request, "stable_diffusion")
    injector = build("prompt_tokens")
    injector.inject(base)
    whole = signal(injector, base, present=(True, False))
    assert isinstance(whole, GraphTokens)
    base.replace(base.denoiser_name, torch.compile(base.denoiser, backend="eager", fullgraph=True))

    def compiled(count: int) -> int:
        read = GraphTokens(whole.tokens[:, :count], whole.present[:, :count])
        with torch.no_grad():
            base.denoise(injector.apply(inputs(base), read))
        return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])

    torch._dynamo.utils.counters.clear()
    assert [compiled(count) for count in (6, 5, 4, 3)] == [1, 2, 2, 2]
