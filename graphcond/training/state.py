"""The state of a run beyond the model, which a checkpoint saves and restores."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from safetensors.torch import save_file

from graphcond.errors import InputError
from graphcond.io.files import atomic_folder, write_json
from graphcond.io.tensors import check_weights, load_tensors
from graphcond.model import GraphModel
from graphcond.training.checkpoint import (
    GO_BACK,
    STATE,
    TENSORS,
    Standing,
    checkpoint_folder,
    list_checkpoints,
    read_standing,
    written,
)
from graphcond.training.optimizer import (
    Averaging,
    Groups,
    all_parameters,
    build_optimizer,
    optimizer_state,
    restore_optimizer,
    restore_weights,
    weights_of,
)


def train_mode(model: GraphModel) -> None:
    """Switch ``model`` to training; an encoder of which nothing is trained keeps its dropout off."""
    model.train()
    for condition in model.conditions.values():
        if not any(parameter.requires_grad for parameter in condition.encoder.parameters()):
            condition.encoder.train(False)


class Ema:
    """An exponential moving average of the trained weights, through diffusers' `EMAModel`.

    In step n, counted from 1, the decay is min(``decay``, n / (n + 9)), 0 in the first: early averages
    forget the start.

    Args:
        groups: the trained parameters; their present values are where the average starts.
        decay: of the average once it is old.
        steps: the number of updates in the present values.
    """

    def __init__(self, groups: Groups, decay: float, *, steps: int = 0) -> None:
        self.decay = decay
        self._parameters = all_parameters(groups)
        self.restart(steps)

    def restart(self, steps: int) -> None:
        """Go on from the present values, the average after ``steps`` updates."""
        self._average = EMAModel(self._parameters, decay=self.decay, foreach=True)
        self._average.optimization_step = steps

    def update(self) -> None:
        """Take in the weights after an optimizer step."""
        self._average.step(self._parameters)

    def keep(self) -> None:
        """Give the model the average's weights for good."""
        self._average.copy_to(self._parameters)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average's weights inside the block, and its own again after it."""
        self._average.store(self._parameters)
        self._average.copy_to(self._parameters)
        try:
            yield
        finally:
            self._average.restore(self._parameters)


class OptimizerAverage:
    """The average that an optimizer keeps itself, with the methods of `Ema`.

    Args:
        optimizer: its weights are put into training.
        groups: the trained parameters.
    """

    def __init__(self, optimizer: Averaging, groups: Groups) -> None:
        self._optimizer, self._parameters = optimizer, all_parameters(groups)
        optimizer.train()

    def restart(self, steps: int) -> None:
        """The optimizer's state has the average."""

    def update(self) -> None:
        """The optimizer's step takes in the weights."""

    def keep(self) -> None:
        """Give the model the average's weights for good."""
        self._optimizer.eval()

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model has the average's weights inside the block, and its own again after it."""
        # Switching back rounds, and perhaps only one process switches, so the trained weights are kept.
        own = [parameter.detach().clone() for parameter in self._parameters]
        self._optimizer.eval()
        try:
            yield
        finally:
            self._optimizer.train()
            torch._foreach_copy_([parameter.data for parameter in self._parameters], own)


class TrainingState:
    """Trained weights, their average and the optimizer of a model.

    Args:
        model: what is trained.
        accelerator: of this process.
        effective_batch: samples in one optimizer step.
        data: identity of the training examples.
    """

    def __init__(
        self, model: GraphModel, accelerator: Accelerator, *, effective_batch: int, data: str
    ) -> None:
        config = model.recipe.training
        self.model, self.step = model, 0
        self.groups: Groups = model.trainable_parameters()
        self.optimizer = build_optimizer(self.groups, config, model.group_of)
        self._optimizer_kind = config.optimizer.kind
        self.average: Ema | OptimizerAverage | None = None
        if isinstance(self.optimizer, Averaging):
            self.average = OptimizerAverage(self.optimizer, self.groups)
        elif config.ema is not None:
            self.average = Ema(self.groups, config.ema)
        self._accelerator, self._effective_batch, self._data = accelerator, effective_batch, data

    def advance(self) -> None:
        """Count a step, and take its weights into the average."""
        self.step += 1
        if self.average is not None:
            self.average.update()

    def averaged(self) -> AbstractContextManager[None]:
        """The model has the weights that are shown and saved inside the block."""
        return nullcontext() if self.average is None else self.average.applied()

    def finish(self) -> None:
        """Give the model the weights that are saved at the end."""
        if self.average is not None:
            self.average.keep()

    def write(self, checkpoints: Path, *, keep: int) -> None:
        """Write a checkpoint, then remove all but the newest ``keep``.

        Raises:
            TrainingError: it cannot be written; earlier ones stay usable.
        """
        scaler, folder = self._accelerator.scaler, checkpoint_folder(checkpoints, self.step)
        standing = Standing(
            step=self.step,
            effective_batch=self._effective_batch,
            data=self._data,
            optimizer=self._optimizer_kind,
            scaler={} if scaler is None else scaler.state_dict(),
        )
        weights = (
            {} if self.average is None else weights_of(self.groups)
        )  # the model is saved with their average
        with written(checkpoints, folder), atomic_folder(folder) as new:
            with self.averaged():
                self.model.save_pretrained(new)
            save_file(weights | optimizer_state(self.optimizer, self.groups), new / TENSORS)
            write_json(new / STATE, standing.model_dump())
        for old in list_checkpoints(checkpoints)[:-keep]:
            shutil.rmtree(old)

    def restore(self, checkpoint: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: it is damaged, or belongs to other data, another size of batch or another optimizer.
        """
        standing = read_standing(checkpoint)
        try:
            tensors = load_tensors(checkpoint / TENSORS)
        except InputError as error:
            raise InputError(error.problem, place=error.place, remedy=GO_BACK) from error
        if standing.effective_batch != self._effective_batch:
            raise InputError(
                f"its steps have {standing.effective_batch} samples, here {self._effective_batch}",
                place=checkpoint,
                remedy="use as many processes as before",
            )
        if standing.data != self._data:
            raise InputError(
                "the training data is not what the run was started with",
                place=checkpoint,
                remedy="restore pictures, texts and edges, or start a new run",
            )
        if standing.optimizer != self._optimizer_kind:
            raise InputError(
                f"it was written with {standing.optimizer}, and the recipe has {self._optimizer_kind}",
                place=checkpoint,
                remedy=f"set training.optimizer.kind to {standing.optimizer}",
            )
        self.model.load_weights(checkpoint)
        if self.average is not None:
            self.average.restart(standing.step)
            wanted = weights_of(self.groups)
            check_weights(
                {k: v for k, v in tensors.items() if k in wanted}, wanted, place=checkpoint / TENSORS
            )
            restore_weights(self.groups, tensors)
        restore_optimizer(self.optimizer, self.groups, tensors)
        if self._accelerator.scaler is not None and standing.scaler:
            self._accelerator.scaler.load_state_dict(dict(standing.scaler))
        self.step = standing.step
