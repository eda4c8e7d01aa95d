"""The paths inside a run folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunFolder:
    """Paths of a run."""

    root: Path

    @property
    def lock(self) -> Path:
        """Held by the process that works on the run."""
        return self.root / ".lock"

    @property
    def recipe(self) -> Path:
        """The resolved recipe."""
        return self.root / "recipe.yaml"

    @property
    def metrics(self) -> Path:
        """One JSON object per line."""
        return self.root / "metrics.jsonl"

    @property
    def previews(self) -> Path:
        """Contact sheets."""
        return self.root / "previews"

    @property
    def checkpoints(self) -> Path:
        """A model folder per kept step."""
        return self.root / "checkpoints"

    @property
    def stages(self) -> Path:
        """The result of each stage before the main training."""
        return self.root / "stages"

    @property
    def final(self) -> Path:
        """The trained model."""
        return self.root / "final"
