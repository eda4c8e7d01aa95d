"""Training that starts with the weights of a model that was trained before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.dataset import GraphDataset
from graphcond.errors import InputError
from graphcond.saving.instructg2i import read_release
from tests.release_folder import write_release_folder
from tests.training.toys import Toy, prepare_toy, run_toy, same, toy_condition, toy_recipe, trained_weights


@pytest.fixture(scope="module")
def trained(toy: Toy, toy_graph: AttributedGraph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved model that some steps have changed."""
    folder = tmp_path_factory.mktemp("trained")
    return run_toy(toy(seed=5), toy_graph, folder / "run").folder / "final"


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_release_folder(tmp_path_factory.mktemp("release"), tokens_per_neighbor=3)


def encoder_of(recipe: object, graph: AttributedGraph) -> dict[str, torch.Tensor]:
    prepared, _ = prepare_toy(recipe, graph)  # type: ignore[arg-type]
    return next(iter(prepared.model.conditions.values())).encoder.state_dict()


def test_a_saved_model(trained: Path, toy: Toy, toy_graph: AttributedGraph) -> None:
    from graphcond.model import GraphModel

    recipe = toy(start_from=str(trained))
    wanted = GraphModel.from_pretrained(trained).conditions["neighbors"].encoder.state_dict()
    assert same(encoder_of(recipe, toy_graph), wanted)
    anew = encoder_of(toy(), toy_graph)
    assert not same(anew, wanted)


def test_a_lora_beside_it_starts_anew(trained: Path, toy: Toy, toy_graph: AttributedGraph) -> None:
    recipe = toy(start_from=str(trained), lora={"rank": 2})
    prepared, _ = prepare_toy(recipe, toy_graph)
    lora = prepared.model.trainable_parameters()["lora"]
    assert all(not parameter.any() for name, parameter in lora.items() if "lora_B" in name)


def test_a_lora_goes_on_where_the_model_has_one(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    recipe = toy(lora={"rank": 2})
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    again = recipe.model_copy(update={"start_from": str(run.folder / "final")})
    prepared, _ = prepare_toy(again, toy_graph)
    groups = prepared.model.trainable_parameters()
    started = {f"{name}/{key}": one for name, group in groups.items() for key, one in group.items()}
    assert same({name: one.detach() for name, one in started.items()}, trained_weights(run))


def test_a_released_checkpoint(release: Path, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    condition = toy_condition(without_graph="zeros")
    condition["encoder"]["tokens_per_neighbor"] = 3
    features = {"kind": "clip_vision", "model": str(release / "image_encoder")}
    recipe = toy_recipe(
        release, release, features=features, conditions=[condition], start_from=str(release), steps=1
    )
    assert same(encoder_of(recipe, toy_graph), dict(read_release(release).encoder))
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    assert run.model.recipe.start_from == str(release)


def test_a_run_that_is_resumed_needs_it_no_more(
    trained: Path, toy: Toy, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    start = shutil.copytree(trained, tmp_path / "start")
    settings = {"start_from": str(start), "checkpoint_every": 1}
    run = run_toy(toy(**settings), toy_graph, tmp_path / "run")
    shutil.rmtree(start)
    longer = toy(**settings, steps=4)
    assert run_toy(longer, toy_graph, resume=run.folder).metrics["train"]["step"] == 4


def test_what_cannot_be_started_from(
    trained: Path,
    release: Path,
    sd_folder: Path,
    toy: Toy,
    toy_graph: AttributedGraph,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = toy_condition()
    other["encoder"]["tokens_per_neighbor"] = 2
    with pytest.raises(InputError, match=r"encoder.safetensors: weights do not fit: 'projector.proj"):
        prepare_toy(toy(conditions=[other], start_from=str(trained)), toy_graph)
    with pytest.raises(InputError, match=r"weights do not fit.*Take over the sizes of its encoder"):
        prepare_toy(toy(start_from=str(release)), toy_graph)
    two = [toy_condition("one"), toy_condition("two")]
    with pytest.raises(InputError, match="has one condition, the model several"):
        prepare_toy(toy(conditions=two, start_from=str(release)), toy_graph)
    monkeypatch.setattr(GraphDataset, "views", pytest.fail)
    for nothing in ("nowhere", str(sd_folder)):
        with pytest.raises(InputError, match=r"no such model|has no graphcond.json"):
            prepare_toy(toy(start_from=nothing), toy_graph)
