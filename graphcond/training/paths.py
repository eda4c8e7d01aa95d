"""The paths inside a run folder."""

from __future__ import annotations

from pathlib import Path


class RunFolder:
    """Paths of a run in the folder ``root``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lock = root / ".lock"
        """Held by the process that works on the run."""
        self.recipe = root / "recipe.yaml"
        """The resolved recipe."""
        self.metrics = root / "metrics.jsonl"
        """One JSON object per line."""
        self.previews = root / "previews"
        """Contact sheets."""
        self.checkpoints = root / "checkpoints"
        """A model folder per kept step."""
        self.stages = root / "stages"
        """The result of each stage before the main training."""
        self.final = root / "final"
        """The trained model."""
