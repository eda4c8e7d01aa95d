"""What a run sends to trackers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, get_args

import pytest
import yaml
from accelerate.tracking import LOGGER_TYPE_TO_CLASS, GeneralTracker
from accelerate.utils import imports

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError, TrainingError
from graphcond.recipe import parse_recipe
from graphcond.recipe.sections import Tracker, TrainingConfig
from graphcond.training import trainer as trainer_module
from graphcond.training.trackers import check_trackers
from tests.training.toys import Toy, run_toy


class Fake(GeneralTracker):
    """Stands in for a tracker with an account."""

    name = "wandb"
    requires_logging_directory = False
    made: ClassVar[list[Fake]] = []

    def __init__(self, run_name: str, **options: Any) -> None:
        super().__init__()
        self.project, self.options, self.settings = run_name, options, dict[str, Any]()
        self.logged, self.pictures, self.finished = list[Any](), list[Any](), 0
        Fake.made.append(self)

    @property
    def tracker(self) -> Fake:
        return self

    def store_init_configuration(self, values: dict[str, Any]) -> None:
        self.settings |= values

    def log(self, values: dict[str, Any], step: int | None = None, **options: Any) -> None:
        self.logged.append((step, values))

    def log_images(self, values: dict[str, Any], step: int | None = None, **options: Any) -> None:
        self.pictures.append((step, {name: [one.size for one in many] for name, many in values.items()}))

    def finish(self) -> None:
        self.finished += 1


class LoggedOut(Fake):
    """Has no credentials."""

    def start(self) -> None:
        raise RuntimeError("api_key not configured (no-tty)\nmore")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> type[Fake]:
    monkeypatch.setattr(imports, "is_wandb_available", lambda: True)
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", Fake)
    monkeypatch.setattr(Fake, "made", [])
    return Fake


def test_the_names_are_those_of_accelerate() -> None:
    assert set(get_args(Tracker)) == set(LOGGER_TYPE_TO_CLASS)
    assert all(callable(getattr(imports, f"is_{name}_available")) for name in get_args(Tracker))


def test_a_tracker_gets_figures_settings_previews_and_texts(
    wandb: type[Fake], toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trainer_module, "warnings_of", lambda *arguments: ["the gates are shut"])
    recipe = toy(steps=2, trackers=["wandb"], preview_every=2)
    run_toy(recipe, toy_graph, tmp_path / "my run")
    (tracker,) = wandb.made
    assert (tracker.project, tracker.options) == ("graphcond", {"name": "my run"})
    assert tracker.settings["training.learning_rate"] == 1e-3
    assert tracker.settings["conditions.0.sampler.kind"] == "khop"
    assert all(isinstance(value, bool | int | float | str) for value in tracker.settings.values())
    figures = [step for step, values in tracker.logged if "train/loss" in values]
    assert figures == [1, 2]
    assert (2, {"warning": "the gates are shut"}) in tracker.logged
    assert [step for step, _ in tracker.pictures] == [0, 2]
    assert all(list(pictures) == ["previews"] for _, pictures in tracker.pictures)
    assert tracker.finished == 1


def test_a_tracker_is_closed_where_the_run_fails(
    wandb: type[Fake], toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*arguments: Any, **options: Any) -> Any:
        raise TrainingError("the loss is nan")

    monkeypatch.setattr(trainer_module.Stepper, "__call__", failing)
    with pytest.raises(TrainingError):
        run_toy(toy(trackers=["wandb"]), toy_graph, tmp_path / "run")
    assert [tracker.finished for tracker in wandb.made] == [1]


def test_a_tracker_without_credentials_stops_before_the_data_are_read(
    wandb: type[Fake], toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LOGGER_TYPE_TO_CLASS, "wandb", LoggedOut)
    monkeypatch.setattr("graphcond.training.run.prepare", None)
    recipe = toy(trackers=["wandb"])
    problem = (
        r"training\.trackers: wandb does not start: api_key not configured \(no-tty\)\. Log in by `wandb"
    )
    with pytest.raises(InputError, match=problem):
        run_toy(recipe, toy_graph, tmp_path / "run")
    assert not (tmp_path / "run").exists(), "the next try may use the same folder"


def test_tensorboard_gets_figures_previews_texts_and_settings(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    monkeypatch.setattr(trainer_module, "warnings_of", lambda *arguments: ["the gates are shut"])
    recipe = toy(steps=2, tensorboard=True, preview_every=2)
    assert recipe.training.trackers == ("tensorboard",)
    run = run_toy(recipe, toy_graph, tmp_path / "run")
    (folder,) = (run.folder / "tensorboard").glob("events.out.tfevents.*")
    events = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in events.Scalars("train/loss")] == [1, 2]
    assert [event.step for event in events.Images("previews")] == [0, 2]
    assert events.Images("previews")[0].encoded_image_string.startswith(b"\x89PNG")
    (text,) = [event.tensor_proto.string_val for event in events.Tensors("warning/text_summary")]
    assert text == [b"the gates are shut"]
    (settings,) = (run.folder / "tensorboard").rglob("hparams.yml")
    assert yaml.safe_load(settings.read_text())["training.learning_rate"] == 1e-3


@pytest.mark.parametrize(
    ("values", "trackers"),
    [
        ({"tensorboard": True}, ("tensorboard",)),
        ({"tensorboard": False}, ()),
        ({"tensorboard": True, "trackers": ["wandb"]}, ("wandb", "tensorboard")),
        ({"tensorboard": True, "trackers": ["tensorboard"]}, ("tensorboard",)),
        ({"trackers": ["mlflow"]}, ("mlflow",)),
    ],
)
def test_the_old_name_is_read(values: dict[str, Any], trackers: tuple[str, ...]) -> None:
    assert TrainingConfig(**values).trackers == trackers


def test_a_tracker_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, package in {"wandb": r"graphcond\[wandb\]", "comet_ml": "comet-ml"}.items():
        monkeypatch.setattr(imports, f"is_{name}_available", lambda: False)
        with pytest.raises(InputError, match=f"{name} is not installed.*pip install {package}`"):
            check_trackers([name])


def test_an_unknown_tracker(toy: Toy) -> None:
    values = toy().model_dump(mode="json")
    values["training"]["trackers"] = ["wndb"]
    with pytest.raises(InputError, match=r"training\.trackers.*got 'wndb'; did you mean 'wandb'"):
        parse_recipe(values)
