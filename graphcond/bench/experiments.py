"""The experiments of a comparison: each is a recipe, trained once and found again in its run folder."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from graphcond.bases.config import TINY_FOLDER
from graphcond.errors import InputError, did_you_mean
from graphcond.io.files import read_json, write_json
from graphcond.io.fingerprint import file_digest, fingerprint
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import Recipe, load_recipe
from graphcond.training import train
from graphcond.training.checkpoint import list_checkpoints
from graphcond.training.paths import RunFolder

SGCOND: tuple[str, ...] = tuple(f"sgcond-{number}" for number in ("i", "ii", "iii", "iv", "v", "vi", "vii"))
"""SGCond's seven experiments, as recipes."""

FACTS = "bench.json"
"""File beside a finished run: the identity of its training, and the seconds that it took."""

Trainer = Callable[..., Any]


@dataclass(frozen=True)
class Experiment:
    """A recipe and where it is, or will be, trained.

    Args:
        name: of the recipe.
        recipe: resolved.
        folder: of its run.
    """

    name: str
    recipe: Recipe
    folder: Path

    @property
    def model(self) -> Path:
        """The trained model."""
        return RunFolder(self.folder).final


@dataclass(frozen=True)
class ExperimentFacts:
    """The facts about an experiment in a table, beside its figures.

    Args:
        name: of the recipe.
        conditioning: the encoded form of the graph: encoders, and the embeddings that they read.
        enters: the injectors that pass it to the denoiser.
        parameters: number of trained parameters, including stages before the main training.
        seconds: from recipe to trained model; None where the run was interrupted and resumed.
    """

    name: str
    conditioning: str
    enters: str
    parameters: int
    seconds: float | None


def experiments_of(
    names: Sequence[str], out: Path, *, base: Literal["tiny"] | None = "tiny", seed: int = 0
) -> list[Experiment]:
    """The recipes of these names, to be trained in folders of ``out``.

    Raises:
        InputError: no name, an unknown name, a name given twice, or recipes whose data differ.
    """
    for name in names:
        if name not in SGCOND:
            raise InputError(
                f"there is no experiment '{name}'", place="--only", remedy=did_you_mean(name, SGCOND)
            )
    chosen = [name for name in SGCOND if name in names]
    if not chosen:
        raise InputError("no experiment is named", place="--only", remedy=f"choose from {', '.join(SGCOND)}")
    overrides = [f"training.seed={seed}", f"data.seed={seed}"]
    found = [
        Experiment(name, load_recipe(name, base=base, overrides=overrides), out / "runs" / name)
        for name in chosen
    ]
    for other in found[1:]:
        if other.recipe.data != found[0].recipe.data:
            raise InputError(
                f"{other.name} reads other data than {found[0].name}",
                place="experiments",
                remedy="compare recipes whose data are the same",
            )
    return found


def train_experiment(experiment: Experiment, *, trainer: Trainer = train) -> bool:
    """Train a recipe unless it is trained already; an interrupted run is resumed.

    Returns:
        whether anything was trained. A run of another recipe, or over another base, is repeated.
    """
    facts, run = experiment.folder / FACTS, RunFolder(experiment.folder)
    # A name that changes whenever the recipe or the packaged base does.
    weights = [file_digest(file) for file in sorted(TINY_FOLDER.rglob("*.safetensors"))]
    wanted = fingerprint(experiment.recipe.to_yaml(), *weights)
    if _read(facts).get("trained") == wanted and experiment.model.is_dir():
        return False
    begun = _read(_beginning(facts)).get("trained") == wanted
    resumed = begun and bool(list_checkpoints(run.checkpoints))
    if not resumed:
        shutil.rmtree(experiment.folder, ignore_errors=True)
    started = time.perf_counter()
    write_json(_beginning(facts), {"trained": wanted})
    where = {"resume": experiment.folder} if resumed else {"out": experiment.folder}
    trainer(experiment.recipe, **where)
    seconds = None if resumed else round(time.perf_counter() - started, 1)
    write_json(facts, {"trained": wanted, "seconds": seconds})
    _beginning(facts).unlink(missing_ok=True)
    return True


def facts_of(experiment: Experiment, pipe: GraphPipeline) -> ExperimentFacts:
    """The facts of a trained experiment for a table."""
    recipe = experiment.recipe
    groups = pipe.model.trainable_parameters().values()
    kept = _read(experiment.folder / FACTS)
    return ExperimentFacts(
        name=experiment.name,
        conditioning=f"{_kinds(c.encoder for c in recipe.conditions)} over {recipe.features.network}",
        enters=_kinds([*(c.injector for c in recipe.conditions), *([recipe.lora] if recipe.lora else [])]),
        parameters=sum(p.numel() for group in groups for p in group.values()),
        seconds=kept.get("seconds"),
    )


def weights_of(experiment: Experiment) -> str:
    """A name that changes whenever the trained weights do."""
    return fingerprint(*(file_digest(file) for file in sorted(experiment.model.rglob("*.safetensors"))))


def _beginning(facts: Path) -> Path:
    """The file with the identity of an unfinished run; beside the run's folder, which must be new."""
    return facts.parent.with_name(f".{facts.parent.name}.begun.json")


def _read(path: Path) -> dict[str, Any]:
    """The content of one of our files; empty if it is missing or broken."""
    try:
        content = read_json(path, nan=True)
    except InputError:
        return {}
    return content if isinstance(content, dict) else {}


def _kinds(configs: Any) -> str:
    return " + ".join(dict.fromkeys(config.kind for config in configs))
