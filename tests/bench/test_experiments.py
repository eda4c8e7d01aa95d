"""Experiments are trained once: what is finished is found again, what was stopped goes on."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from graphcond.bench import experiments
from graphcond.bench.experiments import Experiment, experiments_of, facts_of, train_experiment, weights_of
from graphcond.errors import InputError
from graphcond.recipe import load_recipe


class Trains:
    """Leaves a model behind, or only a checkpoint when it is stopped."""

    def __init__(self, stopped: bool = False) -> None:
        self.stopped, self.calls = stopped, list[dict[str, Path]]()

    def __call__(self, recipe: Any, **where: Path) -> None:
        self.calls.append(where)
        (folder,) = where.values()
        assert "resume" in where or not folder.exists()
        (folder / "checkpoints" / "step-00000001").mkdir(parents=True, exist_ok=True)
        if self.stopped:
            raise KeyboardInterrupt
        (folder / "final").mkdir()
        (folder / "final" / "weights.safetensors").write_bytes(b"weights")


@pytest.fixture
def one(tmp_path: Path) -> Experiment:
    return Experiment("sgcond-v", load_recipe("instructg2i", base="tiny"), tmp_path / "runs" / "sgcond-v")


def test_a_finished_run_is_not_trained_again(one: Experiment) -> None:
    trainer = Trains()
    assert train_experiment(one, trainer=trainer)
    assert not train_experiment(one, trainer=trainer)
    assert trainer.calls == [{"out": one.folder}]


def test_a_run_of_another_recipe_or_base_is(one: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trains()
    train_experiment(one, trainer=trainer)
    other = Experiment(
        one.name, load_recipe("instructg2i", base="tiny", overrides=["training.seed=7"]), one.folder
    )
    assert train_experiment(other, trainer=trainer)
    monkeypatch.setattr(experiments, "TINY_FOLDER", one.folder)
    assert train_experiment(other, trainer=trainer)
    assert trainer.calls == [{"out": one.folder}] * 3


def test_a_stopped_run_goes_on_without_a_claim_on_its_time(one: Experiment) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_experiment(one, trainer=Trains(stopped=True))
    trainer = Trains()
    assert train_experiment(one, trainer=trainer)
    assert trainer.calls == [{"resume": one.folder}]
    assert facts_of(one, pipe()).seconds is None
    assert not train_experiment(one, trainer=trainer)


def test_a_run_that_never_reached_a_checkpoint_begins_anew(one: Experiment) -> None:
    one.folder.mkdir(parents=True)
    (one.folder / "recipe.yaml").write_text("half")
    trainer = Trains()
    assert train_experiment(one, trainer=trainer)
    assert trainer.calls == [{"out": one.folder}]


def test_facts_name_the_parts(one: Experiment) -> None:
    train_experiment(one, trainer=Trains())
    facts = facts_of(one, pipe())
    assert facts.conditioning == "graph_qformer over tiny"
    assert facts.enters == "prompt_tokens"
    assert facts.parameters == 10
    assert facts.seconds is not None


def test_weights_have_a_name(one: Experiment) -> None:
    train_experiment(one, trainer=Trains())
    before = weights_of(one)
    (one.model / "weights.safetensors").write_bytes(b"others")
    assert weights_of(one) != before


def test_the_seven_read_the_same_data(tmp_path: Path) -> None:
    found = experiments_of(experiments.SGCOND, tmp_path, seed=3)
    assert [one.name for one in found] == list(experiments.SGCOND)
    assert {(one.recipe.data.seed, one.recipe.training.seed) for one in found} == {(3, 3)}
    assert found[0].folder == tmp_path / "runs" / "sgcond-i"


@pytest.mark.parametrize(
    ("names", "message"),
    [(["sgcond-x"], "Did you mean 'sgcond-"), ([], "no experiment is named")],
)
def test_what_is_no_experiment(tmp_path: Path, names: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        experiments_of(names, tmp_path)


def test_other_data_do_not_compare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, **options: Any) -> Any:
        extra = ["data.noise=0.1"] if name == "sgcond-ii" else []
        return load_recipe("instructg2i", base="tiny", overrides=extra)

    monkeypatch.setattr(experiments, "load_recipe", load)
    with pytest.raises(InputError, match="sgcond-ii reads other data than sgcond-i"):
        experiments_of(["sgcond-i", "sgcond-ii"], tmp_path)


def pipe() -> Any:
    groups = {"scene": {"a": torch.nn.Parameter(torch.zeros(6)), "b": torch.nn.Parameter(torch.zeros(2, 2))}}
    return SimpleNamespace(model=SimpleNamespace(trainable_parameters=lambda: groups))
