"""Bases inside the package: what `--base` makes of a recipe, and weights that are not installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from graphcond.bases.config import BASES, PACKAGED, packaged_bases
from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.recipe import load_recipe


@pytest.fixture
def emoji(sd2_folder: Path, clip_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A random base in place of the emoji base."""
    folder = tmp_path / "emoji"
    shutil.copytree(sd2_folder, folder)
    shutil.copytree(clip_folder, folder / "clip")
    monkeypatch.setitem(PACKAGED, "emoji", folder)
    return folder


def test_every_folder_belongs_to_a_kind() -> None:
    assert set(packaged_bases()) == set(PACKAGED) <= set(BASES)


def test_emoji_swaps_base_features_and_data(emoji: Path) -> None:
    recipe = load_recipe("instructg2i", base="emoji")
    assert (recipe.base.kind, recipe.data.kind) == ("emoji", "world")
    assert recipe.data.kind == "world"
    assert recipe.data.world == "emoji"
    assert recipe.features.network == "emoji"
    assert recipe.base.folder() == emoji
    own = load_recipe("instructg2i", base="emoji", overrides=["data.path=somewhere"])
    assert (own.data.kind, own.data.resolution) == ("mmag", 64)


def test_its_parts_load(emoji: Path) -> None:
    base = load_recipe("instructg2i", base="emoji").base.build(device=torch.device("cpu"))
    assert base.encode_prompt(["a bell"]).hidden.shape[-1] == base.facts.token_width
    assert ClipExtractor.from_pretrained("emoji").width == 24


def test_weights_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "emoji", tmp_path)
    with pytest.raises(InputError, match="weights of the base 'emoji' are not in") as caught:
        load_recipe("instructg2i", base="emoji")
    assert "scripts/emoji/README.md" in str(caught.value)


def test_scenes_are_refused_and_unknown_bases_get_a_suggestion(emoji: Path) -> None:
    with pytest.raises(InputError, match=r"'emoji' has no world of scenes.*--base tiny"):
        load_recipe("sgcond-i", base="emoji")
    with pytest.raises(InputError, match=r"no base 'emojis' in the package.*emoji"):
        load_recipe("instructg2i", base="emojis")
