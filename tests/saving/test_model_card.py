"""The README of a saved model names the base that it was trained over."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from graphcond.errors import InputError
from graphcond.io.files import write_json
from graphcond.model import GraphModel
from graphcond.recipe import load_recipe, shipped_recipes
from graphcond.saving.model_card import CardFacts, model_card
from tests.builders import small_model

FAMILIES = ("stable diffusion", "sdxl")


@pytest.mark.parametrize("name", shipped_recipes())
def test_another_base_leaves_no_trace_of_the_first(name: str) -> None:
    """Whatever replaces the base: the tiny one, or a model of the user's own."""
    tiny = model_card(load_recipe(name, base="tiny"))
    assert "the frozen base `tiny`" in tiny
    assert not [family for family in FAMILIES if family in tiny.replace(name, "").lower()]
    own = model_card(load_recipe(name, overrides=["base.model=me/finetuned"]))
    assert "the frozen base `me/finetuned`" in own
    assert not [family for family in FAMILIES if family in own.replace(name, "").lower()]


def metadata(card: str) -> dict[str, Any]:
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


@pytest.mark.parametrize(
    ("base", "named"),
    [("me/finetuned", "me/finetuned"), ("/nowhere/finetuned", None), ("./finetuned", None), (None, None)],
)
def test_the_base_is_named_to_the_hub_if_it_is_there(base: str | None, named: str | None) -> None:
    recipe = load_recipe("instructg2i", base="tiny")
    if base is not None:
        recipe = load_recipe("instructg2i", overrides=[f"base.model={base}"])
    found = metadata(model_card(recipe))
    assert found.get("base_model") == named
    assert found["library_name"] == "graphcond"
    assert found["pipeline_tag"] == "text-to-image"
    assert "base_model" not in metadata(model_card(recipe, own_parts=["base"]))


def test_a_card_survives_loading_and_saving_again(sd_folder: Path, tmp_path: Path) -> None:
    model = small_model(sd_folder)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "sheet.png")
    plain = model_card(model.recipe)
    assert "named no licence" in plain
    assert "license" not in metadata(plain)
    table = "| | graph |\n|---|---|\n| style accuracy | 81 % |"
    model.card = CardFacts({"steps": "5"}, table, "apache-2.0", tmp_path / "sheet.png")
    model.save_pretrained(tmp_path / "model")
    card = (tmp_path / "model/README.md").read_text()
    assert metadata(card)["license"] == "apache-2.0"
    count = sum(p.numel() for p in model.trainable_parameters()["neighbors"].values())
    for line in (f"| trained parameters: neighbors | {count:,} |", "| steps | 5 |", table, "](preview.png)"):
        assert line in card
    again = GraphModel.from_pretrained(tmp_path / "model")
    again.save_pretrained(tmp_path / "again")
    assert (tmp_path / "again/README.md").read_text() == card
    assert (tmp_path / "again/preview.png").read_bytes() == (tmp_path / "sheet.png").read_bytes()
    again.card = replace(again.card, license="mit")
    again.write_card(tmp_path / "again")
    assert (tmp_path / "again/README.md").read_text() == card.replace("license: apache-2.0", "license: mit")
    assert (tmp_path / "again/preview.png").is_file()
    again.card = replace(again.card, preview=tmp_path / "lost.png")
    with pytest.raises(InputError, match=r"lost.png: there is no such picture. Set another preview"):
        again.save_pretrained(tmp_path / "third")
    assert not (tmp_path / "third").exists()


def test_damaged_facts_are_a_sentence(sd_folder: Path, tmp_path: Path) -> None:
    small_model(sd_folder).save_pretrained(tmp_path / "model")
    card = tmp_path / "model/card.json"
    for damage in ({"licence": "mit"}, ["mit"], {"training": 5}, {"evaluation": {}}):
        write_json(card, damage)
        with pytest.raises(InputError, match=r"card.json: the facts for the model card are damaged"):
            GraphModel.from_pretrained(tmp_path / "model")
    card.unlink()  # a model of an earlier version
    assert GraphModel.from_pretrained(tmp_path / "model").card == CardFacts()
