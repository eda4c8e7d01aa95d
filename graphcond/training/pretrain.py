"""The loop of one stage: an encoder against its objective, on scenes alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

from graphcond.encoders import Encoder
from graphcond.errors import InputError, TrainingError
from graphcond.io.files import atomic_file
from graphcond.io.tensors import load_tensors
from graphcond.objectives import Objective, ObjectiveResult
from graphcond.progress import Progress
from graphcond.recipe.stages import StageConfig
from graphcond.training.device import generators_kept
from graphcond.training.optimizer import (
    Groups,
    build_optimizer,
    clip_gradients,
    optimizer_state,
    rate_factor,
    restore_optimizer,
    set_rates,
)
from graphcond.training.pretrain_data import StageScenes
from graphcond.training.randomness import Purpose, order_of, seed_of

Log = Callable[[Mapping[str, Any]], None]

STEPS = "steps of the stage"


@dataclass(frozen=True)
class StageCheckpoint:
    """Where a stage keeps its state, and what belongs to it.

    Args:
        file: of the state.
        modules: the encoder and the objective, whose buffers are state too.
        groups: their trained parameters.
        optimizer: over them.
    """

    file: Path
    modules: nn.ModuleDict
    groups: Groups
    optimizer: torch.optim.Optimizer

    def write(self, step: int) -> None:
        """Keep the state after ``step`` steps."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        tensors = {name: one.detach().cpu().contiguous() for name, one in self.modules.state_dict().items()}
        tensors |= {STEPS: torch.tensor(step), **optimizer_state(self.optimizer, self.groups)}
        with atomic_file(self.file) as temporary:
            save_file(tensors, temporary)

    def restore(self) -> int:
        """Take the kept state, and give the number of its steps; 0 where there is none."""
        steps = steps_kept(self.file)
        if steps:
            found, wanted = load_tensors(self.file), self.modules.state_dict()
            self.modules.load_state_dict({name: found[name] for name in wanted})
            restore_optimizer(self.optimizer, self.groups, found)
        return steps


def steps_kept(file: Path) -> int:
    """The number of steps in a kept state; 0 where there is none, or a damaged one."""
    with suppress(InputError):
        return int(load_tensors(file)[STEPS])
    return 0


def pretrain(
    stage: StageConfig,
    encoder: Encoder[Any, Any],
    trained: StageScenes,
    held_out: StageScenes,
    log: Log,
    progress: Progress,
    half_done: Path | None = None,
) -> tuple[tuple[str, ...], dict[str, float]]:
    """Train ``encoder`` in place; the outcome follows from its weights, the scenes and the stage alone.

    Args:
        stage: the objective, the steps and the optimizer.
        encoder: the encoder to train; its frozen parameters stay.
        trained: scenes to train on.
        held_out: scenes to judge by; may be none.
        log: takes a line of figures.
        progress: called after each step.
        half_done: a file to keep the state in, and to go on from; it may be missing.

    Returns:
        The names of the encoder's parameters that the objective reached, and the last figures: of held-out
        scenes, or of the last batch where there are none.

    Raises:
        InputError: all that the objective reaches is frozen.
        TrainingError: the loss is not finite, or the objective says that the encoder cannot get better.
    """
    device = next(encoder.parameters()).device
    with torch.random.fork_rng(devices=generators_kept(device), device_type=device.type):
        torch.manual_seed(seed_of(stage.seed, Purpose.STAGE))
        objective = stage.objective.build(encoder=encoder, picture_width=trained.picture_width).to(device)
        return _loop(stage, encoder, objective, (trained, held_out), log, progress, half_done)


def _loop(
    stage: StageConfig,
    encoder: Encoder[Any, Any],
    objective: Objective,
    scenes: tuple[StageScenes, StageScenes],
    log: Log,
    progress: Progress,
    half_done: Path | None,
) -> tuple[tuple[str, ...], dict[str, float]]:
    trained, held_out = scenes
    config = stage.as_training()
    groups = {"encoder": _trainable(encoder), "objective": _trainable(objective)}
    groups = {name: group for name, group in groups.items() if group}
    optimizer, factor = build_optimizer(groups, config), rate_factor(config)
    device, figures = next(encoder.parameters()).device, {}
    size = min(stage.batch_size, len(trained))  # a scene twice in a batch would be its own opponent
    modules = nn.ModuleDict({"encoder": encoder, "objective": objective})
    state = None if half_done is None else StageCheckpoint(half_done, modules, groups, optimizer)
    for step in range(0 if state is None else state.restore(), stage.steps):
        torch.manual_seed(seed_of(stage.seed, Purpose.LAYERS, step))
        modules.train()
        set_rates(optimizer, factor(step))
        optimizer.zero_grad()
        rows = order_of(stage.seed, np.arange(step * size, (step + 1) * size), len(trained))
        result = objective(encoder, trained.batch(rows, device))
        if not result.loss.requires_grad:
            raise InputError(
                "nothing is left to train: an earlier stage froze what the objective reaches",
                place=f"stages.{stage.name}",
                remedy="leave the stage out, or set then: train in the earlier one",
            )
        if fault := result.fault():
            raise TrainingError(
                f"the loss of '{stage.objective.kind}' is {fault} at step {step + 1}",
                place=f"stages.{stage.name}",
                remedy="lower its learning_rate",
            )
        result.loss.backward()
        norm = clip_gradients(groups, config.max_gradient_norm)
        optimizer.step()
        if _due(stage, step, stage.log_every):
            figures = _figures(result)
            log({"stage_step": step + 1, "scenes": "training", **figures, "gradient_norm": float(norm)})
        if len(held_out) and _due(stage, step, stage.validate_every):
            figures = judge(stage, encoder, objective, held_out)
            log({"stage_step": step + 1, "scenes": "held out", **figures})
            if failure := objective.failure(figures):
                raise TrainingError(
                    f"the loss of '{stage.objective.kind}' leads nowhere at step {step + 1}: {failure}",
                    place=f"stages.{stage.name}",
                    remedy="lower its learning_rate, or choose another objective",
                )
        if state is not None and step + 1 < stage.steps and _due(stage, step, stage.checkpoint_every):
            state.write(step + 1)
        progress(step + 1, stage.steps)
    encoder.train(False)
    reached = tuple(name for name, parameter in groups["encoder"].items() if parameter in optimizer.state)
    return reached, figures


@torch.no_grad()
def judge(
    stage: StageConfig, encoder: Encoder[Any, Any], objective: Objective, scenes: StageScenes
) -> dict[str, float]:
    """Mean figures over ``scenes``."""
    encoder.train(False)
    objective.train(False)
    device = next(encoder.parameters()).device
    sums: dict[str, float] = {}
    for start in range(0, len(scenes), stage.batch_size):
        rows = np.arange(start, min(start + stage.batch_size, len(scenes)))
        for name, value in _figures(objective(encoder, scenes.batch(rows, device))).items():
            sums[name] = sums.get(name, 0.0) + value * len(rows)
    return {name: total / len(scenes) for name, total in sums.items()}


def _trainable(module: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def _due(stage: StageConfig, step: int, every: int | None) -> bool:
    return every is not None and ((step + 1) % every == 0 or step + 1 == stage.steps)


def _figures(result: ObjectiveResult) -> dict[str, float]:
    return {"loss": float(result.loss.detach()), **result.figures}
