"""The state in the middle of a stage: encoder, objective and optimizer, in one file."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from graphcond.errors import InputError
from graphcond.io.files import atomic_file
from graphcond.io.tensors import load_tensors
from graphcond.training.optimizer import Groups, optimizer_state, restore_optimizer

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
    optimizer: torch.optim.AdamW

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
