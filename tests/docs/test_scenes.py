"""The Python of docs/scenes.md runs, from drawing a scene to changing one relation of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphcond import GraphModel, load_recipe
from graphcond.features.load import Extractors
from tests.docs.blocks import ROOT, blocks


def test_a_scene_is_drawn_and_one_relation_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("sgcond-iv", base="tiny")
    model = GraphModel.build(recipe, feature_width=Extractors(recipe.features).words.width)
    model.save_pretrained(tmp_path / "outputs/sgcond-iv/final")
    monkeypatch.chdir(tmp_path)
    known: dict[str, Any] = {}
    for block in blocks(ROOT / "docs/scenes.md", "python")[:2]:
        exec(block.compiled(), known)
    assert len(known["both"]) == 2
    mask, edited, picture = (np.asarray(known[name]) for name in ("mask", "edited", "picture"))
    changed = (edited != picture).any(axis=-1)
    assert changed.any()
    assert not changed[mask == 0].any()
    assert (mask == 0).any()
