"""graphcond convert, as a user calls it, and what the other commands do with a released checkpoint."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from graphcond import cli
from graphcond.cli import app
from graphcond.errors import GraphcondError, InputError
from graphcond.graphs import save_world
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.saving.model_folder import saved_recipe
from graphcond.worlds import ArtWorld
from tests.builders import small_model
from tests.graphs.pickles import Malicious
from tests.release_folder import write_release_folder
from tests.saving.releases import PROJECTOR, QFORMER, draw, edit_ckpt, pictures
from tests.tiny_checkpoints import write_clip_folder


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("releases") / "release")


@pytest.fixture
def copy(release: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(release, tmp_path / "release"))


@pytest.fixture(scope="module")
def paintings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven pictures in a metadata.jsonl folder, each with the six others as neighbors."""
    folder = tmp_path_factory.mktemp("paintings")
    names = [f"{number}.png" for number in range(7)]
    for name, picture in zip(names, pictures(7), strict=True):
        picture.save(folder / name)
    lines = [{"center": n, "text": f"picture {n}", "neighbors": [m for m in names if m != n]} for n in names]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def invoke(*args: Any) -> str:
    result = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def convert(*args: Any) -> str:
    return invoke("convert", "instructg2i", *args)


def complaint(*args: Any) -> str:
    with pytest.raises(GraphcondError) as caught:
        CliRunner().invoke(app, ["convert", "instructg2i", *map(str, args)], catch_exceptions=False)
    return str(caught.value)


def same_picture(one: Path, other: Path, **options: Any) -> bool:
    return np.array_equal(
        *(draw(GraphPipeline.from_pretrained(folder), **options) for folder in (one, other))
    )


@pytest.mark.parametrize(
    "options", [{}, {"guidance_mode": "joint"}, {"neighbors": [pictures(1), pictures(4)]}]
)
def test_a_converted_model_draws_the_releases_picture(
    release: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    convert(release, "--out", tmp_path / "model")
    assert same_picture(release, tmp_path / "model", **options)


def test_it_says_what_it_wrote(release: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    said = convert(release, "--out", out)
    assert (
        f"{out}: InstructG2I with 2 tokens per neighbor, cross-attention in layers 0, 2 and at most 5" in said
    )
    assert "The trained UNet is a base of its own: 0.8 MB" in said
    assert f"Its image encoder: 0.2 MB in {out / 'image_encoder'}" in said


def test_and_back(release: Path, tmp_path: Path) -> None:
    convert(release, "--out", tmp_path / "model")
    said = convert(tmp_path / "model", "--to-release", tmp_path / "back")
    assert f"{tmp_path / 'back'}: the layout of the InstructG2I release, 1.9 MB" in said
    assert "null" not in said
    assert same_picture(release, tmp_path / "back")


def test_a_model_that_never_saw_zero_tokens_is_told_of(sd_folder: Path, tmp_path: Path) -> None:
    small_model(sd_folder).save_pretrained(tmp_path / "model")
    assert "(without_graph: absent), so its pictures will differ" in " ".join(
        convert(tmp_path / "model", "--to-release", tmp_path / "release").split()
    )


def test_most_neighbors(release: Path, tmp_path: Path) -> None:
    assert "at most 2 neighbors" in convert(release, "--out", tmp_path / "model", "--neighbors", 2)
    with pytest.raises(InputError, match="expected at most 2 neighbors of one target, as in training, got 3"):
        draw(GraphPipeline.from_pretrained(tmp_path / "model"))


def test_an_image_encoder_from_elsewhere(copy: Path, release: Path, tmp_path: Path) -> None:
    shutil.move(copy / "image_encoder", tmp_path / "clip")
    assert "--image-encoder" in complaint(copy, "--out", tmp_path / "model")
    convert(copy, "--out", tmp_path / "model", "--image-encoder", tmp_path / "clip")
    for gone in (copy, tmp_path / "clip"):
        shutil.rmtree(gone)
    assert same_picture(release, tmp_path / "model")


def test_a_whole_clip_as_image_encoder(release: Path, tmp_path: Path) -> None:
    clip = write_clip_folder(tmp_path / "clip")
    convert(release, "--out", tmp_path / "model", "--image-encoder", clip)
    shutil.rmtree(clip)
    convert(tmp_path / "model", "--to-release", tmp_path / "back")
    assert same_picture(tmp_path / "model", tmp_path / "back")
    assert not same_picture(release, tmp_path / "back")


def test_half_precision(tmp_path: Path) -> None:
    half = write_release_folder(tmp_path / "half", dtype=torch.float16)
    convert(half, "--out", tmp_path / "model")
    assert same_picture(half, tmp_path / "model")
    base = "unet/diffusion_pytorch_model.safetensors"
    assert (tmp_path / "model" / "base" / base).read_bytes() == (half / base).read_bytes()


def test_sources_that_are_none(release: Path, paintings: Path, tmp_path: Path) -> None:
    out = ("--out", tmp_path / "model")
    convert(release, *out)
    cases = [
        (tmp_path / "nowhere", "no such model"),
        ("some/model", "no such model"),
        (paintings / "0.png", "no such model"),
        (paintings, "has no 'unet'"),
        (tmp_path / "model", "is a graphcond model already"),
    ]
    for source, message in cases:
        assert message in complaint(source, "--out", tmp_path / "other"), source
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.parametrize("way", ["--out", "--to-release"])
def test_places_where_nothing_is_written(copy: Path, tmp_path: Path, way: str) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    cases = [
        (tmp_path / "full", "exists already"),
        (tmp_path / "full" / "file", "exists already"),
        (tmp_path / "full" / "file" / "model", "cannot be written"),
        (copy, "exists already"),
        (copy / "model", "lies inside"),
        (copy / "unet" / "deep" / "model", "lies inside"),
    ]
    before = sorted(tmp_path.rglob("*"))
    for target, message in cases:
        assert message in complaint(copy, way, target), target
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(release: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    convert(release, "--out", tmp_path / "model")
    assert (tmp_path / "model" / "graphcond.json").is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_place_without_permission(release: Path, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    assert "cannot be written" in complaint(release, "--out", tmp_path / "closed" / "model")


def test_one_way_at_a_time(release: Path, tmp_path: Path) -> None:
    way, back = ("--out", tmp_path / "model"), ("--to-release", tmp_path / "release")
    assert "exactly one of the two options" in complaint(release)
    assert "exactly one of the two options" in complaint(release, *way, *back)
    for option in (("--neighbors", 3), ("--image-encoder", "clip")):
        assert "goes with --out" in complaint(release, *back, *option)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("neighbors", [0, -1, "many"])
def test_numbers_of_neighbors_that_are_none(release: Path, tmp_path: Path, neighbors: object) -> None:
    result = CliRunner().invoke(
        app,
        ["convert", "instructg2i", str(release), "--out", str(tmp_path / "m"), "--neighbors", str(neighbors)],
    )
    assert result.exit_code == 2
    assert "--neighbors" in result.output
    assert not list(tmp_path.iterdir())


def evil(release: Path) -> None:
    torch.save({"weight": Malicious(release.parent / "executed")}, release / QFORMER)


def cut_off(release: Path) -> None:
    (release / QFORMER).write_bytes((release / QFORMER).read_bytes()[:1000])


def without(part: str) -> Callable[[Path], None]:
    return lambda release: (release / part).unlink()


def emptied(part: str) -> Callable[[Path], None]:
    return lambda release: (release / part).write_text("{}")


def not_finite(release: Path) -> None:
    edit_ckpt(release / PROJECTOR, lambda weights: weights | {"norm.bias": torch.full((32,), torch.nan)})


@pytest.mark.parametrize(
    "damage",
    [
        evil,
        cut_off,
        not_finite,
        without("image_encoder/model.safetensors"),
        emptied("image_encoder/preprocessor_config.json"),
        emptied("unet/config.json"),
        without("text_encoder/model.safetensors"),
    ],
)
def test_damage_is_told_in_one_line_and_leaves_nothing_behind(
    copy: Path,
    tmp_path: Path,
    damage: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    damage(copy)
    monkeypatch.setattr(
        sys, "argv", ["graphcond", "convert", "instructg2i", str(copy), "--out", str(tmp_path / "m")]
    )
    with pytest.raises(SystemExit) as end:
        cli.main()
    *bars, last = capsys.readouterr().err.strip().splitlines()
    assert end.value.code == 2
    assert last.startswith("error: ")
    assert str(copy) in last
    assert all(bar.startswith("loading") for bar in bars)
    assert [path.name for path in tmp_path.iterdir()] == ["release"]


def test_a_picture_of_a_node_whose_neighbors_are_given(
    release: Path, paintings: Path, tmp_path: Path
) -> None:
    out = tmp_path / "picture.png"
    args = ("--graph", paintings, "--target", "0.png", "--steps", 2, "--out", out, "--json")
    made = json.loads(invoke("generate", release, *args).splitlines()[-1])
    assert (made["prompt"], made["graphs"]) == ("picture 0.png", 1)
    with Image.open(out) as picture:
        assert picture.size == (64, 64)


def test_evaluation(
    release: Path, paintings: Path, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With fewer neighbors than the protocol asks for, too."""
    from graphcond.evaluation import protocols

    protocol = protocols.get_protocol("instructg2i")
    with_clip = replace(protocol, clip=str(clip_folder), resolution=64, metrics=("clip_i",))
    monkeypatch.setattr(protocols, "get_protocol", lambda name, **options: with_clip)
    convert(release, "--out", tmp_path / "model", "--neighbors", 2)
    for model in (release, tmp_path / "model"):
        printed = invoke(
            "evaluate", model, "--graph", paintings, "--split", "train", "--limit", 3, "--steps", 1, "--json"
        )
        report = json.loads(printed.splitlines()[-1])
        assert set(report) == {"separate", "joint"}
        assert set(report["joint"]["arms"]) == {"no_graph", "graph", "shuffled_graph"}


def test_a_converted_model_is_one_of_ours(release: Path, tmp_path: Path) -> None:
    convert(release, "--out", tmp_path / "model")
    assert saved_recipe(tmp_path / "model").conditions == saved_recipe(release).conditions
    assert GraphModel.from_pretrained(tmp_path / "model").most_neighbors("neighbors") == 5


def test_training_goes_on_from_a_converted_model(
    release: Path, paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    convert(release, "--out", "model")
    Path("mine.yaml").write_text(invoke("recipe", "show", "model"))
    quick = ("batch_size=2", "steps=1", "previews=1", "preview_steps=1", "validation_samples=2")
    settings = ["start_from=model", f"data.path={paintings}", *(f"training.{one}" for one in quick)]
    words = [word for setting in settings for word in ("--set", setting)]
    invoke("train", "mine.yaml", *words, "--out", "run", "--device", "cpu")
    trained, began = (GraphModel.from_pretrained(folder) for folder in ("run/final", "model"))
    assert trained.recipe.base.model == str(tmp_path / "model" / "base")
    pairs = zip(*(one.trainable_parameters()["neighbors"].values() for one in (trained, began)), strict=True)
    moved = max(float((after - before).detach().abs().max()) for after, before in pairs)
    assert 0 < moved < 1e-3


@pytest.mark.parametrize("sampler", ["ppr", "semantic_ppr"])
def test_another_sampler_for_graphs_with_edges(release: Path, tmp_path: Path, sampler: str) -> None:
    save_world(ArtWorld(paintings_per_artist=2), tmp_path / "graph")
    convert(release, "--out", tmp_path / "model", "--sampler", sampler, "--neighbors", 3)
    asked = ("--graph", tmp_path / "graph", "--target", "painting-000003", "--steps", 1)
    invoke("generate", tmp_path / "model", *asked, "--out", tmp_path / "picture.png")
    assert (tmp_path / "picture.png").is_file()


def test_samplers_that_do_not_do(release: Path, tmp_path: Path) -> None:
    for sampler, message in (
        ("pppr", "there is no 'pppr'"),
        ("semantic", "'semantic' compares embeddings of texts"),
    ):
        assert message in complaint(release, "--out", tmp_path / "model", "--sampler", sampler)
    with_release = complaint(release, "--to-release", tmp_path / "back", "--sampler", "ppr")
    assert "goes with --out" in with_release
    assert "SRC: the name is empty" in complaint("", "--out", tmp_path / "model")


def test_a_release_has_no_data_of_its_own_to_be_evaluated_on(release: Path) -> None:
    with pytest.raises(InputError, match="--graph: the model names no data"):
        CliRunner().invoke(app, ["evaluate", str(release)], catch_exceptions=False)
