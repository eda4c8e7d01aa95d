"""Methods of peft: which keep the contract, which are refused, and files that peft reads and writes."""

from __future__ import annotations

import json
import warnings
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from peft import PeftModel, get_peft_model
from peft.mapping import PEFT_TYPE_TO_CONFIG_MAPPING
from safetensors.torch import load_file, save_file

from graphcond.adapters import PeftConfig, PeftInjector
from graphcond.adapters.peft import VARIANTS
from graphcond.errors import InputError
from graphcond.model import GraphModel
from tests.builders import FEATURE_WIDTH, small_model, small_recipe
from tests.conformance.parts import fresh, hooks, inputs, run, state, wake

METHODS = {
    "lora": {"r": 4},
    "dora": {"r": 4},
    "rslora": {"r": 4, "rank_pattern": {"attn1.to_q": 2}},
    "loha": {"r": 4},
    "lokr": {"r": 4},
    "oft": {"oft_block_size": 8},
    "boft": {},
    "ia3": {},
    "miss": {"r": 4},
    "ln_tuning": {},
    "randlora": {"r": 4},
    "shira": {"r": 4},
    "delora": {"r": 4},
    "road": {"group_size": 8},
    "gralora": {"r": 4},
    "waveft": {"n_frequency": 64},
    "hira": {"r": 4},
}


BASES = ("stable_diffusion", "sdxl", "sana", "flux2")
NOTHING_TO_TRAIN = [("sana", "ln_tuning"), ("flux2", "ln_tuning")]
"""The norms of these have no weights."""


@pytest.fixture
def base(request: pytest.FixtureRequest):
    return fresh(request, getattr(request, "param", "stable_diffusion"))


@pytest.mark.parametrize(
    ("base", "method"),
    [(base, method) for base in BASES for method in METHODS if (base, method) not in NOTHING_TO_TRAIN],
    indirect=["base"],
)
def test_a_method_starts_as_the_base_acts_learns_is_saved_and_leaves(
    base, method: str, tmp_path: Path
) -> None:
    before, plain, hooked = state(base), base.denoise(inputs(base)), hooks(base)
    injector = PeftConfig(method=method, settings=METHODS[method]).build()
    injector.inject(base)
    assert torch.equal(run(base, injector), plain)
    base.denoise(injector.apply(inputs(base), None)).square().sum().backward()
    trained = injector.trainable_parameters()
    assert trained
    assert not [name for name, p in trained.items() if p.grad is None]
    assert not [p for p in base.denoiser.parameters() if p.grad is not None]
    wake(injector)
    woken = run(base, injector)
    assert not torch.allclose(woken, plain, atol=1e-4)
    assert torch.equal(base.denoise(inputs(base)), plain)
    injector.eject()
    assert hooks(base) == hooked
    assert all(torch.equal(before[name], tensor) for name, tensor in base.denoiser.state_dict().items())
    injector.inject(base)
    assert torch.equal(run(base, injector), woken)
    injector.save_weights(tmp_path)
    injector.eject()
    again = PeftConfig(method=method, settings=METHODS[method], init=str(tmp_path)).build()
    again.inject(base)
    again.load_init()
    assert torch.allclose(run(base, again), woken, atol=1e-6)


@pytest.mark.parametrize(("base", "method"), NOTHING_TO_TRAIN, indirect=["base"])
def test_a_method_without_anything_to_train_is_refused(base, method: str) -> None:
    with pytest.raises(InputError, match=r"there is nothing to train at .*norm1"):
        PeftConfig(method=method).build().inject(base)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"method": "vera"}, "'vera' cannot be used: its layers share matrices"),
        ({"method": "pissa"}, "'pissa' cannot be used: it rewrites the weights of the base"),
        ({"method": "lora", "settings": {"init_lora_weights": "pissa_niter_2"}}, "'pissa' cannot be used"),
        ({"method": "fourierft"}, "'fourierft' cannot be used: its update is not 0 at the start"),
        ({"method": "c3a"}, "'c3a' cannot be used"),
        ({"method": "lokra"}, "peft has no method 'lokra'. Did you mean"),
        ({"method": "prompt_tuning"}, "adapts no layers"),
        ({"method": "lokr", "settings": {"rnk": 4}}, "peft has no setting 'rnk' for lokr"),
    ],
)
def test_methods_and_settings_that_are_refused(settings: dict, problem: str) -> None:
    with pytest.raises((InputError, ValueError), match=problem):
        PeftConfig(**settings).build()
    with pytest.raises(InputError, match=problem):
        PeftInjector(**settings)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        (
            {"method": "lora", "settings": {"init_lora_weights": "olora"}},
            "it changes the weights of the base",
        ),
        ({"method": "lora", "settings": {"init_lora_weights": False}}, "its update is not 0 at the start"),
        ({"method": "vblora"}, "peft cannot adapt these layers: .*shared state"),
        ({"method": "lokr", "targets": ("to_x",)}, "no layer has the name to_x"),
        ({"method": "lokr", "targets": ("attn1",)}, "'down_blocks.*attn1' is a Attention|cannot adapt"),
        ({"method": "road", "settings": {"group_size": 10}}, "peft cannot adapt these layers"),
    ],
)
def test_a_method_that_breaks_the_contract_is_found_out_before_it_touches_the_base(
    base, settings: dict, problem: str
) -> None:
    before, hooked = state(base), hooks(base)
    with pytest.raises(InputError, match=problem):
        PeftConfig(**settings).build().inject(base)
    assert hooks(base) == hooked
    assert all(torch.equal(before[name], tensor) for name, tensor in base.denoiser.state_dict().items())


def write_by_peft(base, method: str, folder: Path) -> torch.Tensor:
    """Write a folder with peft alone, with random weights, and give what the denoiser answers with it."""
    kind = "LORA" if method in VARIANTS else method.upper()
    targets = ["norm1", "norm2"] if method == "ln_tuning" else ["to_q", "to_v"]
    settings = {"target_modules": targets, **VARIANTS.get(method, {}), **METHODS[method]}
    if method == "ia3":
        settings["feedforward_modules"] = []
    theirs = get_peft_model(deepcopy(base.denoiser), PEFT_TYPE_TO_CONFIG_MAPPING[kind](**settings)).eval()
    torch.manual_seed(3)
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    for module in theirs.modules():  # a mask of the user's own
        if hasattr(module, "shira_indices"):
            module.shira_indices["default"] = module.shira_indices["default"].flip(1)
    theirs.save_pretrained(folder)
    return answer(theirs, base)


def answer(denoiser, base) -> torch.Tensor:
    given = inputs(base)
    return denoiser(given.sample, given.timestep, encoder_hidden_states=given.context).sample


@torch.no_grad()
@pytest.mark.parametrize("method", METHODS)
def test_a_folder_of_peft_gives_its_output_here_and_ours_there(base, method: str, tmp_path: Path) -> None:
    wanted = write_by_peft(base, method, tmp_path / "theirs")
    injector = PeftInjector(method=method, init=tmp_path / "theirs")
    injector.inject(base)
    injector.load_init()
    assert torch.allclose(run(base, injector), wanted, atol=1e-5)
    injector.eject()
    injector.inject(base)
    assert torch.allclose(run(base, injector), wanted, atol=1e-5)
    injector.save_weights(tmp_path / "ours")
    injector.eject()
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*missing adapter keys")
        again = PeftModel.from_pretrained(deepcopy(base.denoiser), tmp_path / "ours").eval()
    assert torch.allclose(answer(again, base), wanted, atol=1e-5)
    named = (
        load_file(tmp_path / folder / "adapter_model.safetensors").keys() for folder in ("theirs", "ours")
    )
    assert next(named) == next(named)


@torch.no_grad()
def test_a_folder_of_peft_need_not_have_begun_as_the_base(base, tmp_path: Path) -> None:
    wanted = write_by_peft(base, "rslora", tmp_path)
    settings = tmp_path / "adapter_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"init_lora_weights": False}))
    injector = PeftInjector(method="rslora", init=tmp_path)
    injector.inject(base)
    injector.load_init()
    assert torch.allclose(run(base, injector), wanted, atol=1e-5)
    injector.eject()
    new = PeftInjector(method="rslora", settings={"init_lora_weights": False})
    with pytest.raises(InputError, match="its update is not 0 at the start"):
        new.inject(base)


@torch.no_grad()
@pytest.mark.parametrize(
    ("method", "changed"),
    [
        ("dora", lambda name: name.replace("magnitude_vector", "magnitude_vector.weight")),
        ("randlora", lambda name: name if ".model." in name else None),
        ("shira", lambda name: None if "indices" in name else name),
    ],
)
def test_folders_that_graphcond_wrote_before_are_read(base, method: str, changed, tmp_path: Path) -> None:
    injector = PeftInjector(method=method, settings=METHODS[method])
    injector.inject(base)
    wake(injector)
    wanted = run(base, injector)
    injector.save_weights(tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    before = load_file(file)
    older = {changed(name): tensor for name, tensor in before.items() if changed(name)}
    assert older.keys() != before.keys()
    save_file(older, file)
    for parameter in injector.trainable_parameters().values():
        parameter.zero_()
    injector.load_weights(tmp_path)
    assert torch.allclose(run(base, injector), wanted, atol=1e-6)


@torch.no_grad()
def test_places_of_shira_outside_of_the_weights(base, tmp_path: Path) -> None:
    write_by_peft(base, "shira", tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    weights = load_file(file)
    name = next(name for name in weights if name.endswith("indices"))
    for place in (-1, 10**6):
        save_file(weights | {name: torch.full_like(weights[name], place)}, file)
        injector = PeftInjector(method="shira", init=tmp_path)
        injector.inject(base)
        with pytest.raises(InputError, match=r"shira_indices' names places outside of the weights"):
            injector.load_init()
        injector.eject()


@torch.no_grad()
@pytest.mark.parametrize("method", ["lokr", "oft"])
def test_folders_of_peft_that_do_not_fit(base, method: str, tmp_path: Path) -> None:
    write_by_peft(base, method, tmp_path / "ours")
    injector = PeftInjector(method=method, init=tmp_path / "ours")

    other = PeftInjector(method="ia3")
    other.inject(base)
    with pytest.raises(InputError, match=f"expected an update by ia3, got one by {method}"):
        other.load_weights(tmp_path / "ours")
    other.eject()

    injector.inject(base)
    file = tmp_path / "ours" / "adapter_model.safetensors"
    weights = load_file(file)
    first, *_ = weights
    for changed, problem in (
        ({name: tensor for name, tensor in weights.items() if name != first}, "is missing"),
        (weights | {"other": torch.zeros(1)}, "'other' is surplus"),
        (weights | {first: torch.zeros(1, 1, 1)}, r"has shape \(1, 1, 1\) instead of"),
    ):
        save_file(changed, file)
        with pytest.raises(InputError, match=problem):
            injector.load_weights(tmp_path / "ours")
    settings = tmp_path / "ours" / "adapter_config.json"
    for change, problem in (
        ({"target_modules": None}, "name no layers"),
        ({"target_modules": ["to_x"]}, "to_x"),
    ):
        settings.write_text(json.dumps(json.loads(settings.read_text()) | change))
        with pytest.raises(InputError, match=problem):
            injector.load_weights(tmp_path / "ours")


@torch.no_grad()
def test_adapters_of_a_recipe_are_trained_saved_and_loaded(sd_folder: Path, tmp_path: Path) -> None:
    adapters = {
        "update": {"kind": "peft", "method": "lokr", "settings": {"r": 4}},
        "small": {"kind": "difffit"},
        "kept": {"kind": "peft", "method": "ia3", "train": False},
    }
    model = small_model(sd_folder, lora={"rank": 2}, adapters=adapters)
    assert set(model.trainable_parameters()) == {"neighbors", "lora", "update", "small"}
    for adapter in model.adapters.values():
        wake(adapter)
    wanted = drawn(model)
    model.save_pretrained(tmp_path / "model")
    model.eject()
    again = GraphModel.from_pretrained(tmp_path / "model")
    assert torch.allclose(drawn(again), wanted, atol=1e-5)  # the order in which they add may differ
    assert not torch.allclose(again.base.denoise(inputs(again.base)), wanted, atol=1e-3)
    assert (tmp_path / "model" / "adapters" / "update" / "adapter_config.json").is_file()


def drawn(model: GraphModel) -> torch.Tensor:
    """What the base gives with all adapters of a model."""
    given = inputs(model.base)
    for adapter in model.adapters.values():
        given = adapter.apply(given, None)
    return model.base.denoise(given)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        (
            {"adapters": {"graph": {"kind": "ip_adapter"}}},
            "ip_adapter reads a signal, which an encoder gives",
        ),
        ({"adapters": {"neighbors": {"kind": "difffit"}}}, "'neighbors' is the name of another part"),
        ({"adapters": {"update": {"kind": "peft", "method": "vera"}}}, "'vera' cannot be used"),
        (
            {"adapters": {"a": {"kind": "difffit"}}, "training": {"train_base": True}},
            "trains the whole denoiser",
        ),
    ],
)
def test_adapters_that_a_recipe_refuses(sd_folder: Path, changes: dict, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        small_recipe(sd_folder, **changes)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["peft", "lora"])
def test_an_update_that_starts_from_a_file_beside_a_model_to_start_from(
    sd_folder: Path, tmp_path: Path, kind: str
) -> None:
    model = small_model(sd_folder)
    write_by_peft(model.base, "lora", tmp_path / "update")
    model.save_pretrained(tmp_path / "model")
    model.eject()
    settings = {"kind": kind, "init": str(tmp_path / "update")} | (
        {"method": "lora"} if kind == "peft" else {}
    )
    again = GraphModel.build(
        small_recipe(sd_folder, adapters={"update": settings}), feature_width=FEATURE_WIDTH, load_init=False
    )
    again.start_from(tmp_path / "model")
    assert "update" in again.trainable_parameters()
    assert not torch.allclose(drawn(again), again.base.denoise(inputs(again.base)), atol=1e-3)
