"""Quantized denoisers: near to those they were, trained over like them, and refused where they cannot be."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pytest
import torch

from graphcond.adapters import LoraInjector
from graphcond.bases import Flux2Base, StableDiffusionBase, StableDiffusionConfig, StableDiffusionXLBase
from graphcond.bases.quantization import is_quantized
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import Recipe, parse_recipe
from graphcond.signals import GraphTokens
from tests.builders import FEATURE_WIDTH, recipe_values
from tests.conformance.parts import BASE_ROWS, INJECTOR_ROWS, build, inputs, leaf, run, signal, wake
from tests.typecheck import unchecked

CPU = torch.device("cpu")
SMALL = [row for row in BASE_ROWS if BASE_ROWS[row].folder is not None]  # one of each family and more
ALLOWED = [(row, kind) for row in SMALL for kind in INJECTOR_ROWS if BASE_ROWS[row].allows(kind)]
ALLOWED = [(row, kind) for row, kind in ALLOWED if kind != "peft by oft"]  # which peft refuses over torchao
needs_torchao = pytest.mark.skipif(
    find_spec("torchao") is None, reason="needs torchao, which is an extra: pip install graphcond[quantize]"
)


def recipe_of(sd_folder: Path, quantize: str, **changes: object) -> Recipe:
    base = {"kind": "stable_diffusion", "model": str(sd_folder), "quantize": quantize}
    return parse_recipe(recipe_values(sd_folder, base=base, **changes))


@pytest.mark.parametrize(("quantize", "library"), [("int8", "torchao"), ("nf4", "bitsandbytes")])
def test_a_library_that_is_not_installed(sd_folder: Path, monkeypatch, quantize: str, library: str) -> None:
    monkeypatch.setitem(sys.modules, library, None)
    recipe = recipe_of(sd_folder, quantize)  # it may be written where the library is not
    with pytest.raises(InputError, match=rf"base\.quantize: {quantize}.*pip install {library}"):
        recipe.base.build(device=CPU)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_four_bits_without_a_gpu(sd_folder: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", ModuleType("bitsandbytes"))
    with pytest.raises(InputError, match=r"base\.quantize: nf4.*needs a GPU.*Use int8"):
        StableDiffusionConfig(model=str(sd_folder), quantize="nf4").build(device=CPU)


def test_quantized_weights_are_not_trained(sd_folder: Path) -> None:
    with pytest.raises(InputError, match=r"base\.quantize.*cannot be trained"):
        recipe_of(sd_folder, "int8", training={"train_base": True})


def test_another_number_of_bits(sd_folder: Path) -> None:
    with pytest.raises(InputError, match=r"base\.quantize.*'int8' or 'nf4'"):
        recipe_of(sd_folder, "int4")


def test_another_number_of_bits_in_python(sd_folder: Path) -> None:
    with unchecked(), pytest.raises(InputError, match=r"base\.quantize: there is no 'int4'.*'int8'"):
        StableDiffusionBase.from_pretrained(str(sd_folder), quantize="int4")  # type: ignore[arg-type]


@needs_torchao
@pytest.mark.parametrize(
    ("kind", "folder"),
    [(StableDiffusionBase, "sd_folder"), (StableDiffusionXLBase, "sdxl_folder"), (Flux2Base, "flux2_folder")],
)
def test_a_base_is_quantized_in_python_too(
    request: pytest.FixtureRequest, kind: type[StableDiffusionBase], folder: str
) -> None:
    base = kind.from_pretrained(str(request.getfixturevalue(folder)), quantize="int8")
    assert any(is_quantized(weight) for weight in base.denoiser.parameters())
    assert base.loaded_as is not None
    assert base.loaded_as.quantize == "int8"


@needs_torchao
def test_a_model_is_opened_over_a_quantized_base(sd_folder: Path, tmp_path: Path) -> None:
    recipe = parse_recipe(recipe_values(sd_folder))
    GraphModel.build(recipe, feature_width=FEATURE_WIDTH).save_pretrained(tmp_path)
    pipe = GraphPipeline.from_pretrained(tmp_path, quantize="int8")
    assert any(is_quantized(weight) for weight in pipe.model.base.denoiser.parameters())
    assert pipe.model.recipe is not None
    assert pipe.model.recipe.base.quantize == "int8"


@needs_torchao
@pytest.mark.parametrize("row", BASE_ROWS)
def test_a_denoiser_in_eight_bits_is_near_to_the_one_it_was(request, row: str) -> None:
    plain, base = (
        BASE_ROWS[row]
        .made(request, quantize=how)
        .build(device=CPU)
        .placed("cpu", "sdpa", gradient_checkpointing=True)
        for how in (None, "int8")
    )
    packed = [name for name, weight in base.denoiser.named_parameters() if is_quantized(weight)]
    linear = [name for name, one in base.denoiser.named_modules() if isinstance(one, torch.nn.Linear)]
    assert packed == [f"{name}.weight" for name in linear]
    assert not any(is_quantized(weight) for other in base.others for weight in other.parameters())
    assert base.dtype == torch.float32
    wanted, found, gradients = plain.denoise(inputs(plain)), None, []
    found = base.denoise(inputs(base))
    assert 0 < (found - wanted).norm() / wanted.norm() < 0.03
    injector = build("prompt_tokens")
    for one in (plain, base):
        injector.inject(one)
        given = signal(injector, one)
        assert isinstance(given, GraphTokens)
        leaf(given).requires_grad_()
        one.denoise(injector.apply(inputs(one), given)).square().mean().backward()
        gradients.append(leaf(given).grad)
        injector.eject()
    assert torch.cosine_similarity(*(one.flatten() for one in gradients), dim=0) > 0.99


@needs_torchao
@pytest.mark.parametrize(("row", "kind"), [*ALLOWED, ("flux2", "dora")])
def test_injectors_act_on_quantized_layers_and_leave_them(request, row: str, kind: str) -> None:
    injector = build(kind) if kind != "dora" else LoraInjector(weight_decomposed=True)
    base = BASE_ROWS[row].made(request, quantize="int8").build(device=CPU)
    plain = base.denoise(inputs(base))
    injector.inject(base)
    wake(injector)
    assert not torch.equal(run(base, injector), plain)
    torch.testing.assert_close(run(base, injector, scale=0.0), plain, atol=1e-5, rtol=0)
    given, learns = signal(injector, base), list(injector.trainable_parameters().values())
    if given is not None:
        learns.append(leaf(given).requires_grad_())
    base.denoise(injector.apply(inputs(base), given)).square().mean().backward()
    assert any(one.grad is not None and one.grad.any() for one in learns)
    injector.eject()
    assert torch.equal(base.denoise(inputs(base)), plain)


@needs_torchao
@pytest.mark.filterwarnings("error::graphcond.errors.Notice")
def test_a_saved_model_remembers_it(sd_folder: Path, tmp_path: Path) -> None:
    recipe = recipe_of(sd_folder, "int8", lora={"kind": "lora", "rank": 2})
    GraphModel.build(recipe, feature_width=FEATURE_WIDTH).save_pretrained(tmp_path)
    again = GraphModel.from_pretrained(tmp_path)
    assert any(is_quantized(weight) for weight in again.base.denoiser.parameters())
    assert again.recipe.base.quantize == "int8"
    GraphModel.from_pretrained(tmp_path, base=StableDiffusionConfig(model=str(sd_folder)).build(device=CPU))
