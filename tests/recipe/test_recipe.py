"""Recipes: strict, checked as a whole, with errors that name the path and the remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

import graphcond
from graphcond.adapters import PromptTokenConfig
from graphcond.config import ComponentConfig, by_kind
from graphcond.encoders import GraphQFormerConfig
from graphcond.errors import InputError, Notice
from graphcond.recipe import Recipe, find_recipe, load_recipe, parse_recipe, shipped_recipes
from graphcond.recipe.checks import check_signal
from tests.builders import recipe_values
from tests.plugins import write_package
from tests.tiny_checkpoints import write_sd_folder


def complaint(**options: Any) -> str:
    with pytest.raises(InputError) as caught:
        load_recipe("instructg2i", **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("override", "path", "remedy"),
    [
        ("training.stesp=3", "training.stesp: unknown key", "'steps'"),
        ("trianing.steps=3", "trianing: unknown key", "'training'"),
        ("conditions.neighbors.sampler.alpah=0.2", "conditions.0.sampler.alpah: unknown key", "'alpha'"),
        ("conditions.neighbors.sampler.kind=pprr", "conditions.0.sampler.kind: there is no 'pprr'", "'ppr'"),
        ("conditions.neighbors.encoder.kind=graph_former", "conditions.0.encoder.kind", "'graph_qformer'"),
        ("training.steps=abc", "training.steps:", "valid integer"),
        ("training.steps=0", "training.steps:", "greater than 0"),
        ("base.attention=flash", "base.attention:", "'auto', 'sdpa' or 'xformers'"),
        ("guidance.graph.naighbors=2", "guidance.graph: there is no 'naighbors'", "neighbors"),
        ("training.learning_rates.loar=1", "training.learning_rates: there is no 'loar'", "lora"),
        ("training.learning_rates.neighbors.gates=1", "there is no 'neighbors.gates'", "neighbors"),
        ("training.drop={text: 0.5, graph: 0.4, both: 0.2}", "training.drop:", "below 1"),
        ("guidance.start=1.0", "guidance: start must lie before end", "before"),
        ("conditions=[]", "conditions:", "at least 1"),
        ("conditions.neighbors.injector.kind=lora", "conditions.0.injector: 'lora' reads no signal", "top"),
        ("conditions.neighbors.without_graph=none", "conditions.0.without_graph:", "'absent' or 'zeros'"),
    ],
)
def test_bad_settings_name_their_path_and_a_remedy(override: str, path: str, remedy: str) -> None:
    message = complaint(overrides=[override])
    assert path in message
    assert remedy in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.steps", "is not an assignment"),
        ("=3", "is not an assignment"),
        ("conditions.nobody.without_graph=zeros", "there is no 'conditions.nobody'"),
        ("training.steps.more=3", "is a value, not a section"),
        ("name=[", "not YAML"),
    ],
)
def test_bad_assignments(override: str, message: str) -> None:
    assert message in complaint(overrides=[override])


def test_overrides_reach_lists_by_name_and_by_number() -> None:
    recipe = load_recipe(
        "instructg2i",
        overrides=["conditions.neighbors.sampler.alpha=0.3", "conditions.0.without_graph=zeros"],
    )
    assert (recipe.conditions[0].sampler.alpha, recipe.conditions[0].without_graph) == (0.3, "zeros")


def test_a_saved_recipe_loads_as_itself(tmp_path: Path) -> None:
    recipe = Recipe.load("instructg2i", base="tiny", overrides=["training.steps=7"])
    recipe.save(tmp_path / "mine.yaml")
    assert Recipe.load(tmp_path / "mine.yaml") == recipe
    assert recipe.training.steps == 7


def test_a_bare_no_is_a_word() -> None:
    recipe = load_recipe("instructg2i", overrides=["training.mixed_precision=no"])
    assert recipe.training.mixed_precision == "no"


def test_another_kind_starts_from_its_own_defaults() -> None:
    recipe = load_recipe("instructg2i", overrides=["conditions.neighbors.sampler.kind=khop"])
    assert recipe.conditions[0].sampler.kind == "khop"


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
@pytest.mark.parametrize("base", [None, "tiny"])
def test_the_resolved_recipe_reads_back_as_itself(name: str, base: Any) -> None:
    recipe = load_recipe(name, base=base)
    assert parse_recipe(yaml.safe_load(recipe.to_yaml())) == recipe


def test_tiny_swaps_base_features_and_data() -> None:
    recipe = load_recipe("instructg2i", base="tiny")
    assert (recipe.base.kind, recipe.features.kind, recipe.data.kind) == ("tiny", "tiny", "world")
    own = load_recipe("instructg2i", base="tiny", overrides=["data.path=somewhere"])
    assert (own.data.kind, own.data.resolution, own.data.path) == ("mmag", 64, Path("somewhere"))
    world = load_recipe("instructg2i", base="tiny", overrides=["data.paintings_per_artist=10"]).data
    assert (world.kind, world.paintings_per_artist) == ("world", 10)
    assert load_recipe("instructg2i", base="tiny", overrides=["training.steps=5"]).training.steps == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: [", "not YAML"),
        ("name: a\nname: b\n", "'name' is given twice"),
        ("- a\n- b\n", "a recipe is a mapping"),
        ("? [a, list]\n: 1\n", "not YAML: a key is a list or a mapping"),
        ("? {a: mapping}\n: 1\n", "not YAML: a key is a list or a mapping"),
        ("name: 2020-13-45\n", "month must be in 1..12"),
        ("name: " + "[" * 5000, "not YAML: it is nested too deeply"),
        ("name: a\n", "conditions: is missing"),
        ("name: !!python/object/apply:os.system [ls]\n", "not YAML"),
        ("name: a\nconditions: [{name: 'Bad Name'}]\n", "conditions.0.name"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(text)
    with pytest.raises(InputError, match=r"recipe\.yaml") as caught:
        load_recipe(file)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.learning_rate=.inf", "training.learning_rate: expected a finite number"),
        ("training.weight_decay=.nan", "training.weight_decay: expected a finite number"),
        ("guidance.text=.inf", "guidance.text: expected a finite number"),
        ("guidance.graph.neighbors=.nan", "guidance.graph.neighbors: expected a finite number"),
        ("training.seed=99999999999999999999", "training.seed: expected less than"),
        ("conditions.0.sampler.neighbors=1000000000", "neighbors: expected less than"),
        ("data.train_splits=[]", "data.train_splits: tuple should have at least 1 item"),
        ("name=../../elsewhere", "name: string should match"),
    ],
)
def test_values_that_can_mean_nothing(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        load_recipe("instructg2i", base="tiny", overrides=[override])
    assert message in str(caught.value)


@pytest.mark.parametrize("value", ["{[a]: 1}", "2020-13-45", "[" * 5000])
def test_an_override_that_is_not_yaml(value: str) -> None:
    with pytest.raises(InputError, match=r"--set: the value of .*not YAML"):
        load_recipe("instructg2i", overrides=[f"name={value}"])


def test_not_utf8_is_said(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_bytes(b"name: \xff\xfe")
    with pytest.raises(InputError, match="UTF-8"):
        load_recipe(file)


def test_unknown_recipe_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'instructg2i'"):
        find_recipe("instructg2")


def test_a_width_that_does_not_fit_the_base(tmp_path: Path) -> None:
    base = write_sd_folder(tmp_path / "sd")
    values = recipe_values(base)
    values["conditions"][0]["encoder"]["width"] = 17
    with pytest.raises(
        InputError, match=r"conditions\.0\.encoder\.width: the width 17 does not fit.*width 32"
    ):
        parse_recipe(values)


def test_two_conditions_of_one_name(sd_folder: Path) -> None:
    values = recipe_values(sd_folder)
    values["conditions"] *= 2
    with pytest.raises(InputError, match="same name"):
        parse_recipe(values)


def test_a_condition_may_not_take_the_loras_name(sd_folder: Path) -> None:
    values = recipe_values(sd_folder)
    values["conditions"][0]["name"] = "lora"
    with pytest.raises(InputError, match="choose another"):
        parse_recipe(values)


def test_an_injector_must_read_what_the_encoder_gives() -> None:
    class LayoutMap:
        pass

    layout = SimpleNamespace(kind="layout", gives=LayoutMap)
    with pytest.raises(ValueError, match="reads GraphTokens, but the encoder 'layout' gives LayoutMap"):
        check_signal("conditions.0", layout, PromptTokenConfig())
    check_signal("conditions.0", GraphQFormerConfig(), PromptTokenConfig())


def test_the_old_name_of_without_graph_is_read_with_a_notice(tmp_path: Path) -> None:
    file = tmp_path / "old.yaml"
    text = find_recipe("instructg2i").read_text()
    file.write_text(text.replace("without_graph: absent", "null: zeros"))
    with pytest.warns(Notice, match=r"conditions\.neighbors\.null is called without_graph now"):
        assert load_recipe(file).conditions[0].without_graph == "zeros"
    with pytest.warns(Notice, match="without_graph"):
        recipe = load_recipe("instructg2i", overrides=["conditions.neighbors.null=zeros"])
    assert recipe.conditions[0].without_graph == "zeros"


def test_both_names_of_without_graph_are_one_too_many(sd_folder: Path) -> None:
    values = recipe_values(sd_folder)
    values["conditions"][0]["null"] = "zeros"
    with pytest.raises(InputError, match=r"conditions\.0\.null: unknown key"):
        parse_recipe(values)


def test_an_update_may_stand_at_the_top_by_its_kind(sd_folder: Path) -> None:
    values = recipe_values(sd_folder)
    update = {"method": "lokr", "settings": {"r": 4}}
    long = parse_recipe(
        {**values, "adapters": {"fit": {"kind": "difffit"}, "peft": {"kind": "peft", **update}}}
    )
    short = parse_recipe(
        {**values, "adapters": {"fit": {"kind": "difffit"}}, "peft": update, "hypernetwork": None}
    )
    assert short == long
    assert {"peft", "difffit", "hypernetwork"} <= Recipe.model_json_schema()["properties"].keys()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"peft": "lokr"}, "peft: expected an object with keys and values, got 'lokr'"),
        ({"peft": {"method": "lokr", "rank": 4}}, "'rank' is none of kind, method.* settings: {r: 8}"),
        ({"peft": {"method": "pissa"}}, "'pissa' cannot be used: it rewrites the weights of the base"),
        ({"peft": {}, "adapters": {"peft": {"kind": "peft"}}}, "peft: adapters has one of that name"),
        ({"ip_adapter": {}}, "ip_adapter: unknown key"),
    ],
)
def test_wrong_updates_at_the_top(sd_folder: Path, given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_recipe(recipe_values(sd_folder) | given)


def test_schema_knows_every_kind() -> None:
    schema = str(Recipe.model_json_schema())
    for kind in ("semantic_ppr", "graph_qformer", "prompt_tokens", "stable_diffusion"):
        assert f"'{kind}'" in schema
    assert "personalized" in schema.lower()


class _Point:
    def __init__(self, value: Any) -> None:
        self.value, self._loads = "other.package:Thing", value

    def load(self) -> Any:
        if isinstance(self._loads, Exception):
            raise self._loads
        return self._loads


@pytest.mark.parametrize(
    ("loads", "message"),
    [(ImportError("no torch"), "cannot be imported: no torch"), (int, "is not a ComponentConfig")],
)
def test_broken_plugins_are_named(monkeypatch: pytest.MonkeyPatch, loads: Any, message: str) -> None:
    monkeypatch.setattr("graphcond.config.entry_points", lambda group: [_Point(loads)])
    with pytest.raises(InputError, match=r"other\.package:Thing") as caught:
        by_kind((PromptTokenConfig,), "graphcond.injectors")
    assert message in str(caught.value)


def test_plugins_add_kinds_and_may_not_replace_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    from typing import Literal

    class Mine(ComponentConfig):
        kind: Literal["mine"] = "mine"

    monkeypatch.setattr("graphcond.config.entry_points", lambda group: [_Point(Mine)])
    assert set(by_kind((PromptTokenConfig,), "graphcond.injectors")) == {"prompt_tokens", "mine"}
    with pytest.raises(InputError, match="'mine' exists already"):
        by_kind((type("Ours", (Mine,), {}),), "graphcond.injectors")


@pytest.mark.parametrize(
    "similarity", [{}, {"kind": "text_text"}, {"kind": "blend", "similarity": {"kind": "text_image"}}]
)
def test_the_picture_half_of_clip_embeds_no_texts_to_compare(
    sd_folder: Path, similarity: dict[str, Any]
) -> None:
    values = recipe_values(sd_folder, features={"kind": "clip_vision", "model": "half"})
    values["conditions"][0]["sampler"] = {"kind": "semantic_ppr"} | (
        {"similarity": similarity} if similarity else {}
    )
    with pytest.raises(InputError, match=r"conditions.0.sampler: .* embeddings of texts,.*consensus"):
        parse_recipe(values)
    values["conditions"][0]["sampler"]["similarity"] = {"kind": "consensus"}
    parse_recipe(values)


def test_groups_of_parameters_are_named_with_a_dot() -> None:
    override = "training.learning_rates.scene.gates=0.5"
    assert load_recipe("sgcond-vi", overrides=[override]).training.learning_rates == {
        "scene.new": 1e-4,
        "scene.gates": 0.5,
    }
    bare = load_recipe("sgcond-vi", overrides=["training.learning_rates={}", override]).training
    assert bare.learning_rates == {"scene.gates": 0.5}
    with pytest.raises(InputError, match=r"no 'scene.gate'; known are scene, lora, scene.gates, scene.new"):
        load_recipe("sgcond-vi", overrides=["training.learning_rates.scene.gate=0.5"])


GAT_OVER_NEIGHBORS = ["conditions.neighbors.encoder.kind=gat"]


def test_a_graph_network_reads_what_the_sampler_leads_to() -> None:
    neighbors = load_recipe("instructg2i", base="tiny", overrides=GAT_OVER_NEIGHBORS).conditions[0].encoder
    scenes = load_recipe("sgcond-vi", base="tiny").conditions[0].encoder
    assert (neighbors.structure_read(), scenes.structure_read()) == (True, False)
    assert not neighbors.has("predicted_boxes")
    assert scenes.has("predicted_boxes")


@pytest.mark.parametrize(
    ("recipe", "settings", "problem"),
    [
        ("instructg2i", {"predict_boxes": True}, "predict_boxes: neighbors have no places"),
        (
            "instructg2i",
            {"over": "scenes"},
            "over: expected neighbors, which the sampler leads to, got scenes",
        ),
        ("sgcond-vi", {"relations": True}, "relations: is for neighbors"),
        ("sgcond-vi", {"target_text": True}, "target_text: is for neighbors"),
    ],
)
def test_a_setting_of_a_graph_network_is_for_neighbors_or_for_scenes(
    recipe: str, settings: dict[str, Any], problem: str
) -> None:
    name = load_recipe(recipe, base="tiny").conditions[0].name
    overrides = [(f"conditions.{name}.encoder", {"kind": "gat", **settings})]
    with pytest.raises(InputError, match=rf"conditions\.0\.encoder.*{problem}"):
        load_recipe(recipe, base="tiny", overrides=overrides)


def test_the_targets_text_needs_features_that_embed_texts(tmp_path: Path) -> None:
    overrides: list[Any] = [
        ("conditions.neighbors.encoder", {"kind": "gat", "target_text": True}),
        ("conditions.neighbors.sampler", {"kind": "ppr"}),
        ("features", {"kind": "clip_vision", "model": "openai/clip-vit-large-patch14"}),
    ]
    with pytest.raises(
        InputError, match=r"encoder\.target_text: features of kind 'clip_vision' embed no texts"
    ):
        load_recipe("instructg2i", overrides=overrides)


SAMPLER = """
from typing import Literal

from graphcond import KHopSampler, load_recipe
from graphcond.recipe import parse_recipe
from graphcond.samplers import KHopSamplerConfig


class WalkSamplerConfig(KHopSamplerConfig):
    kind: Literal["walk"] = "walk"
"""


@pytest.mark.parametrize("first", ["graphcond.recipe", "walks", "graphcond.model"])
def test_a_plugin_may_import_recipes_at_its_top(tmp_path: Path, first: str) -> None:
    write_package(tmp_path, "walks", SAMPLER, {"graphcond.samplers": "walk = walks:WalkSamplerConfig"})
    source = f"import {first}, graphcond; from graphcond.samplers import SAMPLERS; print('walk' in SAMPLERS)"
    path = os.pathsep.join([str(tmp_path), str(Path(graphcond.__file__).parents[1])])
    done = subprocess.run(
        [sys.executable, "-c", source],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True\n", done.stderr


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("training.compile=true", "base.gradient_checkpointing=true", "compile: .* set one of them to false"),
        ("base.channels_last=true", "training.train_base=true", "channels_last: trained weights cannot"),
    ],
)
def test_settings_of_the_denoiser_that_exclude_each_other(first: str, second: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        load_recipe("instructg2i", overrides=[first, second])
    for one in (first, second):
        load_recipe("instructg2i", overrides=[one])
