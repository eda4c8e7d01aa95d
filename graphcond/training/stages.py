"""Stages before the main training: each done once, kept in the run folder and in the training cache."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from safetensors.torch import save_file
from torch import nn

from graphcond import encoders, objectives
from graphcond.data import forbidden_of, held_out_of, open_data, sources_of, targets_of
from graphcond.errors import InputError
from graphcond.files import atomic_folder, read_json, write_json, writing
from graphcond.fingerprint import file_digest, fingerprint, module_version, source_version
from graphcond.model import GraphModel
from graphcond.models.feature_cache import default_cache_folder
from graphcond.recipe import Recipe
from graphcond.recipe.stages import StageConfig
from graphcond.training.gather import Gatherer
from graphcond.training.metrics import append_record, cut_stage
from graphcond.training.pretrain import pretrain
from graphcond.training.pretrain_data import gather_scenes
from graphcond.training.run_folder import RunFolder
from graphcond.types import SceneSet
from graphcond.weights import check_weights, load_tensors

WEIGHTS, FACTS = "encoder.safetensors", "stage.json"
VERSION = 1
"""Raised whenever the loop of `graphcond.training.pretrain` changes what it leaves behind."""

SHOWN = ("log_every", "validate_every", "validation_samples", "then", "name", "condition")
"""Settings of a stage that do not change what it trains."""

Rows = Int64[np.ndarray, " n"]
Log = Callable[[Mapping[str, Any]], None]


def run_stages(
    recipe: Recipe,
    gatherer: Gatherer,
    model: GraphModel,
    trained: Rows,
    held_out: Rows,
    run: RunFolder | None,
) -> None:
    """Bring each stage's encoder where its objective leads; a stage that was done before is read.

    Args:
        recipe: names the stages.
        gatherer: the recipe's own data.
        model: whose encoders are trained.
        trained: rows that a stage without data of its own trains on.
        held_out: rows that it is judged on.
        run: gets the results and their figures; None where another process writes them.

    Raises:
        InputError: a stage's data are no scenes, or lack what its objective needs.
        TrainingError: the loss of a stage is not finite.
    """
    for stage in recipe.stages:
        source, rows, others = _data_of(stage, gatherer, model, (trained, held_out))
        encoder = model.conditions[stage.condition].encoder
        key = _key(stage, source, encoder, rows)
        kept = None if run is None else run.stages / stage.name
        found = _found(key, kept)
        if found is None:
            if run is not None:
                recipe.save(run.recipe)  # a run that is stopped in its stages goes on from here
                cut_stage(run.metrics, stage.name)
            found = _train(stage, source, encoder, (rows, others), key, _logger(run, stage))
        else:
            gatherer.report.say(f"Stage {stage.name}: done before, read from {found}")
        _load(encoder, found)
        if kept is not None and found != kept:
            with atomic_folder(kept) as new:
                shutil.copytree(found, new, dirs_exist_ok=True)


def freeze_staged(recipe: Recipe, model: GraphModel) -> None:
    """Freeze the encoders whose last stage says so: the main training leaves them as they are."""
    last = {stage.condition: stage.then for stage in recipe.stages}
    for name, then in last.items():
        if then == "freeze":
            model.conditions[name].encoder.requires_grad_(False)


def _data_of(
    stage: StageConfig, gatherer: Gatherer, model: GraphModel, own: tuple[Rows, Rows]
) -> tuple[Gatherer, Rows, Rows]:
    """The scenes of a stage, with the rows it trains on and those it is judged on."""
    if stage.data is not None:
        recipe = gatherer.recipe.model_copy(update={"data": stage.data})
        with gatherer.report.stage("data", f"Opening the data of {stage.name}") as progress:
            data = open_data(stage.data, progress=progress)
        with gatherer.report.stage("features", f"Embedding words ({stage.name})") as progress:
            sources = sources_of(recipe, data, device=model.device, progress=progress)
        forbidden = forbidden_of(data, stage.data)
        gatherer = Gatherer(recipe, data, sources, forbidden, gatherer.report)
        rows = targets_of(data, stage.data)
        own = rows, np.setdiff1d(held_out_of(data, stage.data), rows)
    if not isinstance(gatherer.data, SceneSet):
        raise InputError(
            "stages train on scene graphs, and the data are none",
            place=f"stages.{stage.name}",
            remedy="name its data",
        )
    return gatherer, *own


def _key(stage: StageConfig, gatherer: Gatherer, encoder: nn.Module, rows: Rows) -> str:
    """Names what a stage leads to by everything that it follows from."""
    condition = next(c for c in gatherer.recipe.conditions if c.name == stage.condition)
    pictures = [gatherer.data.picture_path(row) for row in rows.tolist()]
    digests = [None if path is None else file_digest(path) for path in pictures]
    settings = stage.model_dump(mode="json", exclude={*SHOWN, "data"})
    scenes = gatherer.sources[stage.condition].sample(rows).scenes
    return fingerprint(
        VERSION,
        settings,
        condition.encoder.model_dump_json(),
        condition.sampler.model_dump_json(),
        gatherer.recipe.features.model_dump_json(),
        gatherer.sources[stage.condition].identity(),
        module_version(encoder, {}),
        *(source_version(package) for package in (encoders, objectives)),
        scenes,
        digests,
    )


def _found(key: str, kept: Path | None) -> Path | None:
    """Where a stage that is done lies: in the run folder or in the cache."""
    for folder in (kept, _cached(key)):
        if folder is not None and (folder / FACTS).is_file() and (folder / WEIGHTS).is_file():
            facts = read_json(folder / FACTS)
            if isinstance(facts, dict) and facts.get("key") == key:
                return folder
    return None


def _cached(key: str) -> Path:
    return default_cache_folder() / "training" / f"stage-{key}"


def _train(
    stage: StageConfig,
    gatherer: Gatherer,
    encoder: nn.Module,
    rows: tuple[Rows, Rows],
    key: str,
    log: Log,
) -> Path:
    trained, held_out = (gather_scenes(stage, gatherer, one) for one in rows)
    with gatherer.report.stage(f"stage {stage.name}", f"Stage {stage.name}") as progress:
        figures = pretrain(stage, encoder, trained, held_out, log, progress)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    gatherer.report.say(f"Stage {stage.name}: {shown}")
    with atomic_folder(_cached(key)) as new:
        weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
        save_file(weights, new / WEIGHTS)
        write_json(
            new / FACTS, {"key": key, "stage": stage.model_dump(mode="json"), "figures": dict(figures)}
        )
    return _cached(key)


def _load(encoder: nn.Module, folder: Path) -> None:
    found = load_tensors(folder / WEIGHTS)
    check_weights(found, encoder.state_dict(), place=folder / WEIGHTS)
    encoder.load_state_dict(found)


def _logger(run: RunFolder | None, stage: StageConfig) -> Log:
    """Stages stand before step 1 of the main training, so a resumed run keeps their lines."""

    def log(figures: Mapping[str, Any]) -> None:
        if run is not None:
            with writing(run.root):
                run.root.mkdir(parents=True, exist_ok=True)
                append_record(run.metrics, {"step": 0, "kind": "stage", "stage": stage.name, **figures})

    return log
