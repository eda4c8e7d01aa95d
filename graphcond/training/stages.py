"""Stages before the main training: each done once, kept in the run folder and in the training cache."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int64
from pydantic import ConfigDict, ValidationError
from safetensors.torch import save_file
from torch import Tensor

from graphcond import encoders, objectives
from graphcond.config import Config
from graphcond.data.dataset import SceneDataset
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.io.cache import cache_entry, cached
from graphcond.io.files import atomic_folder, read_json, write_json, writing
from graphcond.io.fingerprint import fingerprint, module_version, source_version
from graphcond.io.tensors import load_tensors
from graphcond.model import GraphModel
from graphcond.recipe import Recipe
from graphcond.recipe.stages import StageConfig
from graphcond.training.gather import Gatherer
from graphcond.training.metrics import append_record, cut_after
from graphcond.training.paths import RunFolder
from graphcond.training.pretrain import Log, pretrain, steps_kept
from graphcond.training.pretrain_data import gather_scenes
from graphcond.training.randomness import Purpose, seed_of

WEIGHTS, FACTS = "encoder.safetensors", "stage.json"


class StageFacts(Config):
    """The end of a stage, beside its weights. A figure of nothing is NaN."""

    model_config = ConfigDict(allow_inf_nan=True)

    key: str
    """Names the inputs of the stage."""
    trained: tuple[str, ...]
    """Names of the parameters that the objective reached; the others are as they were."""
    figures: dict[str, float]
    """The last ones."""


class StageResult(NamedTuple):
    """The end of a stage: the encoder's state, and what is recorded of it."""

    weights: Mapping[str, Tensor]
    facts: StageFacts


def read_result(folder: Path, key: str | None = None) -> StageResult:
    """The result in a folder.

    Args:
        folder: the folder.
        key: names the inputs of the result; any unless given.

    Raises:
        InputError: there is none, it is damaged, or it has other inputs.
    """
    try:
        facts = StageFacts.model_validate(read_json(folder / FACTS, nan=True))
        weights = load_tensors(folder / WEIGHTS)
    except (InputError, ValidationError) as error:
        raise InputError(
            "the stage is missing or damaged", place=folder, remedy="restore it, or start a new run"
        ) from error
    if key is not None and facts.key != key:
        raise InputError("the stage has other inputs", place=folder, remedy="train it again")
    return StageResult(weights, facts)


def write_result(folder: Path, result: StageResult) -> None:
    """Write a result into an empty folder."""
    save_file(dict(result.weights), folder / WEIGHTS)
    write_json(folder / FACTS, result.facts.model_dump())


VERSION = 2
"""Raised whenever the loop of `graphcond.training.pretrain` changes what it leaves behind."""

SHOWN = ("log_every", "validate_every", "validation_samples", "checkpoint_every", "then", "name", "condition")
"""Settings of a stage that do not change what it trains."""

Rows = Int64[np.ndarray, " _"]


def run_stages(
    recipe: Recipe,
    gatherer: Gatherer,
    model: GraphModel,
    trained: Rows,
    held_out: Rows,
    run: RunFolder | None,
) -> None:
    """Bring each stage's encoder where its objective leads; a stage that was done before is read.

    What a stage freezes is frozen for the stages after it, too.

    Args:
        recipe: names the stages.
        gatherer: the recipe's own data.
        model: the model whose encoders are trained, and frozen afterwards if a stage says so.
        trained: rows that a stage without data of its own trains on.
        held_out: rows that it is judged on.
        run: gets the results and their figures; None where another process writes them.

    Raises:
        InputError: a stage's data are not scenes, or lack what its objective needs.
        TrainingError: the loss of a stage is not finite.
    """
    for stage in recipe.stages:
        source, rows, others = _data_of(stage, gatherer, (trained, held_out))
        encoder = model.conditions[stage.condition].encoder
        key = _key(stage, source, model, rows)
        read = partial(read_result, key=key)
        result = None
        if run is not None:
            with suppress(InputError):
                result = read(run.stages / stage.name)
        result = result or cached("training", f"stage-{key}", read)
        if result is not None:
            gatherer.report.say(f"Stage {stage.name}: done before")
        else:
            half_done = None
            if run is not None:
                recipe.save(run.recipe)  # a run that is stopped in its stages resumes from here
                half_done = run.stages / f".{stage.name}-{key}.safetensors"
                cut_after(run.metrics, steps_kept(half_done), stage=stage.name)
            weights, names, figures = _train(
                stage, source, model, (rows, others), partial(_log, run, stage), half_done
            )
            result = StageResult(weights, StageFacts(key=key, trained=names, figures=figures))
            with cache_entry("training", f"stage-{key}") as folder:
                write_result(folder, result)
        encoder.load_state_dict(dict(result.weights))
        if run is not None:
            with atomic_folder(run.stages / stage.name) as folder:
                write_result(folder, result)
            for left in run.stages.glob(f".{stage.name}-*.safetensors"):
                left.unlink()
        _freeze(stage, model, result)


def note_on_boxes(recipe: Recipe, model: GraphModel) -> str | None:
    """A sentence about conditions that predict boxes which nothing has taught; None if there are none."""
    taught = {stage.condition for stage in recipe.stages if stage.objective.asks == "predicted_boxes"}
    predicting = {name for name, condition in model.conditions.items() if condition.encoder.predicts_boxes}
    names = ", ".join(sorted(predicting - taught))
    if not names or recipe.start_from is not None:
        return None
    return f"no stage teaches {names} where objects are, so its boxes mean nothing; add a stage 'layout'"


def freeze_staged(recipe: Recipe, model: GraphModel, run: RunFolder) -> None:
    """Freeze what the stages of a run froze, before a checkpoint is read.

    Raises:
        InputError: the run folder has lost a stage.
    """
    for stage in recipe.stages:
        _freeze(stage, model, read_result(run.stages / stage.name))


def _freeze(stage: StageConfig, model: GraphModel, result: StageResult) -> None:
    """Freeze what the stage trained, if it says so: later stages and the main training train the others."""
    parameters = dict(model.conditions[stage.condition].encoder.named_parameters())
    for name in result.facts.trained if stage.then == "freeze" else ():
        parameters[name].requires_grad_(False)


def _data_of(stage: StageConfig, gatherer: Gatherer, own: tuple[Rows, Rows]) -> tuple[Gatherer, Rows, Rows]:
    """The scenes of a stage, with the rows it trains on and those it is judged on."""
    if stage.data is not None:
        recipe = gatherer.recipe.model_copy(update={"data": stage.data})
        with gatherer.report.stage("data", f"Opening the data of {stage.name}") as progress:
            data = open_data(stage.data, progress=progress)
        gatherer = Gatherer.of(recipe, data, gatherer.extractors, gatherer.report, f" ({stage.name})")
        rows = data.targets(stage.data)
        own = rows, np.setdiff1d(data.held_out(stage.data), rows)
    if not isinstance(gatherer.data, SceneDataset):
        raise InputError(
            f"stages train on scene graphs, and the data are {gatherer.data.content}",
            place=f"stages.{stage.name}",
            remedy="name its data",
        )
    return gatherer, *own


def _key(stage: StageConfig, gatherer: Gatherer, model: GraphModel, rows: Rows) -> str:
    """Names what a stage leads to by everything that it follows from."""
    encoder = model.conditions[stage.condition].encoder
    condition = next(c for c in gatherer.recipe.conditions if c.name == stage.condition)
    looks = "pictures" in stage.objective.needs
    pictures = [gatherer.data.picture_path(row) for row in rows.tolist()] if looks else []
    found = iter(FeatureCache().digests([path for path in pictures if path is not None]))
    digests = [None if path is None else next(found) for path in pictures]
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
        [name for name, parameter in encoder.named_parameters() if not parameter.requires_grad],
        *(source_version(package) for package in (encoders, objectives)),
        scenes,
        digests,
        *([model.base.prompts_version()] if "phrases" in stage.objective.needs else ()),
    )


def _train(
    stage: StageConfig,
    gatherer: Gatherer,
    model: GraphModel,
    rows: tuple[Rows, Rows],
    log: Log,
    half_done: Path | None,
) -> tuple[dict[str, Tensor], tuple[str, ...], dict[str, float]]:
    """The state that the encoder then has, the parameters that were reached, and the last figures."""
    encoder = model.conditions[stage.condition].encoder
    order = np.random.default_rng(seed_of(stage.seed, Purpose.VALIDATION))
    judged = np.sort(order.permutation(rows[1])[: stage.validation_samples])
    trained, held_out = (
        gather_scenes(
            *(stage.objective, gatherer, model.base, one),
            condition=stage.condition,
            seed=stage.seed,
            place=f"stages.{stage.name}.objective",
        )
        for one in (rows[0], judged)
    )
    with gatherer.report.stage(f"stage {stage.name}", f"Stage {stage.name}") as progress:
        names, figures = pretrain(stage, encoder, trained, held_out, log, progress, half_done)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
    gatherer.report.say(f"Stage {stage.name}: {shown}")
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
    return weights, names, figures


def _log(run: RunFolder | None, stage: StageConfig, figures: Mapping[str, Any]) -> None:
    """Stages stand before step 1 of the main training, so a resumed run keeps their lines."""
    if run is not None:
        with writing(run.root):
            run.root.mkdir(parents=True, exist_ok=True)
            append_record(run.metrics, {"step": 0, "kind": "stage", "stage": stage.name, **figures})
