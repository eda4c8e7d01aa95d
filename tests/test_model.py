"""Saved models: whole, without the base, and strict about their weights."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from graphcond.errors import InputError, StorageError
from graphcond.evaluation.metrics.distribution import kernel_distance
from graphcond.features.clip import ClipExtractor
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from tests.builders import small_model, some_features


@pytest.fixture(scope="module")
def saved(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    model = small_model(sd_folder, lora={"rank": 2})
    with torch.no_grad():
        for group in model.trainable_parameters().values():
            for parameter in group.values():
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    (folder / "latents").write_text(json.dumps(draw(model).tolist()))
    return folder


@pytest.fixture
def copy(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "model"))


def draw(model: GraphModel) -> torch.Tensor:
    latents = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    return GraphPipeline(model)(
        "a star", neighbors=some_features(), num_inference_steps=2, latents=latents, output_type="latent"
    ).images


def test_a_saved_model_draws_the_same(saved: Path) -> None:
    wanted = torch.tensor(json.loads((saved / "latents").read_text()))
    assert torch.allclose(draw(GraphModel.from_pretrained(saved)), wanted, atol=1e-6)


def test_a_base_that_moved_is_named_and_found_again(
    sd_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = Path(shutil.copytree(sd_folder, tmp_path / "old")), tmp_path / "new"
    small_model(old).save_pretrained(tmp_path / "model")
    old.rename(new)
    with pytest.raises(InputError) as error:
        GraphPipeline.from_pretrained(tmp_path / "model")
    assert str(error.value).startswith(
        f"{tmp_path / 'model' / 'graphcond.json'}: the model needs the base in {old}"
    )
    assert "--base" in str(error.value)
    assert GraphPipeline.from_pretrained(tmp_path / "model", base=new).model.recipe.base.network == str(new)
    with pytest.raises(InputError, match="old: no such folder"):
        GraphModel.from_pretrained(tmp_path / "model", base=str(old))


class Hub:
    """In place of the hub's API: what is done there, in order."""

    done: ClassVar[list[str]] = []

    def __init__(self, token: str | None = None) -> None:
        self.token = token

    def create_repo(self, repo_id: str, **_: Any) -> None:
        self.done.append(f"create {repo_id}")

    def upload_folder(self, *, repo_id: str, folder_path: Path, **_: Any) -> str:
        files = sorted(
            str(file.relative_to(folder_path)) for file in folder_path.rglob("*") if file.is_file()
        )
        self.done.append(f"upload {' '.join(files)}")
        return f"https://hub/{repo_id}/commit/1"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr("graphcond.model.HfApi", Hub)
    Hub.done.clear()
    return Hub.done


def test_pushing_saves_before_a_repository_is_made(
    saved: Path, hub: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = GraphModel.from_pretrained(saved)
    by_hand = GraphModel(whole.base, whole.conditions.values(), feature_width=whole.feature_width)
    address = GraphPipeline(by_hand).push_to_hub("someone/model")
    assert address == "https://hub/someone/model/commit/1"
    assert hub[0] == "create someone/model"
    assert hub[1].startswith(
        "upload README.md card.json conditions/neighbors/encoder.safetensors graphcond.json"
    )
    hub.clear()

    def full(*_: Any) -> None:
        raise StorageError("the disk is full", place="model")

    monkeypatch.setattr("graphcond.model.save_weights", full)
    with pytest.raises(StorageError, match="the disk is full"):
        by_hand.push_to_hub("someone/model")
    assert hub == []


def test_no_base_weights_and_nothing_pickled(saved: Path) -> None:
    names = {str(path.relative_to(saved)) for path in saved.rglob("*") if path.is_file()} - {"latents"}
    assert names == {
        "README.md",
        "graphcond.json",
        "card.json",
        "model_index.json",
        "graphcond_pipeline.py",
        "conditions/neighbors/encoder.safetensors",
        "lora/pytorch_lora_weights.safetensors",
    }


def test_the_manifest_holds_recipe_null_and_versions(saved: Path) -> None:
    manifest = json.loads((saved / "graphcond.json").read_text())
    assert manifest["nulls"] == {"neighbors": "absent"}
    assert manifest["recipe"]["conditions"][0]["sampler"]["alpha"] == 0.15
    assert manifest["versions"]["torch"] == torch.__version__.split("+")[0] or manifest["versions"]["torch"]


def test_diffusers_reads_the_lora_file(saved: Path, sd_folder: Path) -> None:
    pipe = StableDiffusionPipeline.from_pretrained(sd_folder, safety_checker=None, feature_extractor=None)
    pipe.load_lora_weights(saved / "lora")
    ours = load_file(saved / "lora" / "pytorch_lora_weights.safetensors")
    loaded = [name for name, _ in pipe.unet.named_parameters() if "lora_" in name]
    assert len(loaded) == len(ours) > 0


def rewrite(file: Path, change: Any) -> None:
    weights = load_file(file)
    change(weights)
    save_file(weights, file)


def _rename(weights: dict) -> None:
    weights["another.name"] = weights.pop("projector.proj.bias")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("projector.norm.weight"), "'projector.norm.weight' is missing"),
        (lambda w: w.update(extra=torch.zeros(1)), "'extra' is surplus"),
        (lambda w: w.update({"projector.norm.weight": torch.zeros(3)}), "has shape (3,) instead of (32,)"),
        (_rename, "'another.name' is surplus"),
    ],
)
def test_weights_that_do_not_fit_are_named(copy: Path, change: Any, message: str) -> None:
    rewrite(copy / "conditions" / "neighbors" / "encoder.safetensors", change)
    with pytest.raises(InputError, match=r"encoder\.safetensors") as caught:
        GraphModel.from_pretrained(copy)
    assert message in str(caught.value)


def test_lora_weights_that_do_not_fit_are_named(copy: Path) -> None:
    rewrite(copy / "lora" / "pytorch_lora_weights.safetensors", lambda w: w.pop(sorted(w)[0]))
    with pytest.raises(InputError, match="is missing"):
        GraphModel.from_pretrained(copy)


@pytest.mark.parametrize(
    "file", ["conditions/neighbors/encoder.safetensors", "lora/pytorch_lora_weights.safetensors"]
)
def test_truncated_and_missing_files(copy: Path, file: str) -> None:
    (copy / file).write_bytes((copy / file).read_bytes()[:100])
    with pytest.raises(InputError):
        GraphModel.from_pretrained(copy)
    (copy / file).unlink()
    with pytest.raises(InputError):
        GraphModel.from_pretrained(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ("[]", "format"),
        ('{"format": 99}', "is of format 99"),
        ('{"format": 1}', "feature_width"),
    ],
)
def test_broken_manifests(copy: Path, content: str, message: str) -> None:
    (copy / "graphcond.json").write_text(content)
    with pytest.raises(InputError, match=message):
        GraphModel.from_pretrained(copy)


def test_no_such_model(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such model"):
        GraphModel.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"has no graphcond\.json"):
        GraphModel.from_pretrained(tmp_path)


def test_a_failed_save_keeps_the_old_model(
    copy: Path, sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, before = small_model(sd_folder), sorted(copy.rglob("*"))

    def full_disk(*args: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("graphcond.model.write_json", full_disk)
    with pytest.raises(StorageError, match="No space left"):
        model.save_pretrained(copy)
    assert sorted(copy.rglob("*")) == before
    assert [path.name for path in copy.parent.iterdir()] == ["model"]


def test_initial_weights_follow_the_seed(sd_folder: Path) -> None:
    one, same = (small_model(sd_folder).trainable_parameters()["neighbors"] for _ in range(2))
    other = small_model(sd_folder, training={"seed": 1}).trainable_parameters()["neighbors"]
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_groups_of_trainable_parameters(sd_folder: Path) -> None:
    model = small_model(sd_folder, lora={"rank": 2})
    groups = model.trainable_parameters()
    assert set(groups) == {"neighbors", "lora"}
    trained = {id(p) for group in groups.values() for p in group.values()}
    assert all(id(p) in trained for p in model.base.unet.parameters() if p.requires_grad)


def test_a_model_composed_by_hand_draws_as_one_with_a_recipe(sd_folder: Path, clip_folder: Path) -> None:
    model, clip = small_model(sd_folder), ClipExtractor.from_pretrained(clip_folder)
    pipe = GraphPipeline.from_parts(model.base, model.conditions["neighbors"], extractor=clip)
    options = {"num_inference_steps": 1, "output_type": "latent", "latents": torch.ones(1, 4, 8, 8)}
    with_recipe = GraphPipeline(model)("a star", some_features(), **options).images
    assert torch.equal(pipe("a star", some_features(), **options).images, with_recipe)


def test_nothing_but_a_model_is_replaced(saved: Path, copy: Path, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.txt").write_text("years")
    model = GraphModel.from_pretrained(saved)
    with pytest.raises(InputError, match="holds something else, which would be lost"):
        model.save_pretrained(tmp_path / "work")
    assert (tmp_path / "work" / "thesis.txt").read_text() == "years"
    model.save_pretrained(copy)


def test_a_run_folder_is_no_model_but_its_model_is_named(saved: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(saved, tmp_path / "run" / "final")
    with pytest.raises(InputError, match=r"has no graphcond.json. Did you mean .*run/final\?"):
        GraphModel.from_pretrained(tmp_path / "run")


def test_building_leaves_all_random_generators_as_they_are(
    sd_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeded: list[int] = []
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeded.append)
    before = torch.get_rng_state()
    small_model(sd_folder, lora={"rank": 2})
    kernel_distance(*(np.random.default_rng(0).normal(size=(2, 8, 4)).astype(np.float32)))
    assert torch.equal(torch.get_rng_state(), before)
    assert not seeded
