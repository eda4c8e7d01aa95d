"""Every shipped recipe is right, and takes two steps on the base inside the package."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from benchmarks.gpu_parts import PARTS, Setup, recipe_overrides
from graphcond.io.tensors import load_tensors
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import load_recipe, parse_recipe, shipped_recipes
from graphcond.training import train
from graphcond.training.prepare import prepare
from graphcond.training.report import Report
from tests.racing import RacingSums
from tests.training.toys import quiet, same

NAMES = sorted(shipped_recipes())
MONET = Path(__file__).parents[2] / "../shared/data/monet/train"
FEW = (
    "training.steps=2",
    "training.batch_size=4",
    "training.log_every=1",
    "training.validation_samples=4",
    "training.previews=1",
    "training.preview_steps=1",
)


@pytest.mark.parametrize("name", NAMES)
def test_it_loads_is_called_as_its_file_and_goes_round(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.description
    text = shipped_recipes()[name].read_text()
    assert f"#   graphcond train {name}" in text, "a recipe opens with its command"
    assert parse_recipe(json.loads(recipe.model_dump_json())) == recipe
    assert load_recipe(name, base="tiny").base.kind == "tiny"


@pytest.mark.parametrize("name", NAMES)
def test_two_steps_on_the_tiny_base(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe(name, base="tiny", overrides=(*FEW, *_small(name)))
    # Both runs start from an empty cache: the last bits of an embedding depend on the batch that it came in.
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    with RacingSums() as sums:
        run = train(recipe, out=tmp_path / "run", device="cpu", console=quiet())
    groups = run.model.trainable_parameters()
    assert set(groups) <= {c.name for c in recipe.conditions} | {"lora"}
    assert ("lora" in groups) == (recipe.lora is not None)
    if groups:
        assert run.metrics["train"]["learning_rate"].keys() == groups.keys()
        assert run.metrics["validation"]["step"] == 2
        assert (run.folder / "previews" / "step-00000002.png").is_file()
    else:
        assert name in ("sgcond-i", "references"), "nothing is trained"
    assert {stage.name for stage in recipe.stages} == {path.name for path in run.folder.glob("stages/*")}
    assert GraphPipeline.from_pretrained(run.folder / "final").model.recipe == recipe
    if recipe.stages:
        monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "another"))
        with sums:
            again = prepare(recipe, torch.device("cpu"), Report(quiet())).model.conditions
        for stage in {stage.condition: stage for stage in recipe.stages}.values():  # the last of each
            ended = load_tensors(run.folder / "stages" / stage.name / "encoder.safetensors")
            assert same(ended, again[stage.condition].encoder.state_dict()), "the same as in another run"
    assert not sums.found, "two runs with several threads differ"


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Setup:
    """Random checkpoints of the layouts that the recipes name, and data, all tiny."""
    setup = Setup(tmp_path_factory.mktemp("checkpoints"), "cpu", tiny=True)
    for _, write in PARTS["prepare"](setup):
        write()
    return setup


@pytest.mark.parametrize("name", NAMES)
def test_a_step_as_it_is_written(name: str, tmp_path: Path, checkpoints: Setup) -> None:
    few = ["training.steps=1", "training.previews=1", "training.preview_steps=1"]
    stages = [f"stages.{stage.name}.steps=1" for stage in load_recipe(name).stages]
    recipe = load_recipe(name, overrides=[*recipe_overrides(checkpoints, name), *few, *stages])
    assert (recipe.base.dtype, recipe.training.mixed_precision) == ("bf16", "bf16")
    run = train(recipe, out=tmp_path / "run", device="cpu", console=quiet())
    assert run.model.base.dtype == torch.bfloat16
    assert all(math.isfinite(loss) for loss in run.metrics["validation"]["loss"].values())
    groups = run.model.trainable_parameters()
    if groups:
        record = run.metrics["train"]
        assert math.isfinite(record["loss"])
        assert record["gradient_norms"].keys() == groups.keys()
        assert all(0 < norm < math.inf for norm in record["gradient_norms"].values())
    for line in (run.folder / "metrics.jsonl").read_text().splitlines():
        if (figures := json.loads(line))["kind"] == "stage":
            assert math.isfinite(figures["loss"])


def _small(name: str) -> list[str]:
    """The recipe's world, small, and its stages short."""
    tiny = load_recipe(name, base="tiny")
    world = tiny.data.world
    size = "data.scenes=24" if world == "scenes" else "data.paintings_per_artist=4"
    stages = [
        f"stages.{stage.name}.{setting}"
        for stage in tiny.stages
        for setting in ("steps=2", "batch_size=4", "validation_samples=4")
    ]
    return ["data.kind=world", f"data.world={world}", size, *stages]


@pytest.mark.skipif(not MONET.is_dir(), reason="the Monet paintings are not on this machine")
def test_real_paintings(tmp_path: Path) -> None:
    recipe = load_recipe("instructg2i", base="tiny", overrides=(*FEW, f"data.path={MONET}"))
    run = train(recipe, out=tmp_path / "run", device="cpu", console=quiet())
    assert run.metrics["train"]["trained_samples"] > 0
    assert (run.folder / "final" / "graphcond.json").is_file()
