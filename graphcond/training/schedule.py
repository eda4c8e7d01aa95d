"""The learning rate as a function of the step alone, so that a resumed run needs no state for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from diffusers.optimization import get_scheduler

from graphcond.recipe import TrainingConfig


def rate_factor(config: TrainingConfig) -> Callable[[int], float]:
    """What the learning rates are multiplied by in each step, counted from 0: warm-up, then the schedule."""
    name = "constant_with_warmup" if config.schedule == "constant" else config.schedule
    unused = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    scheduler = get_scheduler(name, unused, num_warmup_steps=config.warmup, num_training_steps=config.steps)
    return scheduler.lr_lambdas[0]
