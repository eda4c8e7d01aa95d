"""From a recipe to a model and its examples: everything that is computed before the first step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from graphcond.bases import Base
from graphcond.bases.attention import choose_attention
from graphcond.bases.config import check_training
from graphcond.bases.quantization import check_quantizer
from graphcond.data.contexts import Sampled
from graphcond.data.dataset import Dataset
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.features.load import Extractors
from graphcond.model import GraphModel
from graphcond.recipe import Recipe
from graphcond.recipe.sections import mirrors
from graphcond.saving.model_folder import saved_recipe
from graphcond.training.checkpoint import list_checkpoints
from graphcond.training.device import check_compile
from graphcond.training.examples import Examples
from graphcond.training.gather import Contexts, Gatherer, has_graph, taken
from graphcond.training.objective import learns_without_graph
from graphcond.training.own_losses import OwnLoss, gather_own_losses
from graphcond.training.paths import RunFolder
from graphcond.training.prior import Prior, prior_pictures
from graphcond.training.randomness import Purpose, seed_of
from graphcond.training.report import Report
from graphcond.training.stages import freeze_staged, note_on_boxes, run_stages


@dataclass(frozen=True)
class Loaded:
    """Networks that are loaded already, in place of those that a recipe names.

    Args:
        base: without injectors; the model's own stay in it until they are ejected.
        extractors: of the recipe's features.
        turns: a file; processes that name the same one fill the caches one after the other.
    """

    base: Base | None = None
    extractors: Extractors | None = None
    turns: Path | None = None


@dataclass(frozen=True)
class Prepared:
    """A model with its training and validation examples.

    Args:
        data: the dataset of the targets.
        model: the model after the stages, its trained parameters in float32.
        train: the training examples; those of validation where nothing is trained.
        validation: examples for the validation loss and previews; each has a graph.
        held_out: whether no validation example is trained on.
        left_out: training targets without any graph, which could teach nothing.
        always: whether samples without graph give gradients too.
        own_losses: of conditions, over the training examples.
    """

    data: Dataset
    model: GraphModel
    train: Examples
    validation: Examples
    held_out: bool
    left_out: int
    always: bool
    own_losses: tuple[OwnLoss, ...] = ()

    @property
    def trains(self) -> bool:
        """True if the model has trainable parameters."""
        return bool(self.model.trainable_parameters())


def prepare(
    recipe: Recipe,
    device: torch.device,
    report: Report,
    *,
    data: Dataset | None = None,
    targets: Int64[np.ndarray, " n"] | None = None,
    run: RunFolder | None = None,
    resumed: RunFolder | None = None,
    loaded: Loaded | None = None,
    first: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Prepared:
    """Open the data, build the model, run its stages, and compute everything that is constant in training.

    Processes that prepare the same recipe at once divide the encoding and sampling among them.

    Args:
        recipe: the recipe of the run.
        device: where to compute.
        report: shows the stages.
        data: in place of the recipe's data.
        targets: rows to train on, in place of the training splits.
        run: where stages leave what they trained, and their figures.
        resumed: a run of whose checkpoint the weights will be read.
        loaded: networks in place of the recipe's.
        first: makes a block in which one process does what cannot be divided, before the others.

    Raises:
        InputError: something about the data, the base or their fit is wrong.
    """
    loaded = loaded or Loaded()
    choose_attention(recipe.base.attention, device)  # refused now, not after hours of embedding
    check_quantizer(recipe.base.quantize)
    check_compile(recipe.training.compile, device)
    if recipe.start_from is not None and resumed is None:
        saved_recipe(recipe.start_from)
    if data is None:
        with first(), report.stage("data", "Drawing pictures") as progress:
            data = open_data(recipe.data, progress=progress, say=report.say)
    recipe = recipe.with_relations(data.relation_names)
    targets = data.targets(recipe.data) if targets is None else data.checked(targets)
    for note in (
        data.note_on_splits(recipe.data),
        data.note_on_validation(recipe.data),
        *recipe.notes(),
    ):
        if note is not None:
            report.say(f"note: {note}")
    held_out = np.setdiff1d(data.held_out(recipe.data), targets)
    extractors = loaded.extractors or Extractors(recipe.features, device)
    with report.stage("features", f"Embedding {data.embedded}") as progress:
        data.embed_whole(recipe, extractors, progress)
    with first():  # a sampler may calibrate itself
        gatherer = Gatherer.of(recipe, data, extractors, report)
    model = _build_model(recipe, gatherer, device, report, loaded.base, resumed=resumed is not None)
    learns = learns_without_graph(model.conditions.values(), base=model.trains_shared)
    if recipe.training.prior is not None and not learns:
        raise InputError(
            "only conditions are trained, and pictures without a graph teach them nothing",
            place="training.prior",
            remedy="leave it out, or train a lora, adapters or the base (training.train_base)",
        )
    prior: Prior = ()
    if recipe.training.prior is not None:  # drawn by the base before it has any trained weights
        texts = (data.texts[target] for target in targets.tolist())
        with first(), report.stage("prior", "Drawing pictures without a graph") as progress:
            prior = prior_pictures(recipe.training.prior, model, texts, progress)
    if resumed is not None:  # updates of a file have the layers of the file
        model.load_weights(list_checkpoints(resumed.checkpoints)[-1])
    elif recipe.start_from is not None:
        model.start_from(recipe.start_from)
    every = targets
    if not model.trainable_parameters():  # then only validation and previews show some
        targets = np.random.default_rng(recipe.training.seed).permutation(every)[: _shown(recipe)]
    contexts = gatherer.contexts(targets, "training")
    found = has_graph(contexts)
    if not found.any() and len(targets) < len(every):
        targets = every
        contexts = gatherer.contexts(targets, "training")
        found = has_graph(contexts)
    if not found.any():
        apart = f" that is not held out ({len(gatherer.forbidden)} are)" if len(gatherer.forbidden) else ""
        raise InputError(
            f"no training {data.noun} has {data.graph_of}{apart}",
            place="data",
            remedy=f"give training {data.noun}s graphs of their own",
        )
    limits = data.notes_on_limits(recipe, targets, contexts.__getitem__, model.base)
    for note in (one for one in (note_on_boxes(recipe, model), *limits) if one is not None):
        report.say(f"note: {note}")
    if resumed is None:
        with first():
            run_stages(recipe, gatherer, model, targets[found], held_out, run)
    else:
        freeze_staged(recipe, model, resumed)
    if loaded.extractors is None:
        extractors.release()  # everything is embedded
    chosen, is_held_out = _validation_targets(gatherer, held_out, targets[found])
    validation = gatherer.examples(model.base, *chosen, "validation")
    always = learns_without_graph(model.conditions.values(), base=model.trains_shared)
    kept = np.flatnonzero(np.ones_like(found) if always else found)
    train, own_losses = validation, tuple[OwnLoss, ...]()
    if model.trainable_parameters():
        mirrored = mirrors(recipe.data, recipe.training) and data.may_mirror
        shown = targets[kept], taken(contexts, kept)
        train = gatherer.examples(model.base, *shown, "training", mirrored=mirrored, prior=prior)
        own_losses = gather_own_losses(model, gatherer, *shown)
    return Prepared(
        data=data,
        model=model,
        train=train,
        validation=validation,
        held_out=is_held_out,
        left_out=len(found) - len(kept),
        always=always,
        own_losses=own_losses,
    )


def _build_model(
    recipe: Recipe,
    gatherer: Gatherer,
    device: torch.device,
    report: Report,
    base: Base | None,
    *,
    resumed: bool,
) -> GraphModel:
    # CLIP's own projection, where an encoder starts from it; embeddings from a file have none.
    starts = any("text_projection" in condition.encoder.needs for condition in recipe.conditions)
    from_file = "extra" in recipe.features.columns
    with report.stage("model", "Loading the base"):
        model = GraphModel.build(
            recipe,
            feature_width=gatherer.feature_width,
            device=device,
            base=None if recipe.training.train_base else base,  # others use it
            text_projection=gatherer.extractors.clip.text_projection if starts and not from_file else None,
            load_init=recipe.start_from is None and not resumed,
        )
    training = recipe.training
    check_training(model.base.facts.predicts, training.timesteps, training.min_snr_gamma)
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    return model


def _shown(recipe: Recipe) -> int:
    """How many targets validation and previews look at."""
    return max(recipe.training.validation_samples, recipe.training.previews)


def _validation_targets(
    gatherer: Gatherer, held_out: Int64[np.ndarray, " n"], trained: Int64[np.ndarray, " m"]
) -> tuple[tuple[Int64[np.ndarray, " k"], Contexts], bool]:
    """Some held-out targets with their contexts; trained ones where no held-out one has a graph."""
    wanted = _shown(gatherer.recipe)
    generator = np.random.default_rng(seed_of(gatherer.recipe.training.seed, Purpose.VALIDATION))
    chosen = generator.permutation(held_out)[:wanted]
    contexts: Mapping[str, Sampled] = gatherer.contexts(chosen, "validation") if len(chosen) else {}
    is_held_out = bool(contexts) and bool(has_graph(contexts).any())
    if not is_held_out:
        chosen = generator.permutation(trained)[:wanted]
        contexts = gatherer.contexts(chosen, "validation")
    rows = np.flatnonzero(has_graph(contexts))
    return (chosen[rows], taken(contexts, rows)), is_held_out
