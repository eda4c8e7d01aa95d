"""What is wrong with a sweep is said before a row starts, with its place and the nearest name."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from graphcond.adapters.config import INJECTORS, PeftConfig
from graphcond.bases.config import PACKAGED
from graphcond.errors import InputError
from graphcond.recipe import load_recipe
from graphcond.sweep import load_sweep, parse_sweep
from graphcond.sweep.config import shipped_sweeps
from graphcond.sweep.rows import recipe_identity, redrawn, rows_of
from tests.adapters.test_peft import METHODS

PLACE = Path("sweep.yaml")


def resolved(values: dict[str, Any]) -> list[Any]:
    return rows_of(parse_sweep(values, place=PLACE), PLACE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sead": 1}, "sweep.yaml: sead: unknown key, did you mean 'seed"),
        ({"scores": [{"kind": "evaluatoin"}]}, "scores.0.kind: there is no 'evaluatoin', did you mean"),
        ({"scores": [{"kind": "swap", "pears": 3}]}, "scores.0.pears: unknown key, did you mean 'pairs'"),
        ({"verdicts": [{"kind": "order", "metric": "kid"}]}, "verdicts.0.pairs: is missing"),
        ({"rows": [], "recipe": None}, "there are no rows"),
        ({"recipe": None}, "rows.0.recipe: is missing"),
        ({"grid": {"lora.rank": []}}, "grid.lora.rank: it has no values"),
        ({"drawn": {"data.noise": {}}}, "drawn.data.noise: it has no values"),
        ({"drawn": {"training.steps": [1]}}, "drawn.training.steps: nothing is trained for it"),
        (
            {"grid": {"data.noise": [0]}, "drawn": {"data.noise": [0]}},
            "drawn.data.noise: is in the grid, too",
        ),
        ({"curves": "data.noise"}, "curves: neither grid nor drawn has 'data.noise'"),
        (
            {"drawn": {"guidance.text": [0, 2]}, "curves": "guidance.text"},
            "curves: 'guidance.text' has 0; use numbers above 0",
        ),
        ({"scores": [{"kind": "time", "repeats": 1}]}, "scores.0.repeats: expected greater than or equal"),
        ({"seeds": [1, 1]}, "seeds: one is given twice"),
        ({"seeds": []}, "seeds: "),
        ({"model": "somewhere"}, "the rows of a model have no recipe"),
        ({"model": "somewhere", "recipe": None, "scores": []}, "no score draws with it"),
    ],
)
def test_what_no_sweep_can_say(values: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_sweep(values | change, place=PLACE)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set": {"training.stebs": 2}}, "(tokens): training.stebs: unknown key, did you mean 'steps'"),
        ({"grid": {"lora.rank": [4, "many"]}}, "rows.0 (rank=many, tokens): lora.rank"),
        ({"rows": [{"name": "a", "recipe": "instructg2j"}]}, "no such recipe. Give a YAML file, or did"),
        ({"rows": [{"name": "a"}, {"name": "a"}]}, "two rows are named 'a'"),
        ({"reference": "token"}, "there is no row 'token'. Did you mean 'tokens'?"),
        ({"seed_keys": ["training.sead"]}, "training.sead: unknown key"),
    ],
)
def test_every_row_is_resolved_first(values: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        resolved(values | change)
    assert message in str(caught.value)
    assert str(caught.value).startswith("sweep.yaml")


def test_rows_are_all_combinations(values: dict[str, Any]) -> None:
    rows = resolved(
        values
        | {
            "grid": {
                "conditions.neighbors.sampler.neighbors": {"few": 2, "many": 8},
                "training.learning_rate": [1.0e-3],
            },
            "seeds": [3, 4],
        }
    )
    assert [row.name for row in rows[:4]] == [
        "few, learning_rate=0.001, tokens, seed 3",
        "few, learning_rate=0.001, tokens, seed 4",
        "few, learning_rate=0.001, gates, seed 3",
        "few, learning_rate=0.001, gates, seed 4",
    ]
    assert len(rows) == 8
    last = rows[-1].recipe
    assert (last.conditions[0].sampler.neighbors, last.training.seed) == (8, 4)
    assert last.conditions[0].injector.kind == "gated_self_attention"
    assert rows[-1].labels == {
        "conditions.neighbors.sampler.neighbors": "many",
        "training.learning_rate": "learning_rate=0.001",
        "row": "gates",
    }


def test_a_seed_may_be_that_of_a_base(values: dict[str, Any]) -> None:
    base = {"base.kind": "stable_diffusion", "base.model": "bases/{seed}"}
    rows = resolved(values | {"set": values["set"] | base, "seeds": [3, 4], "rows": []})
    assert [(row.recipe.base.model, row.recipe.training.seed) for row in rows] == [
        ("bases/3", 3),
        ("bases/4", 4),
    ]
    assert {row.group for row in rows} == {"small"}, "the seeds of a row are one line of the table"


def test_axes_that_end_alike_are_written_in_full(values: dict[str, Any]) -> None:
    grid = {"data.seed": [1], "training.seed": [2], "conditions.neighbors.injector.kind": ["prompt_tokens"]}
    row = resolved(values | {"grid": grid, "rows": []})[0]
    assert row.group == "data.seed=1, training.seed=2, injector=prompt_tokens"


def test_sections_are_not_shared_between_rows(values: dict[str, Any]) -> None:
    """A row that changes a part of a section must not change it for the next one."""
    values["set"]["lora"] = {"rank": 2}
    values["rows"] = [{"name": "a", "set": {"lora.alpha": 9.0}}, {"name": "b"}]
    first, second = resolved(values)
    assert (first.recipe.lora.alpha, second.recipe.lora.alpha) == (9.0, None)


def test_a_recipe_beside_the_file(values: dict[str, Any], tmp_path: Path) -> None:
    load_recipe("instructg2i", overrides=["description=mine"]).save(tmp_path / "own.yaml")
    (tmp_path / "s.yaml").write_text("name: s\nrecipe: own.yaml\n")
    config, place = load_sweep(tmp_path / "s.yaml")
    assert rows_of(config, place)[0].recipe.description == "mine"


def test_no_such_sweep_and_no_mapping(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such sweep"):
        load_sweep("rank-and-injektor")
    (tmp_path / "list.yaml").write_text("- a\n")
    with pytest.raises(InputError, match="a sweep is a mapping"):
        load_sweep(tmp_path / "list.yaml")
    (tmp_path / "twice.yaml").write_text("name: a\nname: b\n")
    with pytest.raises(InputError, match=r"twice.yaml:2: .* 'name' is given twice"):
        load_sweep(tmp_path / "twice.yaml")


@pytest.mark.parametrize("name", sorted(shipped_sweeps()))
def test_shipped_sweeps_resolve(name: str) -> None:
    config, place = load_sweep(name)
    assert config.name == name
    assert not [row.name for row in config.rows if "," in row.name]  # `bench --only` separates them so
    model = None
    if config.model is not None:
        model = load_recipe(config.model.recipe, base=config.base, overrides=config.set.items())  # type: ignore[union-attr]
    assert rows_of(config, place, model=model)


def test_every_injector_and_method_of_peft_is_compared() -> None:
    """At equal steps over equal batches, each on the world whose signal it reads."""
    shipped = [load_sweep(name) for name in ("injectors", "scene-injectors", "references")]
    recipes = [[row.recipe for row in rows_of(*sweep)] for sweep in shipped]
    assert {(r.training.steps, r.training.batch_size) for r in recipes[0]} == {(150, 16)}
    parts = [
        part
        for recipe in chain(*recipes)
        for part in (*(one.injector for one in recipe.conditions), *recipe.updates.values())
    ]
    assert {part.kind for part in parts} == set(INJECTORS)
    methods = [part.method for part in parts if isinstance(part, PeftConfig)]
    assert {*methods, "lora"} == set(METHODS)
    assert any(recipe.training.train_base for recipe in recipes[0])


def test_a_model_draws_with_other_samplers_only() -> None:
    model = load_recipe("instructg2i", base="tiny")
    settings = {"conditions.neighbors.sampler": {"kind": "ppr"}, "guidance.text": 1.0, "data.seed": 4}
    other = redrawn(model, settings)
    assert other.conditions[0].sampler.kind == "ppr"
    for settings in (
        {"conditions.neighbors.encoder.layers": 1},
        {"lora": {"rank": 2}},
        {"base.dtype": "bf16"},
        {"conditions.neighbors.without_graph": "zeros"},
    ):
        with pytest.raises(InputError, match=r"the model is trained with another|unknown key"):
            redrawn(model, settings)


def test_a_row_follows_from_a_clip_of_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PACKAGED, "emoji", tmp_path)
    settings = {"features.kind": "clip", "features.model": "emoji"}
    recipe = load_recipe("instructg2i", base="tiny", overrides=settings.items())
    found = set()
    for content in (b"old", b"newer"):
        (tmp_path / "model.safetensors").write_bytes(content)
        found.add(recipe_identity(recipe, "data"))
    assert len(found) == 2


def test_an_exam_changes_what_rows_are_scored_with(values: dict[str, Any]) -> None:
    plain, examined = resolved(values)[0], resolved(values | {"exam": {"data.noise": 0.6}})[0]
    assert plain.scored_as is plain.recipe
    assert examined.recipe == plain.recipe
    assert (examined.recipe.data.noise, examined.scored_as.data.noise) == (plain.recipe.data.noise, 0.6)
    config = parse_sweep(values | {"exam": {"data.noise": 0.6}})
    assert config.tables(Path("out")) == Path("out/exams/data.noise=0.6")
    assert parse_sweep(values).tables(Path("out")) == Path("out")


def test_rows_are_trained_once_and_drawn_in_several_ways(values: dict[str, Any]) -> None:
    drawn = {"data.noise": {"clean": 0.0, "hard": 0.6}}
    rows = resolved(values | {"drawn": drawn, "seeds": [0, 1]})
    assert [row.name for row in rows[:3]] == [
        "clean, tokens, seed 0",
        "clean, tokens, seed 1",
        "clean, gates, seed 0",
    ]
    assert {row.trained_as: row.recipe.data.noise for row in rows} == {
        f"{name}, seed {seed}": 0.5 for name in ("tokens", "gates") for seed in (0, 1)
    }
    assert [row.scored_as.data.noise for row in rows] == 4 * [0.0] + 4 * [0.6]
    with pytest.raises(InputError, match="drawn: the model is trained with another 'conditions'"):
        resolved(values | {"drawn": {"conditions.neighbors.encoder.freeze_text": [False]}})


@pytest.mark.parametrize(
    ("exam", "problem"),
    [
        ({"lora.rank": 2}, "exam: the model is trained with another 'lora'"),
        ({"data.noize": 0.6}, "exam: .*unknown key"),
        ({"training.steps": 3}, "exam.training.steps: nothing is trained for it"),
    ],
)
def test_an_exam_that_would_need_a_training(
    exam: dict[str, Any], problem: str, values: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=problem):
        resolved(values | {"exam": exam})
