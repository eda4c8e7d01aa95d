"""The state of a run beyond the model, which a checkpoint saves and restores."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor

from graphcond.errors import InputError
from graphcond.io.tensors import check_weights
from graphcond.model import GraphModel
from graphcond.training.checkpoint import TENSORS, Standing, read_standing, read_tensors
from graphcond.training.optimizer import (
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
        self._average = EMAModel(self._parameters, decay=decay, foreach=True)
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
        self.optimizer: torch.optim.AdamW = build_optimizer(self.groups, config, model.group_of)
        self.ema = None if config.ema is None else Ema(self.groups, config.ema)
        self._accelerator, self._effective_batch, self._data = accelerator, effective_batch, data

    def advance(self) -> None:
        """Count a step, and take its weights into the average."""
        self.step += 1
        if self.ema is not None:
            self.ema.update()

    def averaged(self) -> AbstractContextManager[None]:
        """The model has the weights that are shown and saved inside the block."""
        return nullcontext() if self.ema is None else self.ema.applied()

    def standing(self) -> Standing:
        """The progress of the run."""
        scaler = self._accelerator.scaler
        return Standing(
            step=self.step,
            effective_batch=self._effective_batch,
            data=self._data,
            scaler={} if scaler is None else scaler.state_dict(),
        )

    def tensors(self) -> dict[str, Tensor]:
        """The optimizer's state, and the trained weights where the model is saved with their average."""
        weights = {} if self.ema is None else weights_of(self.groups)
        return weights | optimizer_state(self.optimizer, self.groups)

    def restore(self, checkpoint: Path) -> None:
        """Go on from a checkpoint.

        Raises:
            InputError: it is damaged, or belongs to other data or another size of batch.
        """
        standing, tensors = read_standing(checkpoint), read_tensors(checkpoint)
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
        self.model.load_weights(checkpoint)
        if self.ema is not None:
            self.ema = Ema(self.groups, self.ema.decay, steps=standing.step)
            wanted = weights_of(self.groups)
            check_weights(
                {k: v for k, v in tensors.items() if k in wanted}, wanted, place=checkpoint / TENSORS
            )
            restore_weights(self.groups, tensors)
        restore_optimizer(self.optimizer, self.groups, tensors)
        if self._accelerator.scaler is not None and standing.scaler:
            self._accelerator.scaler.load_state_dict(dict(standing.scaler))
        self.step = standing.step
