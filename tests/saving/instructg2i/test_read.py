"""From a released checkpoint to a recipe and weights, and what is wrong with others."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from graphcond.errors import InputError
from graphcond.pipeline import GraphPipeline
from graphcond.saving.instructg2i import read_release
from tests.builders import small_base
from tests.release_folder import write_release_folder
from tests.saving.releases import (
    LAYERS,
    PROJECTOR,
    QFORMER,
    Weights,
    draw,
    edit_ckpt,
    edit_json,
    edit_safetensors,
    equal,
    upcast,
)
from tests.tiny_checkpoints import write_clip_folder, write_sd_folder


@pytest.fixture(scope="module")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("releases") / "release")


@pytest.fixture
def release(untouched: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(untouched, tmp_path / "release"))


def complaint(folder: Path, **options: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_release(folder, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("tokens", "every", "layers", "inferred"),
    [(1, 1, 4, 1), (2, 2, 4, 2), (3, 3, 5, 3), (4, 2, 5, 2), (2, 4, 5, 4), (1, 9, 4, 4)],
)
def test_sizes_follow_from_the_weights(
    tmp_path: Path, tokens: int, every: int, layers: int, inferred: int
) -> None:
    folder = write_release_folder(tmp_path, tokens_per_neighbor=tokens, every=every, layers=layers)
    release = read_release(folder)
    encoder = release.recipe.conditions[0].encoder.model_dump()
    assert (encoder["tokens_per_neighbor"], encoder["cross_attention_every"]) == (tokens, inferred)
    ours = torch.load(folder / QFORMER) | {
        f"projector.{name}": one for name, one in torch.load(folder / PROJECTOR).items()
    }
    assert equal(release.encoder, ours)
    (condition,) = GraphPipeline.from_pretrained(folder).model.conditions.values()
    assert equal(condition.encoder.state_dict(), ours)
    assert not condition.training


def test_the_recipe_says_what_the_release_does(untouched: Path) -> None:
    release = read_release(untouched, neighbors=3)
    recipe = release.recipe
    (condition,) = recipe.conditions
    assert recipe.base.model_dump()["model"] == str(untouched)
    assert recipe.features.model_dump() == {"kind": "clip_vision", "model": str(untouched / "image_encoder")}
    assert (condition.sampler.kind, condition.sampler.neighbors) == ("given", 3)
    assert (condition.encoder.kind, condition.injector.kind, condition.without_graph) == (
        "graph_qformer",
        "prompt_tokens",
        "zeros",
    )
    assert (recipe.guidance.text, recipe.guidance.graph_scale("neighbors")) == (7.5, 1.5)
    assert recipe.data.model_dump()["resolution"] == 64
    assert release.parts == {"base": untouched, "image_encoder": untouched / "image_encoder"}
    assert (release.feature_width, read_release(untouched).recipe.conditions[0].sampler.neighbors) == (24, 5)


def test_half_precision_draws_as_its_weights_in_full(tmp_path: Path) -> None:
    half = write_release_folder(tmp_path / "half", dtype=torch.float16)
    full = Path(shutil.copytree(half, tmp_path / "full"))
    for file in full.rglob("*.safetensors"):
        assert {one.dtype for one in load_file(file).values()} == {torch.float16}
        edit_safetensors(file, upcast)
    for file in full.rglob("*.pt"):
        edit_ckpt(file, upcast)
    one, other = (draw(GraphPipeline.from_pretrained(folder)) for folder in (half, full))
    assert np.isfinite(one).all()
    assert np.array_equal(one, other)


def test_another_folder_may_hold_the_image_encoder(
    untouched: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.move(release / "image_encoder", release.parent / "clip")
    monkeypatch.chdir(release.parent)
    found = read_release(release, image_encoder="clip")
    assert found.parts["image_encoder"] == release.parent / "clip"
    monkeypatch.chdir("/")
    pipe = GraphPipeline(GraphPipeline.from_pretrained(untouched).model.from_release(found))
    assert np.array_equal(draw(pipe), draw(GraphPipeline.from_pretrained(untouched)))


def test_a_whole_clip_may_be_the_image_encoder(untouched: Path, tmp_path: Path) -> None:
    clip = write_clip_folder(tmp_path / "clip", width=24)
    release = read_release(untouched, image_encoder=clip)
    assert (release.feature_width, release.parts["image_encoder"]) == (24, clip)


@pytest.mark.parametrize(
    "part",
    ["unet", "vae", "text_encoder", "tokenizer", "scheduler", QFORMER, PROJECTOR, "image_encoder"],
)
def test_a_missing_part_is_named(release: Path, part: str) -> None:
    gone = release / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    assert f"{release}: the release has no" in complaint(release)
    assert f"'{part}'" in complaint(release)


@pytest.mark.parametrize(
    "file",
    [
        "unet/config.json",
        "vae/config.json",
        "text_encoder/config.json",
        "scheduler/scheduler_config.json",
        "image_encoder/config.json",
    ],
)
@pytest.mark.parametrize("content", [None, "", "[]", "{}", "{"])
def test_a_config_that_says_nothing(release: Path, file: str, content: str | None) -> None:
    if content is None:
        (release / file).unlink()
        assert file.rpartition("/")[2] in complaint(release)
    else:
        (release / file).write_text(content)
        with pytest.raises(InputError):  # some wait for the part to be loaded
            GraphPipeline.from_pretrained(release)


@pytest.mark.parametrize(
    ("file", "changes"),
    [
        ("unet/config.json", {"sample_size": None}),
        ("unet/config.json", {"sample_size": [8, 8]}),
        ("unet/config.json", {"sample_size": -8}),
        ("unet/config.json", {"cross_attention_dim": "x"}),
        ("unet/config.json", {"cross_attention_dim": [32, 32]}),
        ("unet/config.json", {"in_channels": 9}),
        ("vae/config.json", {"block_out_channels": 3}),
        ("vae/config.json", {"block_out_channels": []}),
        ("text_encoder/config.json", {"hidden_act": "nope"}),
        ("text_encoder/config.json", {"num_attention_heads": 0}),
        ("text_encoder/config.json", {"num_attention_heads": 5}),
        ("text_encoder/config.json", {"num_hidden_layers": "four"}),
        ("text_encoder/config.json", {"max_position_embeddings": -3}),
        ("text_encoder/config.json", {"max_position_embeddings": None}),
        ("scheduler/scheduler_config.json", {"_class_name": "os"}),
        ("scheduler/scheduler_config.json", {"beta_schedule": "no"}),
        ("image_encoder/config.json", {"projection_dim": "x"}),
    ],
)
def test_impossible_sizes(release: Path, file: str, changes: dict[str, Any]) -> None:
    edit_json(release / file, **changes)
    with pytest.raises(InputError):
        GraphPipeline.from_pretrained(release)


@pytest.mark.parametrize(
    "file",
    [
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "tokenizer/vocab.json",
    ],
)
@pytest.mark.parametrize("kept", [None, 0, 1000])
def test_a_part_without_its_weights(
    release: Path, file: str, kept: int | None, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (release / file).read_bytes()
    (release / file).unlink()
    if kept is not None:
        (release / file).write_bytes(content[:kept])
    part, _, name = file.partition("/")
    gone = kept is None and name.endswith(".safetensors")
    problem = f"{part}: expected {name}, found no weights" if gone else f"its {part} cannot be loaded"
    with pytest.raises(InputError, match=problem):
        GraphPipeline.from_pretrained(release)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("file", [QFORMER, PROJECTOR])
@pytest.mark.parametrize("content", [b"", b"hello", b"version https://git-lfs.github.com/spec/v1\n", None])
def test_a_damaged_checkpoint(release: Path, file: str, content: bytes | None) -> None:
    whole = (release / file).read_bytes()
    (release / file).write_bytes(whole[: len(whole) // 2] if content is None else content)
    assert complaint(release).startswith(f"{release / file}: ")


def other_width(weights: Weights) -> Weights:
    return {
        name: torch.ones([16 if side == 32 else side for side in one.shape]) for name, one in weights.items()
    }


def other_vocabulary(weights: Weights) -> Weights:
    return weights | {"text_model.embeddings.token_embedding.weight": torch.ones(600, 32)}


def fewer_layers(weights: Weights) -> Weights:
    return {name: one for name, one in weights.items() if f"{LAYERS}.3." not in name}


def odd_layers(weights: Weights) -> Weights:
    moved = {"0": "1", "2": "3"}
    return {_moved(name, moved) if _reads(name) else name: one for name, one in weights.items()}


def no_cross_attention(weights: Weights) -> Weights:
    return {name: one for name, one in weights.items() if not _reads(name)}


def without(*names: str) -> Callable[[Weights], Weights]:
    return lambda weights: {name: one for name, one in weights.items() if name not in names}


def together_with(**more: torch.Tensor) -> Callable[[Weights], Weights]:
    return lambda weights: weights | more


def sized(tokens: int, width: int, features: int) -> Callable[[Weights], Weights]:
    rows = tokens * width
    return lambda _: {
        "proj.weight": torch.ones(rows, features),
        "proj.bias": torch.ones(rows),
        "norm.weight": torch.ones(width),
        "norm.bias": torch.ones(width),
    }


def _reads(name: str) -> bool:
    return "crossattention" in name or "layer_norm3" in name


def _moved(name: str, layers: dict[str, str]) -> str:
    head, number, rest = name.removeprefix(LAYERS).split(".", 2)
    return f"{LAYERS}{head}.{layers[number]}.{rest}"


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (QFORMER, other_width, "has shape (77, 16) instead of (77, 32)"),
        (QFORMER, other_vocabulary, "token_embedding.weight' has shape (600, 32) instead of (514, 32)"),
        (QFORMER, fewer_layers, f"'{LAYERS}.3.layer_norm1.bias' is missing"),
        (QFORMER, odd_layers, "has no cross-attention in layers 0, n, 2n"),
        (QFORMER, no_cross_attention, "has no cross-attention in layers 0, n, 2n"),
        (
            QFORMER,
            without(f"{LAYERS}.2.crossattention.k_proj.bias"),
            "2.crossattention.k_proj.bias' is missing",
        ),
        (
            QFORMER,
            without("text_model.final_layer_norm.bias"),
            "text_model.final_layer_norm.bias' is missing",
        ),
        (QFORMER, together_with(extra=torch.ones(2)), "'extra' is surplus"),
        (
            QFORMER,
            together_with(**{"final_layer_norm.bias": torch.ones(32)}),
            "'final_layer_norm.bias' is surplus",
        ),
        (PROJECTOR, sized(2, 32, 48), "'proj.weight' has shape (64, 48) instead of (64, 24)"),
        (PROJECTOR, sized(2, 40, 24), "'norm.bias' has shape (40,) instead of (32,)"),
        (PROJECTOR, without("norm.bias"), "'norm.bias' is missing"),
        (PROJECTOR, together_with(extra=torch.ones(2)), "'extra' is surplus"),
        (PROJECTOR, without("proj.weight"), "do not say how many tokens"),
        (PROJECTOR, sized(257, 32, 24), "conditions.0.encoder.tokens_per_neighbor"),
    ],
)
def test_weights_that_do_not_fit_are_named(
    release: Path, file: str, change: Callable[[Weights], Weights], message: str
) -> None:
    edit_ckpt(release / file, change)
    said = complaint(release)
    assert message in said
    assert "tokens_per_neighbor" in said or str(release / file) in said


@pytest.mark.parametrize(
    ("changes", "message"), [({"neighbors": 0}, "neighbors"), ({"neighbors": 10**6}, "10000")]
)
def test_numbers_of_neighbors_that_cannot_be(untouched: Path, changes: dict[str, Any], message: str) -> None:
    assert message in complaint(untouched, **changes)


def test_image_encoders_that_are_none(untouched: Path, tmp_path: Path) -> None:
    for given in (tmp_path, tmp_path / "nowhere", "some/clip", "", untouched / "unet"):
        complaint(untouched, image_encoder=given)
    wide = write_clip_folder(tmp_path / "wide", width=48)
    assert "'proj.weight' has shape (64, 24) instead of (64, 48)" in complaint(untouched, image_encoder=wide)


def test_folders_that_are_no_release(tmp_path: Path, untouched: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere", untouched / "model_index.json"):
        assert "has no 'unet'" in complaint(folder)


def test_a_base_of_another_width_does_not_fit(untouched: Path, tmp_path: Path) -> None:
    other = small_base(write_sd_folder(tmp_path, cross_width=40))
    with pytest.raises(InputError, match=r"weights do not fit.*Load it with its own base"):
        GraphPipeline.from_pretrained(untouched, base=other)
