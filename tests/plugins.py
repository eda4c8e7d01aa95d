"""Packages of other people, installed for one test."""

from __future__ import annotations

from importlib import invalidate_caches
from pathlib import Path

import pytest

BRIGHTNESS = '''
import numpy as np
from graphcond.evaluation import SampleMetric


class Brightness(SampleMetric):
    """Mean level of a picture, 0..255."""

    name = "brightness"

    def score(self, samples):
        return np.array([np.asarray(picture).mean() for picture in samples.pictures.pictures])
'''
"""A metric that needs no network."""


def install(
    monkeypatch: pytest.MonkeyPatch, folder: Path, module: str, source: str, entries: dict[str, str]
) -> None:
    """Put a package on the path, as pip would.

    Args:
        monkeypatch: takes it away again.
        folder: an empty folder.
        module: the name of its one module.
        source: the text of the module.
        entries: entry point group to ``name = module:object``.
    """
    write_package(folder, module, source, entries)
    monkeypatch.syspath_prepend(str(folder))
    invalidate_caches()


def write_package(folder: Path, module: str, source: str | Path, entries: dict[str, str]) -> None:
    """Write what pip would put into ``folder``; ``source`` may be the folder of a whole package."""
    if isinstance(source, Path):
        (folder / module).symlink_to(source, target_is_directory=True)
    else:
        (folder / f"{module}.py").write_text(source, encoding="utf-8")
    info = folder / f"{module}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = (f"[{group}]\n{entry}\n" for group, entry in entries.items())
    (info / "entry_points.txt").write_text("\n".join(lines))
