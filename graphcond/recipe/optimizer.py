"""The choice of an optimizer, in a recipe."""

from __future__ import annotations

from typing import Any, NamedTuple

from pydantic import Field, field_validator

from graphcond.config import Config
from graphcond.errors import did_you_mean


class OptimizerKind(NamedTuple):
    """Where an optimizer is, and which of the training's settings it takes besides rates and decay.

    ``package`` is what pip installs; None for one of torch.
    """

    path: str
    package: str | None = None
    takes: tuple[str, ...] = ("betas", "eps")


OPTIMIZERS = {
    "adamw": OptimizerKind("torch.optim.AdamW"),
    "adamw8bit": OptimizerKind("bitsandbytes.optim.AdamW8bit", "bitsandbytes"),
    "lion": OptimizerKind("lion_pytorch.Lion", "lion-pytorch", ()),
    "muon": OptimizerKind("graphcond.training.muon.MuonAndAdamW"),
    "prodigy": OptimizerKind("prodigyopt.Prodigy", "prodigyopt"),
    "schedule_free": OptimizerKind("schedulefree.AdamWScheduleFree", "schedulefree"),
}
"""The optimizers that have a name."""


class OptimizerConfig(Config):
    """The optimizer of the trained parameters.

    `training` gives each its learning rates and the weight decay of matrices, and to those of Adam's family
    `betas` and `epsilon` too.
    """

    kind: str = "adamw"
    """`adamw`, `adamw8bit`, `lion`, `muon` (for matrices, AdamW for the rest), `prodigy` (with
    `learning_rate: 1`) or `schedule_free`; or the import path of another class of torch optimizers."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the class."""

    @field_validator("kind")
    @classmethod
    def _exists(cls, kind: str) -> str:
        if kind not in OPTIMIZERS and "." not in kind:
            raise ValueError(f"there is no optimizer '{kind}'. {did_you_mean(kind, OPTIMIZERS).capitalize()}")
        return kind

    @property
    def known(self) -> OptimizerKind:
        """Where it is; of an import path nothing else is known."""
        return OPTIMIZERS.get(self.kind, OptimizerKind(self.kind, None, ()))
