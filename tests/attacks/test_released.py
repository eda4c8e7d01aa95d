"""Files of others that injectors start from: damaged, of another method or base, or with code in them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from diffusers import ControlNetModel, T2IAdapter
from safetensors.torch import load_file, save_file
from torch import Tensor

from graphcond.adapters import (
    ControlNetInjector,
    DiffFitInjector,
    GatedSelfAttentionInjector,
    HypernetworkInjector,
    Injector,
    IPAdapterInjector,
    LoraInjector,
    PeftInjector,
    T2IAdapterInjector,
)
from graphcond.bases import StableDiffusionBase, StableDiffusionXLBase
from graphcond.errors import InputError
from graphcond.io.tensors import other_family
from tests.adapters.test_lora import foreign
from tests.attacks.conftest import Tally
from tests.attacks.mutations import bytes_changed
from tests.attacks.test_inputs import header_changed
from tests.builders import small_base
from tests.typecheck import unchecked

OF_DIFFUSERS = "diffusion_pytorch_model.safetensors"


@dataclass(frozen=True)
class Loader:
    """A loader of released weights.

    Args:
        file: the path within a folder of the weights.
        write: writes whole ones into a folder.
        make: the injector, told to start from a folder.
        read: reads the folder, once it is injected.
        of_another: what is said of the weights of a LoRA, or for LoRA those of a UNet.
    """

    file: str
    write: Callable[[StableDiffusionBase, Path], object]
    make: Callable[[Path], Injector[Any]]
    of_another: str
    read: Callable[[Any, Path], object] = lambda injector, folder: injector.load_init()


def injected(base: StableDiffusionBase, injector: Any) -> Any:
    injector.inject(base)
    injector.eject()
    return injector


def write_ip_adapter(base: StableDiffusionBase, folder: Path) -> None:
    weights = injected(base, IPAdapterInjector()).released_weights()
    save_file({f"ip_adapter.{name}": one for name, one in weights.items()}, folder / "ip.safetensors")


def write_gligen(base: StableDiffusionBase, folder: Path) -> None:
    weights = {}
    for name, tensor in injected(base, GatedSelfAttentionInjector()).state_dict().items():
        block, _, rest = name.removeprefix("blocks.").partition(".")
        ours = name.startswith("position_net.")
        weights[name if ours else f"{block.replace('/', '.')}.fuser.{rest}"] = tensor
    save_file(weights, folder / OF_DIFFUSERS)


def write_peft(base: StableDiffusionBase, folder: Path) -> None:
    injector = PeftInjector(method="lokr", settings={"r": 2})
    injector.inject(base)
    injector.save_weights(folder)
    injector.eject()


LOADERS = {
    "ip_adapter": Loader(
        "ip.safetensors",
        write_ip_adapter,
        lambda folder: IPAdapterInjector(init=folder / "ip.safetensors"),
        "expected the weights of an IP-Adapter .* got those of a LoRA",
    ),
    "t2i_adapter": Loader(
        OF_DIFFUSERS,
        lambda base, folder: T2IAdapter(
            in_channels=3, channels=list(base.unet.config.block_out_channels), downscale_factor=8
        ).save_pretrained(folder),
        lambda folder: T2IAdapterInjector(layout_width=3, downscale=8, init=folder),
        "weights do not fit: they are those of a LoRA; ",
    ),
    "controlnet": Loader(
        OF_DIFFUSERS,
        lambda base, folder: ControlNetModel.from_unet(base.unet).save_pretrained(folder),
        lambda folder: ControlNetInjector(layout_width=3, init=folder),
        "weights do not fit: they are those of a LoRA; ",
    ),
    "hypernetwork": Loader(
        "hyper.pt",
        lambda base, folder: write(hypernetwork(base.facts.token_width), folder / "hyper.pt"),
        lambda folder: HypernetworkInjector(init=folder / "hyper.pt"),
        "expected the weights of a hypernetwork, got those of a LoRA",
    ),
    "lora": Loader(
        "lora.safetensors",
        lambda base, folder: foreign(base, folder / "lora.safetensors"),
        lambda folder: LoraInjector(init=folder / "lora.safetensors"),
        "expected a LoRA, got the weights of a UNet",
    ),
    "peft": Loader(
        "adapter_model.safetensors",
        write_peft,
        lambda folder: PeftInjector(method="lokr", init=folder),
        "weights do not fit: they are those of a LoRA; ",
    ),
    "gligen": Loader(
        OF_DIFFUSERS,
        write_gligen,
        lambda folder: GatedSelfAttentionInjector(),
        "no gated self-attention",
        lambda injector, folder: injector.load_gligen(folder),
    ),
    "difffit": Loader(
        "injector.safetensors",
        lambda base, folder: injected(base, DiffFitInjector()).save_weights(folder),
        lambda folder: DiffFitInjector(),
        "weights do not fit: they are those of a LoRA; ",
        lambda injector, folder: injector.load_weights(folder),
    ),
}


def hypernetwork(width: int) -> dict[str, Tensor]:
    sizes = {"linear.0": (2 * width, width), "linear.1": (width, 2 * width)}
    parts = {"weight": lambda out, _in: torch.zeros(out, _in), "bias": lambda out, _in: torch.zeros(out)}
    return {
        f"{width}.{half}.{layer}.{part}": make(*size)
        for half in "01"
        for layer, size in sizes.items()
        for part, make in parts.items()
    }


def tensors(file: Path) -> dict[str, Tensor]:
    return load_file(file) if file.suffix == ".safetensors" else torch.load(file, weights_only=True)


def write(weights: dict[str, Tensor], file: Path) -> None:
    if file.suffix == ".safetensors":
        save_file(weights, file, metadata={"format": "pt"})
    else:
        torch.save(weights, file)


@pytest.fixture(scope="module")
def base(sd_folder: Path) -> StableDiffusionBase:
    return small_base(sd_folder)


@pytest.fixture(params=LOADERS)
def loader(request: pytest.FixtureRequest) -> Loader:
    return LOADERS[request.param]


@pytest.fixture
def folder(base: StableDiffusionBase, loader: Loader, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    (tmp_path / "released").mkdir()
    loader.write(base, tmp_path / "released")
    return tmp_path / "released"


def read(base: StableDiffusionBase, loader: Loader, folder: Path) -> None:
    injector = loader.make(folder)
    injector.inject(base)
    try:
        loader.read(injector, folder)
    finally:
        injector.eject()


def test_names_and_shapes_of_weights_must_be_those_of_the_base(
    base: StableDiffusionBase, loader: Loader, folder: Path
) -> None:
    read(base, loader, folder)
    good = tensors(folder / loader.file)
    one = min(name for name in good if not name.endswith(".alpha"))  # without which a LoRA is read
    for weights in (
        {name: tensor for name, tensor in good.items() if name != one},
        good | {f"{one}.more": torch.zeros(3)},
        good | {one: torch.zeros(3, 3, 3)},
    ):
        write(weights, folder / loader.file)
        with pytest.raises(InputError) as refused:
            read(base, loader, folder)
        assert str(folder) in str(refused.value)
        if one not in weights:
            assert ".".join(one.rpartition(".fuser.")[2].split(".")[-2:]) in str(refused.value)


def test_weights_of_another_method_are_named(base: StableDiffusionBase, loader: Loader, folder: Path) -> None:
    name = "unet.down_blocks.0.attentions.0.proj_in" if loader is LOADERS["lora"] else "unet.to_q.lora_A"
    write({f"{name}.weight": torch.zeros(2, 2)}, folder / loader.file)
    with pytest.raises(InputError, match=loader.of_another):
        read(base, loader, folder)


def test_code_in_a_file_is_not_run(base: StableDiffusionBase, loader: Loader, folder: Path) -> None:
    ran = folder / "ran"
    torch.save({"code": Running(ran)}, folder / loader.file)
    with pytest.raises(InputError, match=r"pickle.* could run code"):
        read(base, loader, folder)
    assert not ran.exists()


def test_a_pickle_is_called_a_pickle(base: StableDiffusionBase, loader: Loader, folder: Path) -> None:
    file = folder / loader.file
    good = {name: tensor.clone() for name, tensor in tensors(file).items()}
    file.unlink()
    torch.save(good, file)
    if file.suffix == ".pt":  # tensors alone are read safely
        read(base, loader, folder)
    else:
        with pytest.raises(InputError, match=r"a pickle, which could run code.* Save its tensors"):
            read(base, loader, folder)


@pytest.mark.parametrize("name", ["peft", "difffit", "controlnet", "t2i_adapter"])
def test_so_is_one_that_older_libraries_wrote(base: StableDiffusionBase, name: str, tmp_path: Path) -> None:
    loader = LOADERS[name]
    loader.write(base, tmp_path)
    file = tmp_path / loader.file
    file.unlink()
    torch.save({}, file.with_suffix(".bin"))
    with pytest.raises(InputError, match=rf"{file.stem}\.bin.* a pickle, which could run code"):
        read(base, loader, tmp_path)


def test_a_pickle_given_as_a_lora(base: StableDiffusionBase, tmp_path: Path) -> None:
    foreign(base, tmp_path / "lora.safetensors")
    lora = LoraInjector(init=tmp_path / "lora.bin")
    lora.inject(base)
    for content in (load_file(tmp_path / "lora.safetensors"), {"code": Running(tmp_path / "ran")}):
        torch.save(content, tmp_path / "lora.bin")
        with pytest.raises(InputError, match=r"lora\.bin.* a pickle, which could run code"):
            lora.load_init()
    assert not (tmp_path / "ran").exists()


class Running:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.file,)


def test_changed_bytes(
    base: StableDiffusionBase,
    loader: Loader,
    folder: Path,
    tally: Tally,
    attacks: Callable[[int], int],
) -> None:
    """Every file is read, or refused as an input; the base stays as it was."""
    file, before = folder / loader.file, {n: t.clone() for n, t in base.unet.state_dict().items()}
    whole, refused = file.read_bytes(), 0
    for number in range(attacks(8)):
        random = Random(f"{loader.file} {number}")
        change = random.choice((header_changed, bytes_changed)) if file.suffix != ".pt" else bytes_changed
        file.write_bytes(change(whole, random) if number else whole[: len(whole) // 2])
        tally.inputs += 1
        try:
            with unchecked():
                read(base, loader, folder)
        except InputError:
            refused += 1
    assert refused
    after = base.unet.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not any(one._forward_hooks for one in base.unet.modules() if not hasattr(one, "heads"))


def tensors_of(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    return {name: torch.zeros(shape, device="meta") for name, shape in shapes.items()}


BLOCK = "down_blocks.1.attentions.0.transformer_blocks.0"
KOHYA = "lora_unet_down_blocks_1_attentions_0_transformer_blocks_0"
WANTED = {
    "sd": {f"{BLOCK}.attn2.to_k.weight": (640, 768), "down_blocks.0.attentions.0.proj_in.weight": (320, 320)},
    "sdxl": {
        f"{BLOCK}.attn2.to_k.weight": (640, 2048),
        "down_blocks.1.attentions.0.transformer_blocks.1.attn1.to_k.weight": (640, 640),
    },
    "flux": {"single_transformer_blocks.0.attn.to_q.weight": (3072, 3072)},
}
"""Weights of denoisers, of published shapes."""


@pytest.mark.parametrize(
    ("shapes", "family"),
    [
        ({f"{BLOCK}.attn2.to_k.lora_A.weight": (4, 2048)}, "SDXL"),
        ({f"{KOHYA}_attn2_to_k.lora_down.weight": (4, 768)}, "Stable Diffusion 1"),
        ({f"unet.{BLOCK}.attn2.to_v.lora.down.weight": (4, 1024)}, "Stable Diffusion 2"),
        ({f"{BLOCK}.attn2.to_v.lora_A.weight": (4, 56)}, "a base with tokens 56 wide"),
        (
            {f"{BLOCK}.attn2.to_k.lokr_w1": (4, 8), f"{BLOCK}.attn2.to_k.lokr_w2_b": (2, 256)},
            "SDXL",
        ),
        (
            {f"{BLOCK}.attn2.to_v.lokr_w1_b": (2, 8), f"{BLOCK}.attn2.to_v.lokr_w2": (8, 96)},
            "Stable Diffusion 1",
        ),
        ({f"{KOHYA}_attn2_to_k.hada_w1_b": (4, 1024)}, "Stable Diffusion 2"),
        ({f"{BLOCK[:-1]}1.attn1.to_q.lokr_w1": (4, 4)}, "SDXL"),
        ({"down_blocks.0.attentions.0.proj_in.lokr_w1": (4, 4)}, "Stable Diffusion"),
        ({"lora_unet_input_blocks_4_1_proj_in.lora_down.weight": (4, 640)}, "SDXL"),
        ({"1.to_k_ip.weight": (640, 2048)}, "SDXL"),
        ({"add_embedding.linear_1.weight": (1280, 2816)}, "SDXL"),
        ({"transformer.single_transformer_blocks.0.attn.to_q.lora_A.weight": (4, 3072)}, "FLUX"),
        ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (4, 3072)}, "FLUX"),
        ({"conv_in.weight": (320, 4, 3, 3)}, None),
    ],
)
def test_the_family_that_weights_are_made_for_is_known(shapes: dict, family: str | None) -> None:
    found = tensors_of(shapes)
    told = {base: other_family(found, tensors_of(wanted)) for base, wanted in WANTED.items()}
    assert set(told.values()) <= {family, None}
    if family is not None:
        assert family in told.values()
    for base, known in (("sd", "Stable Diffusion"), ("sdxl", "SDXL"), ("flux", "FLUX")):
        if family is not None and family.startswith(known) and family != "Stable Diffusion 2":
            assert told[base] is None


def test_adapters_of_sdxl_in_stable_diffusion_say_so(
    base: StableDiffusionBase, sdxl_folder: Path, tmp_path: Path
) -> None:
    wide: Any = StableDiffusionXLBase.from_pretrained(str(sdxl_folder))
    tokens = wide.facts.token_width
    peft = [(method, {"r": 2}) for method in ("lora", "lokr", "loha")]
    for injector in (LoraInjector(rank=2), *(PeftInjector(method=m, settings=r) for m, r in peft)):
        injector.inject(wide)
        injector.save_weights(tmp_path / getattr(injector, "method", "LoraInjector"))
        injector.eject()
    write_ip_adapter(wide, tmp_path)
    ControlNetModel.from_unet(wide.unet).save_pretrained(tmp_path / "control")
    T2IAdapter(
        in_channels=3,
        channels=list(wide.unet.config.block_out_channels),
        adapter_type="full_adapter_xl",
        downscale_factor=16,
    ).save_pretrained(tmp_path / "t2i")
    torch.manual_seed(0)
    width = rf"made for a base with tokens {tokens} wide"
    for injector, problem in (
        (LoraInjector(init=tmp_path / "LoraInjector"), rf"is for a base with tokens {tokens} wide"),
        *((PeftInjector(method=method, init=tmp_path / method), width) for method, _ in peft),
        (IPAdapterInjector(init=tmp_path / "ip.safetensors"), width),
        (ControlNetInjector(layout_width=3, hint="picture", init=tmp_path / "control"), width),
        (T2IAdapterInjector(layout_width=3, downscale=8, init=tmp_path / "t2i"), "made for SDXL"),
    ):
        injector.inject(base)
        with pytest.raises(InputError, match=problem):
            injector.load_init()
        injector.eject()


def test_a_lora_of_flux_in_stable_diffusion_says_so(base: StableDiffusionBase, tmp_path: Path) -> None:
    for layer, ends in (
        ("transformer.single_transformer_blocks.0.attn.to_q", ("lora_A", "lora_B")),
        ("lora_unet_double_blocks_0_img_attn_proj", ("lora_down", "lora_up")),
    ):
        weights = {f"{layer}.{end}.weight": torch.zeros(4, 4) for end in ends}
        save_file(weights, tmp_path / "flux.safetensors")
        lora = LoraInjector(init=tmp_path / "flux.safetensors")
        lora.inject(base)
        with pytest.raises(InputError, match="for FLUX"):
            lora.load_init()
