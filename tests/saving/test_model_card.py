"""The README of a saved model names the base that it was trained over."""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from PIL import Image

from graphcond.adapters import ControlNetConfig, PromptTokenConfig, PromptTokenInjector
from graphcond.condition import Condition
from graphcond.encoders import GraphQFormerConfig, LayoutConfig, TripleGCNConfig
from graphcond.errors import InputError, Notice
from graphcond.features.clip import ClipExtractor
from graphcond.io.files import write_json
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import load_recipe, shipped_recipes
from graphcond.saving.model_card import CardFacts, model_card
from tests.builders import small_base, small_model, small_recipe
from tests.saving.test_composed import STRANGER

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


def example(folder: Path) -> str:
    """The Python of a saved model's card, which opens that folder."""
    (code,) = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(), re.DOTALL)
    return code.replace("path/or/hub-id", str(folder))


def drawn(folder: Path, monkeypatch: pytest.MonkeyPatch, **names: Any) -> str:
    """Run the example of a card, in few steps; returns its last line."""
    code = example(folder)
    work = folder.parent / "work"
    work.mkdir()
    Image.new("RGB", (32, 32), "red").save(work / "neighbor.png")
    monkeypatch.chdir(work)
    exec(code.replace(").images", ", num_inference_steps=2).images"), dict(names))
    assert (work / "picture.png").is_file()
    return code.splitlines()[-1]


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        ("n", 'pipe("a prompt", neighbors=["neighbor.png"])'),
        ("nn", 'neighbors={"neighbors": ["neighbor.png"], "more": ["neighbor.png"]})'),
        ("s", 'pipe("a prompt", scene=SceneGraph(["star", "boat"], [[0, "above", 1]]))'),
        ("ns", 'neighbors=["neighbor.png"], scene=SceneGraph('),
        ("l", ", boxes=[["),
    ],
)
def test_the_example_of_a_card_runs(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kinds: str, shown: str
) -> None:
    base, clip = small_base(sd_folder), ClipExtractor.from_pretrained("tiny")
    parts: dict[str, tuple[Any, Any]] = {
        "n": (GraphQFormerConfig(), PromptTokenConfig()),
        "s": (TripleGCNConfig(), PromptTokenConfig()),
        "l": (LayoutConfig(), ControlNetConfig()),
    }
    conditions = []
    for kind, name in zip(kinds, ("neighbors", "more"), strict=False):
        encoder = parts[kind][0].build(feature_width=clip.width, base=base)
        injector = parts[kind][1].build(signal_width=encoder.signal_width)
        injector.inject(base)
        conditions.append(Condition(name, encoder, injector))
    GraphPipeline.from_parts(base, *conditions, extractor=clip).save_pretrained(tmp_path / "model")
    assert shown in drawn(tmp_path / "model", monkeypatch)


def test_the_example_of_a_model_with_a_recipe_runs(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = GraphModel.build(small_recipe(sd_folder), feature_width=64)
    model.save_pretrained(tmp_path / "model")
    assert 'pipe("a prompt", neighbors=["neighbor.png"])' in drawn(tmp_path / "model", monkeypatch)


@pytest.mark.parametrize("written", [True, False])
def test_the_example_of_a_model_with_parts_of_ones_own_runs(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """Of a class that the file can describe, or of one that it cannot, over a base of one's own."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/stranger.py").write_text(STRANGER)
    monkeypatch.syspath_prepend(tmp_path / "package")
    import stranger

    base, extractor = small_base(sd_folder), ClipExtractor.from_pretrained("tiny")
    network = None if written else torch.nn.Identity()
    encoder = stranger.Mean(extractor.width, token_width=base.facts.token_width, network=network)
    injector = PromptTokenInjector()
    injector.inject(base)
    condition = Condition("neighbors", encoder, injector)
    if written:
        pipe, names = GraphPipeline.from_parts(base, condition, extractor=extractor), {}
    else:
        base.loaded_as = None
        pipe = GraphPipeline(GraphModel(base, [condition], feature_width=extractor.width), extractor)
        names = {"base": small_base(sd_folder), "neighbors_encoder": encoder, "extractor": extractor}
    with nullcontext() if written else pytest.warns(Notice, match="cannot be written"):
        pipe.save_pretrained(tmp_path / "model")
    drawn(tmp_path / "model", monkeypatch, **names)
    card = (tmp_path / "model/README.md").read_text()
    assert ("# neighbors_encoder: a stranger:Mean, which you make first" in card) is not written
    assert ("The consent is for `stranger:Mean`" in card) is written
    sys.modules.pop("stranger")
