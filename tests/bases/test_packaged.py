"""Bases inside the package: what `--base` makes of a recipe, and weights that are not installed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from graphcond.bases.config import BASES, PACKAGED, packaged_bases
from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.recipe import load_recipe
from graphcond.worlds import EmojiWorld
from graphcond.worlds.emoji.world import PICTURES


def test_every_folder_belongs_to_a_kind() -> None:
    assert set(packaged_bases()) == set(PACKAGED) <= set(BASES)


@pytest.mark.parametrize("name", sorted(PACKAGED))
def test_what_ships_does_not_name_the_machine_that_made_it(name: str) -> None:
    files = [*PACKAGED[name].rglob("*config.json"), *PACKAGED[name].rglob("model_index.json")]
    assert len(files) > 5
    for file in files:
        assert '_path": "/' not in file.read_text(encoding="utf-8"), file


def test_emoji_swaps_base_features_and_data() -> None:
    recipe = load_recipe("instructg2i", base="emoji")
    assert (recipe.base.kind, recipe.data.kind) == ("emoji", "world")
    assert recipe.data.kind == "world"
    assert recipe.data.world == "emoji"
    assert recipe.features.network == "emoji"
    assert recipe.base.folder() == PACKAGED["emoji"]
    own = load_recipe("instructg2i", base="emoji", overrides=["data.path=somewhere"])
    assert (own.data.kind, own.data.resolution) == ("mmag", 64)


def test_any_recipe_goes_onto_the_transformer() -> None:
    recipe = load_recipe("instructg2i", base="tiny-dit")
    assert (recipe.base.kind, recipe.features.kind) == ("tiny-dit", "tiny")
    assert recipe.data.kind == "world"
    assert recipe.data.world == "art"
    assert not recipe.conditions[0].encoder.needs_text_tower  # as `init: clip` of the section `tiny` does
    scenes = load_recipe("sgcond-i", base="tiny-dit")
    assert scenes.data.kind == "world"
    assert scenes.data.world == "scenes"
    with pytest.raises(InputError, match="'controlnet' needs sites"):
        load_recipe("sgcond-iv", base="tiny-dit")


def test_the_transformer_is_small() -> None:
    folder = PACKAGED["tiny-dit"]
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 12e6


def test_what_ships_of_emoji_is_small_and_credited() -> None:
    folder = PACKAGED["emoji"]
    assert (folder / "CREDITS.md").read_bytes() == PICTURES.with_name("CREDITS.md").read_bytes()
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 25e6


def test_its_clip_shares_the_text_half_and_tells_held_out_pictures() -> None:
    base = load_recipe("instructg2i", base="emoji").base.build(device=torch.device("cpu"))
    clip, world = ClipExtractor.from_pretrained("emoji"), EmojiWorld()
    tokens = clip.tokenizer(["bell by noto"], padding="max_length", return_tensors="pt").input_ids
    states = clip.model.text_model(input_ids=tokens).last_hidden_state
    torch.testing.assert_close(states, base.encode_prompt(["bell by noto"]).hidden, rtol=1e-3, atol=1e-3)
    nodes = world.nodes()
    rows = nodes.in_split("test").tolist()
    pictures, subjects = [world.draw(row) for row in rows], sorted(set(nodes.attributes["subject"]))
    found, named = (
        normalize(torch.from_numpy(array), dim=-1)
        for array in (clip.embed_pictures(pictures), clip.embed_texts(subjects))
    )
    told = [subjects[place] for place in (found @ named.T).argmax(1).tolist()]
    right = [nodes.attributes["subject"][row] == name for row, name in zip(rows, told, strict=True)]
    assert np.mean(right) > 0.4  # of 227


def test_weights_that_are_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "emoji", tmp_path)
    with pytest.raises(InputError, match="weights of the base 'emoji' are not in") as caught:
        load_recipe("instructg2i", base="emoji")
    assert "scripts/emoji/README.md" in str(caught.value)


def test_scenes_are_refused_and_unknown_bases_get_a_suggestion() -> None:
    with pytest.raises(InputError, match=r"'emoji' has no world of scenes.*--base tiny"):
        load_recipe("sgcond-i", base="emoji")
    with pytest.raises(InputError, match=r"no base 'emojis' in the package.*emoji"):
        load_recipe("instructg2i", base="emojis")
