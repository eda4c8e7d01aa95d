"""A saved model says so when it is opened over other weights of the base than it was trained over."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graphcond.bases import StableDiffusionBase
from graphcond.errors import InputError, Notice
from graphcond.io.fingerprint import weights_sketch
from graphcond.model import GraphModel
from graphcond.saving.base_weights import recorded, warn_of_other_weights
from graphcond.saving.model_folder import MANIFEST
from tests.builders import small_base, small_model


@pytest.fixture(scope="module")
def saved(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fingerprint") / "model"
    small_model(sd_folder).save_pretrained(folder)
    return folder


def changed(base: StableDiffusionBase, part: str) -> StableDiffusionBase:
    with torch.no_grad():
        next(getattr(base, part).parameters()).mul_(1.1)
    return base


def notices(action: Any) -> list[str]:
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        action()
    return [str(one.message) for one in given if issubclass(one.category, Notice)]


def test_the_same_base_moved_or_loaded_gives_no_notice(saved: Path, sd_folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(sd_folder, tmp_path / "moved")
    assert not notices(lambda: GraphModel.from_pretrained(saved))
    assert not notices(lambda: GraphModel.from_pretrained(saved, base=moved))
    assert not notices(lambda: GraphModel.from_pretrained(saved, base=small_base(sd_folder)))


@pytest.mark.parametrize(
    ("part", "name"), [("unet", "denoiser"), ("vae", "autoencoder"), ("text_encoder", "text encoder")]
)
def test_other_weights_are_named_with_a_remedy(saved: Path, sd_folder: Path, part: str, name: str) -> None:
    base = changed(small_base(sd_folder), part)
    (notice,) = notices(lambda: GraphModel.from_pretrained(saved, base=base))
    assert notice.startswith(f"{saved}: the model was trained over a base with another ")
    assert name in notice
    assert "--base" in notice


def test_weights_that_do_not_fit_another_base_are_one_error(sd_folder: Path, tmp_path: Path) -> None:
    """A ControlNet copies its base, so it fits none whose latents have other channels."""
    scene = {
        "name": "scene",
        "sampler": {"kind": "scene_triples"},
        "encoder": {"kind": "layout"},
        "injector": {"kind": "controlnet"},
    }
    data = {"kind": "world", "world": "scenes"}
    small_model(sd_folder, conditions=[scene], data=data).save_pretrained(tmp_path / "model")
    wider = Path(shutil.copytree(sd_folder, tmp_path / "wider"))
    base = small_base(sd_folder)
    for part, channels in {
        "unet": {"in_channels": 7, "out_channels": 7},
        "vae": {"latent_channels": 7},
    }.items():
        network = getattr(base, part)
        type(network).from_config({**network.config, **channels}).save_pretrained(wider / part)
    with pytest.raises(InputError) as caught:
        GraphModel.from_pretrained(tmp_path / "model", base=wider)
    text = str(caught.value)
    assert "injector.safetensors: weights do not fit: 'controlnet." in text
    assert "; the model was trained over a base with another denoiser and another autoencoder" in text
    assert "Open it over its own base (--base" in text


def test_a_model_without_fingerprints_opens_silently_over_a_base_of_the_user(
    saved: Path, tmp_path: Path
) -> None:
    old = Path(shutil.copytree(saved, tmp_path / "old"))
    manifest = json.loads((old / MANIFEST).read_text())
    del manifest["base_weights"]
    (old / MANIFEST).write_text(json.dumps(manifest))
    assert not notices(lambda: GraphModel.from_pretrained(old))


def test_a_model_without_fingerprints_over_the_packaged_base_says_that_this_has_changed() -> None:
    (notice,) = notices(lambda: warn_of_other_weights(None, {}, Path("m"), reshipped=True))
    assert "changed since. Train it again" in notice


def test_a_denoiser_of_the_models_own_is_not_compared() -> None:
    base = {"denoiser": "a", "others": "b"}
    assert recorded(base, own_denoiser=True) == {"others": "b"}
    assert not notices(lambda: warn_of_other_weights({"others": "b"}, base, Path("m"), reshipped=False))


def test_the_model_card_names_the_fingerprints(saved: Path) -> None:
    weights = json.loads((saved / MANIFEST).read_text())["base_weights"]
    assert f"denoiser `{weights['denoiser']}`" in (saved / "README.md").read_text()


def test_sketches_follow_content_not_names_or_half_precision() -> None:
    torch.manual_seed(0)
    first, second = nn.Sequential(nn.Linear(30, 20), nn.BatchNorm1d(20)), nn.ModuleDict()
    second["a"], second["b"] = first[0], first[1]
    name = weights_sketch(first)
    assert weights_sketch(second) == name
    assert weights_sketch(first.half()) == name
    assert weights_sketch(first.bfloat16()).startswith("bf16:")
    assert weights_sketch(nn.Linear(20, 30)) != weights_sketch(nn.Linear(30, 20))


def test_weights_in_bfloat16_are_not_compared_with_others() -> None:
    given = {"denoiser": "bf16:a"}, {"denoiser": "b"}
    assert not notices(lambda: warn_of_other_weights(*given, Path("m"), reshipped=False))
