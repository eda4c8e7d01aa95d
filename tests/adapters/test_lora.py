"""LoRA: the update is (alpha / rank) B A, on the layers that were named, from its own file."""

from __future__ import annotations

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from diffusers import StableDiffusionPipeline
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model
from safetensors.torch import load_file, save_file

from graphcond.adapters import LoraInjector
from graphcond.adapters.lora import ADAPTER, WEIGHTS_FILE
from graphcond.bases import StableDiffusionBase, StableDiffusionXLBase
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError, Notice
from tests.builders import small_base
from tests.conformance.parts import hooks
from tests.conformance.parts import inputs as two_inputs


@pytest.fixture
def base(request: pytest.FixtureRequest, sd_folder: Path):
    if getattr(request, "param", "sd") == "sdxl":
        return StableDiffusionXLBase.from_pretrained(str(request.getfixturevalue("sdxl_folder")))
    return small_base(sd_folder)


def wake(injector: LoraInjector) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in injector.trainable_parameters().values():
            parameter.copy_(torch.randn_like(parameter))


def inputs(base) -> DenoiserInputs:
    return DenoiserInputs(torch.zeros(1, 4, 8, 8), torch.tensor([3]), base.encode_prompt(["a star"]).hidden)


def layer_of(base) -> torch.nn.Linear:
    return next(iter(base.sites("cross_attention").values())).module.to_q


@torch.no_grad()
@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_update_is_the_papers(base, scale: float) -> None:
    layer, seen = layer_of(base), {}
    injector = LoraInjector(rank=2, alpha=6.0)
    injector.inject(base)
    wake(injector)
    layer.register_forward_hook(lambda module, args, output: seen.update(x=args[0], y=output))
    base.denoise(injector.apply(inputs(base), None, scale))
    name = next(name for name, module in base.unet.named_modules() if module is layer)
    down, up = (injector.trainable_parameters()[f"{name}.lora_{side}.{ADAPTER}.weight"] for side in "AB")
    assert torch.allclose(seen["y"], seen["x"] @ (layer.weight + scale * 6.0 / 2 * up @ down).T, atol=1e-4)


def test_every_attention_projection_and_nothing_else(base) -> None:
    names = {
        name for name, _ in base.unet.named_modules() if name.endswith(("to_q", "to_k", "to_v", "to_out.0"))
    }
    injector = LoraInjector(rank=2)
    injector.inject(base)
    adapted = {name.split(".lora_")[0] for name in injector.trainable_parameters()}
    assert adapted == names


def test_targets_that_no_layer_has(base) -> None:
    before = hooks(base)
    for target in ("no_such_layer", "attn1"):  # the second one is no layer that can be adapted
        with pytest.raises(InputError, match=rf"lora\.targets.*{target}"):
            LoraInjector(targets=(target,)).inject(base)
    assert not hooks(base) - before


def test_injecting_twice_is_our_fault(base) -> None:
    injector = LoraInjector()
    injector.inject(base)
    with pytest.raises(RuntimeError, match="eject it first"):
        injector.inject(base)


def test_weights_need_a_denoiser(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inject first"):
        LoraInjector().save_weights(tmp_path)


@torch.no_grad()
@pytest.mark.parametrize("weight_decomposed", [False, True])
def test_a_round_trip_through_the_file(base, tmp_path: Path, weight_decomposed: bool) -> None:
    def build() -> LoraInjector:
        injector = LoraInjector(rank=2, weight_decomposed=weight_decomposed)
        injector.inject(base)
        return injector

    first = build()
    wake(first)
    wanted = base.denoise(first.apply(inputs(base), None))
    first.save_weights(tmp_path)
    first.eject()
    second = build()
    second.load_weights(tmp_path)
    assert torch.allclose(base.denoise(second.apply(inputs(base), None)), wanted, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("weight_decomposed", [False, True])
def test_an_ejected_update_acts_again_on_another_base(base, sd_folder: Path, weight_decomposed: bool) -> None:
    injector = LoraInjector(rank=2, weight_decomposed=weight_decomposed)
    injector.inject(base)
    wake(injector)
    wanted = base.denoise(injector.apply(inputs(base), None))
    injector.eject()
    with pytest.raises(RuntimeError, match="inject first"):
        injector.apply(inputs(base), None)
    other = small_base(sd_folder)
    injector.inject(other)
    assert torch.equal(other.denoise(injector.apply(inputs(other), None)), wanted)


def test_its_weights_do_not_move_to_a_base_of_other_widths(base, sdxl_folder: Path) -> None:
    injector = LoraInjector(rank=2)
    injector.inject(base)
    injector.eject()
    wide = StableDiffusionXLBase.from_pretrained(str(sdxl_folder))
    with pytest.raises(InputError, match="other widths"):
        injector.inject(wide)
    assert not injector.injected


def foreign_state(unet) -> dict[str, object]:
    """What belongs to the adapters that others put into a denoiser."""
    layers = {name: module for name, module in unet.named_modules() if hasattr(module, "base_layer")}
    return {
        "weights": {name: (p.requires_grad, p.sum().item()) for name, p in unet.named_parameters()},
        "active": {name: (layer.active_adapters, layer.disable_adapters) for name, layer in layers.items()},
        "known": list(getattr(unet, "peft_config", {})),
    }


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("targets", [["to_q"], ["to_k", "conv1"]], ids=["the same layers", "others"])
def test_adapters_of_others_stay_as_they_are(base, enabled: bool, targets: list[str]) -> None:
    for name in ("theirs", "idle"):
        base.unet.add_adapter(PeftLoraConfig(r=2, target_modules=targets, init_lora_weights=False), name)
    base.unet.set_adapter("theirs")
    base.unet.requires_grad_(False)
    if not enabled:
        base.unet.disable_adapters()
    before, plain = foreign_state(base.unet), base.denoise(inputs(base))
    first, second = LoraInjector(rank=2, targets=("to_q", "to_v")), LoraInjector(rank=2)
    first.inject(base)
    second.inject(base)
    wake(first)
    drawn = base.denoise(first.apply(inputs(base), None))
    assert not torch.allclose(drawn, plain, atol=1e-4)
    assert foreign_state(base.unet) == before
    assert torch.equal(base.denoise(inputs(base)), plain)
    second.eject()
    assert torch.equal(base.denoise(first.apply(inputs(base), None)), drawn)
    first.eject()
    assert foreign_state(base.unet) == before
    assert torch.equal(base.denoise(inputs(base)), plain)


@torch.no_grad()
def test_what_others_do_with_their_adapters_leaves_it_alone(base) -> None:
    injector = LoraInjector(rank=2)
    injector.inject(base)
    wake(injector)
    wanted = base.denoise(injector.apply(inputs(base), None))
    base.unet.add_adapter(PeftLoraConfig(r=2, target_modules=["to_q"], init_lora_weights=False), "theirs")
    assert all(parameter.requires_grad for parameter in injector.trainable_parameters().values())
    assert not torch.equal(base.denoise(injector.apply(inputs(base), None)), wanted)
    base.unet.disable_adapters()
    assert torch.equal(base.denoise(injector.apply(inputs(base), None)), wanted)
    base.unet.unload_lora()
    assert torch.equal(base.denoise(injector.apply(inputs(base), None)), wanted)


@torch.no_grad()
def test_dropout_acts_in_training_alone(base) -> None:
    injector = LoraInjector(rank=2, dropout=0.9)
    injector.inject(base)
    wake(injector)
    given = injector.apply(inputs(base), None)
    assert torch.equal(base.denoise(given), base.denoise(given))
    injector.train()
    assert not torch.equal(base.denoise(given), base.denoise(given))


@torch.no_grad()
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_decomposed_update_starts_as_the_base_and_fades_into_it(sd_folder: Path, dtype: str) -> None:
    base = StableDiffusionBase.from_pretrained(str(sd_folder), dtype=dtype)
    plain, injector = base.denoise(inputs(base)), LoraInjector(rank=2, weight_decomposed=True)
    injector.inject(base)
    assert torch.allclose(base.denoise(injector.apply(inputs(base), None)), plain, atol=1e-5)
    wake(injector)
    assert torch.equal(base.denoise(injector.apply(inputs(base), None, 0.0)), plain)
    far, near = (
        (base.denoise(injector.apply(inputs(base), None, scale)) - plain).abs().max() for scale in (1.0, 1e-3)
    )
    assert near < 0.05 * far


def kohya(weights: dict[str, torch.Tensor], alphas: dict[str, float | None]) -> dict[str, torch.Tensor]:
    """A file of diffusers in kohya's layout; ``alphas`` by the end of the layer's name, None for no alpha."""
    found = {}
    for key, value in weights.items():
        layer, end = key.removeprefix("unet.").split(".lora.")
        name = f"lora_unet_{layer.replace('.', '_')}"
        found[f"{name}.lora_{end}"] = value
        alpha = next(alpha for ending, alpha in alphas.items() if layer.endswith(ending))
        if alpha is not None:
            found[f"{name}.alpha"] = torch.tensor(alpha)
    return found


def written(
    base, folder: Path, weights: dict[str, torch.Tensor], metadata: dict[str, str] | None = None
) -> Path:
    folder.mkdir()
    save_file(weights, folder / WEIGHTS_FILE, metadata=metadata)
    return folder


def test_kohyas_numbers_of_sdxl_blocks_are_those_of_the_original_code(
    sdxl_folder: Path, tmp_path: Path
) -> None:
    base, found = StableDiffusionXLBase.from_pretrained(str(sdxl_folder)), {}
    per_level = base.denoiser.config.layers_per_block + 1
    for name, layer in base.denoiser.named_modules():
        match = re.fullmatch(r"(down|up)_blocks\.(\d)\.attentions\.(\d)\.(.*attn2\.to_k)", name)
        if match is None:
            continue
        part, level, place, rest = match.groups()
        first = int(level) * per_level + int(place) + (part == "down")
        blocks = {"down": "input_blocks", "up": "output_blocks"}[part]
        key = f"lora_unet_{blocks}_{first}_1_{rest.replace('.', '_')}"
        found[f"{key}.lora_down.weight"] = torch.randn(2, layer.in_features)
        found[f"{key}.lora_up.weight"] = torch.randn(layer.out_features, 2)
        found[f"{key}.alpha"] = torch.tensor(1.0)
    injector = LoraInjector(init=written(base, tmp_path / "kohya", found) / WEIGHTS_FILE)
    injector.inject(base)
    injector.load_init()
    assert len(injector.layers) == len(found) / 3 > 0


def with_file(base, folder: Path, **settings) -> torch.Tensor:
    """The answer with a LoRA of another alpha that loaded a file."""
    injector = LoraInjector(rank=4, **settings)
    injector.inject(base)
    injector.load_weights(folder)
    answer = base.denoise(injector.apply(inputs(base), None))
    injector.eject()
    return answer


@pytest.fixture
def plain_file(base, tmp_path: Path) -> dict[str, torch.Tensor]:
    """The weights of a file with alpha = rank."""
    injector = LoraInjector(rank=4)
    injector.inject(base)
    wake(injector)
    injector.save_weights(tmp_path / "plain")
    injector.eject()
    return load_file(tmp_path / "plain" / WEIGHTS_FILE)


@torch.no_grad()
@pytest.mark.parametrize("alpha", [None, 1.0, 6.0])
def test_the_alpha_of_kohyas_layers_counts(base, tmp_path: Path, plain_file, alpha: float | None) -> None:
    folder = written(base, tmp_path / "kohya", kohya(plain_file, {"to_q": 1.0, "": 6.0}))
    scaled = {
        key: value * ((1.0 if ".to_q." in key else 6.0) / 4) if key.endswith(".lora.up.weight") else value
        for key, value in plain_file.items()
    }
    with pytest.warns(Notice, match="says no alpha"):
        wanted = with_file(base, written(base, tmp_path / "scaled", scaled))
    assert torch.allclose(with_file(base, folder, alpha=alpha), wanted, atol=1e-3)


@torch.no_grad()
def test_a_file_without_alpha_is_read_at_scale_one_and_says_so(base, tmp_path: Path, plain_file) -> None:
    wanted = with_file(base, tmp_path / "plain")
    for name, weights in {"diffusers": plain_file, "kohya": kohya(plain_file, {"": None})}.items():
        folder = written(base, tmp_path / name, weights)
        with pytest.warns(Notice, match=r"says no alpha of \d+ layers, which are read as alpha = rank"):
            assert torch.allclose(with_file(base, folder, alpha=1.0), wanted, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("alpha", [1.0, 4.0, 6.0, 0.7])
@pytest.mark.parametrize("weight_decomposed", [False, True])
def test_its_file_leads_back_to_the_bit_and_says_its_alpha(
    base, tmp_path: Path, alpha: float, weight_decomposed: bool
) -> None:
    settings = {"alpha": alpha, "weight_decomposed": weight_decomposed}
    injector = LoraInjector(rank=4, **settings)
    injector.inject(base)
    wake(injector)
    before = {name: p.clone() for name, p in injector.trainable_parameters().items()}
    wanted = base.denoise(injector.apply(inputs(base), None))
    injector.save_weights(tmp_path / "own")
    for parameter in injector.trainable_parameters().values():
        parameter.zero_()
    injector.load_weights(tmp_path / "own")
    assert all(torch.equal(p, before[name]) for name, p in injector.trainable_parameters().items())
    injector.eject()
    other = with_file(base, tmp_path / "own", alpha=2.0, weight_decomposed=weight_decomposed)
    # B is rounded otherwise at another alpha, and the large random update amplifies that.
    assert torch.allclose(other, wanted, atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        ({"unet.lora_alpha": 6}, 1.5),
        ({"unet.lora_alpha": 6, "unet.use_rslora": True}, 3.0),
        ({"unet.lora_alpha": 4, "unet.alpha_pattern": {"to_q|to_k|to_v|to_out.0": 2}}, 0.5),
        ({"unet.lora_alpha": 4, "text_encoder.lora_alpha": 9}, 1.0),
    ],
)
def test_the_alpha_of_pefts_settings_counts(base, tmp_path: Path, plain_file, settings, scale: float) -> None:
    metadata = {"format": "pt", "lora_adapter_metadata": json.dumps(settings)}
    folder = written(base, tmp_path / "peft", plain_file, metadata)
    injector = LoraInjector(rank=4)
    injector.inject(base)
    injector.load_weights(tmp_path / "plain")
    wanted = base.denoise(injector.apply(inputs(base), None, scale))
    injector.eject()
    assert torch.allclose(with_file(base, folder), wanted, atol=1e-3)


@pytest.mark.parametrize("half", ["down", "up"])
@pytest.mark.parametrize("in_file", [False, True])
def test_a_missing_half_is_named(base, tmp_path: Path, plain_file, half: str, in_file: bool) -> None:
    for name, weights in {"kohya": kohya(plain_file, {"": 1.0}), "diffusers": plain_file}.items():
        lost = [key for key in weights if f"{half}.weight" in key][:2]
        kept = {key: tensor for key, tensor in weights.items() if key not in lost}
        folder = written(base, tmp_path / name, kept)
        injector = LoraInjector(rank=4, init=folder / WEIGHTS_FILE if in_file else None)
        injector.inject(base)
        with pytest.raises(InputError, match=f"{re.escape(min(lost))}' is missing, and 1 more"):
            injector.load_weights(folder)
        injector.eject()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w | {next(iter(w)).split(".")[0] + ".alpha": torch.tensor(float("nan"))}, "is not finite"),
        (lambda w: w | {next(iter(w)).split(".")[0] + ".alpha": torch.ones(3)}, "expected a number"),
        (lambda w: w | {"lora_unet_x.what": torch.ones(1)}, "not those of a LoRA for a StableDiffusionBase"),
    ],
)
def test_files_that_cannot_be_read(base, tmp_path: Path, plain_file, change, message: str) -> None:
    folder = written(base, tmp_path / "odd", change(kohya(plain_file, {"": 1.0})))
    with pytest.raises(InputError, match=message):
        with_file(base, folder)


@pytest.mark.parametrize(
    "settings", ["{", "[]", '{"unet.alpha_pattern": {"(": 1}}', '{"unet.alpha_pattern": [1]}']
)
def test_settings_that_cannot_be_read(base, tmp_path: Path, plain_file, settings: str) -> None:
    folder = written(base, tmp_path / "odd", plain_file, {"lora_adapter_metadata": settings})
    with pytest.raises(InputError, match="Fetch the file again"):
        with_file(base, folder)


def test_the_file_is_the_same_each_time(base, tmp_path: Path) -> None:
    injector = LoraInjector(rank=2)
    injector.inject(base)
    contents = set()
    for number in range(8):
        (tmp_path / str(number)).mkdir()
        injector.save_weights(tmp_path / str(number))
        contents.add((tmp_path / str(number) / "pytorch_lora_weights.safetensors").read_bytes())
    assert len(contents) == 1
    injector.load_weights(tmp_path / "0")


@pytest.mark.parametrize("weight_decomposed", [False, True])
def test_gradients_in_bf16_are_those_in_float32(sd_folder: Path, weight_decomposed: bool) -> None:
    found = []
    for dtype in ("fp32", "bf16"):
        torch.manual_seed(0)
        base = StableDiffusionBase.from_pretrained(str(sd_folder), dtype=dtype)
        injector = LoraInjector(rank=2, weight_decomposed=weight_decomposed)
        injector.inject(base)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in injector.trainable_parameters().values():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        given = injector.apply(inputs(base), None)
        (base.denoise(given).float().square().mean() / (64 * 16)).backward()
        found.append(torch.cat([p.grad.flatten() for p in injector.trainable_parameters().values()]))
    assert torch.cosine_similarity(*found, dim=0) > 0.99
    zeros = [(one == 0).float().mean().item() for one in found]
    assert zeros[1] < zeros[0] + 0.01


def foreign(base: StableDiffusionBase, file: Path) -> None:
    """A LoRA of rank 2 and 3 with alphas of 1, over attention, a feed-forward layer and a convolution."""
    torch.manual_seed(5)
    weights, ranks = {}, {"attn2.to_k": 2, "ff.net.0.proj": 3, "resnets.0.conv1": 2}
    for name, layer in base.unet.down_blocks[0].named_modules():
        for end, rank in ranks.items():
            if name.endswith(end):
                key = f"lora_unet_down_blocks_0_{name.replace('.', '_')}"
                down, up = layer.weight.shape[1:], layer.weight.shape[:1]
                weights[f"{key}.lora_down.weight"] = torch.randn(rank, *down) * 0.3
                weights[f"{key}.lora_up.weight"] = torch.randn(*up, rank, *[1] * (len(down) - 1)) * 0.3
                weights[f"{key}.alpha"] = torch.tensor(1.0)
    save_file(weights, file)


@torch.no_grad()
def test_a_foreign_lora_of_other_layers_and_ranks_gives_what_it_gives_in_diffusers(
    sd_folder: Path, tmp_path: Path
) -> None:
    base, file = small_base(sd_folder), tmp_path / "style.safetensors"
    foreign(base, file)
    given = inputs(base)
    lora = LoraInjector(init=file, train=False)
    lora.inject(base)
    lora.load_init()
    ours = base.denoise(lora.apply(given, None))
    lora.save_weights(tmp_path / "saved")
    lora.eject()
    assert lora.trainable_parameters() == {}
    for folder, name in ((tmp_path, file.name), (tmp_path / "saved", "pytorch_lora_weights.safetensors")):
        pipe = StableDiffusionPipeline.from_pretrained(sd_folder, safety_checker=None)
        pipe.load_lora_weights(folder, weight_name=name)
        theirs = pipe.unet(given.sample, given.timestep, encoder_hidden_states=given.context).sample
        assert torch.allclose(ours, theirs, atol=1e-5)
    again = LoraInjector(init=file, train=False)
    again.inject(base)
    again.load_weights(tmp_path / "saved")
    assert torch.allclose(base.denoise(again.apply(given, None)), ours, atol=1e-6)


def test_a_foreign_lora_of_another_base_and_a_file_of_another_method(sd_folder: Path, tmp_path: Path) -> None:
    base, file = small_base(sd_folder), tmp_path / "style.safetensors"
    lora = LoraInjector(init=file)
    lora.inject(base)
    layer = "unet.down_blocks.7.attentions.0.transformer_blocks.0.attn1.to_q"
    save_file(
        {f"{layer}.lora_A.weight": torch.zeros(2, 8), f"{layer}.lora_B.weight": torch.zeros(8, 2)}, file
    )
    with pytest.raises(InputError, match=r"layers that this one does not have, such as 'down_blocks\.7"):
        lora.load_init()
    layer = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    save_file(
        {f"{layer}.lora_A.weight": torch.zeros(2, 8), f"{layer}.lora_B.weight": torch.zeros(8, 2)}, file
    )
    with pytest.raises(InputError, match=r"has shape \(2, 8\) instead of"):
        lora.load_init()


@torch.no_grad()
@pytest.mark.parametrize("base", ["sd", "sdxl"], indirect=True)
@pytest.mark.parametrize("settings", [{}, {"use_dora": True}, {"use_rslora": True}], ids=str)
def test_a_lora_that_peft_wrote_gives_what_it_gives_there(base, settings, tmp_path: Path) -> None:
    theirs = peft_model(base, settings)
    theirs.save_pretrained(tmp_path)
    given = two_inputs(base)
    wanted = theirs(
        given.sample, given.timestep, encoder_hidden_states=given.context, **base.conditions(given)
    ).sample
    for init in (tmp_path, tmp_path / "adapter_model.safetensors"):
        lora = LoraInjector(init=init)
        lora.inject(base)
        lora.load_init()
        assert torch.allclose(base.denoise(lora.apply(given, None)), wanted, atol=1e-5)
        lora.eject()


def peft_model(base, settings: dict):
    config = PeftLoraConfig(
        r=4,
        lora_alpha=2,
        target_modules=["to_q", "to_v"],
        rank_pattern={"attn1.to_q": 2},
        alpha_pattern={"attn1.to_q": 8},
        **settings,
    )
    theirs = get_peft_model(deepcopy(base.denoiser), config).eval()
    torch.manual_seed(3)
    for parameter in theirs.parameters():
        if parameter.requires_grad:
            parameter.copy_(torch.randn_like(parameter) * 0.3)
    return theirs


@torch.no_grad()
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (
            {"peft_type": "HIRA"},
            "got an update by hira. Read it as an adapter of kind: peft, with method: hira",
        ),
        ({"init_lora_weights": "pissa_niter_4"}, "weights of the base that pissa has changed"),
        ({"alpha_pattern": 3}, "not those of peft"),
        (None, "expected the settings of peft"),
    ],
)
def test_settings_beside_a_lora_of_peft_that_are_refused(base, change, problem: str, tmp_path: Path) -> None:
    peft_model(base, {}).save_pretrained(tmp_path)
    settings = tmp_path / "adapter_config.json"
    changed = [] if change is None else json.loads(settings.read_text()) | change
    settings.write_text(json.dumps(changed))
    lora = LoraInjector(init=tmp_path)
    lora.inject(base)
    with pytest.raises(InputError, match=problem):
        lora.load_init()
