"""The measures of scripts/house.py, each on a package of a few lines."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from scripts import house


def package_with(folder: Path, **texts: str) -> Path:
    """A package with one module for each text; ``data__open`` is ``data/open.py``."""
    package = folder / "graphcond"
    for name, text in texts.items():
        file = package / f"{name.replace('__', '/')}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text))
    return package


def found(places: list[house.Place]) -> list[tuple[str, int, str]]:
    return sorted((place.file.stem, place.line, place.what) for place in places)


def test_root_modules_are_the_modules_in_no_room(tmp_path: Path) -> None:
    package = package_with(tmp_path, model="", data__open="")
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text("")
    assert found(house.root_modules(package)) == [("model", 1, "model")]


def test_single_callers_are_private_and_named_once(tmp_path: Path) -> None:
    text = """
        class A:
            def _method(self): return _twice() + _twice()
            def __len__(self): return self._method()
        def _twice(): return 1
        def _never(): return 1
        def _handed_over(): return 1
        def public(): return map(_handed_over, [])
    """
    package = package_with(tmp_path, model=text)
    assert found(house.single_callers(package)) == [("model", 3, "_method"), ("model", 7, "_handed_over")]


@pytest.mark.parametrize(
    "test",
    [
        "isinstance(data, SceneSet)",
        "isinstance(given, str | NeighborFeatures)",
        "issubclass(config, (int, SceneSamplerConfig))",
        "sampler.makes is not SceneContext",
        "isinstance(config, WorldData)",
    ],
)
def test_a_kind_test_names_a_class_of_one_world(tmp_path: Path, test: str) -> None:
    package = package_with(tmp_path, model=f"a = {test}")
    assert found(house.kind_tests(package)) == [("model", 1, test)]


def test_a_match_on_a_class_of_one_world_is_a_kind_test(tmp_path: Path) -> None:
    package = package_with(tmp_path, model="match data:\n    case SceneSet():\n        pass")
    assert [place.line for place in house.kind_tests(package)] == [2]


@pytest.mark.parametrize(
    "test",
    [
        "isinstance(signal, GraphTokens)",
        "isinstance(found, GraphFormat)",
        "isinstance(x, str)",
        "a is None",
        "kind is SceneFormat.COCO",
        "SceneSet(a)",
    ],
)
def test_other_tests_and_uses_are_not_kind_tests(tmp_path: Path, test: str) -> None:
    assert house.kind_tests(package_with(tmp_path, model=f"a = {test}")) == []


def test_concrete_bases_are_counted_outside_their_room_and_the_facade(tmp_path: Path) -> None:
    text = """
        from graphcond.bases import StableDiffusionBase
        def f(base: StableDiffusionBase, model, extractor):
            return base.unet, model.base.tokenizer, extractor.tokenizer, base.facts
    """
    package = package_with(tmp_path, model=text, bases__stable_diffusion=text, __init__=text)
    assert found(house.concrete_bases(package)) == [
        ("model", 3, "StableDiffusionBase"),
        ("model", 4, "base.unet"),
        ("model", 4, "model.base.tokenizer"),
    ]


def test_imports_are_seen_wherever_they_stand(tmp_path: Path) -> None:
    text = """
        def f():
            from graphcond.cli import x
            import graphcond.training.trainer
        from graphcond import errors
    """
    package = package_with(tmp_path, model=text)
    assert house.imported_rooms(package / "model.py") == {"errors": 5, "cli": 3, "training": 4}
    assert [place.what for place in house.forbidden_imports(package / "model.py", package)] == [
        "model must not import cli",
        "model must not import training",
    ]


@pytest.mark.parametrize(
    ("module", "other"), [("samplers__a", "encoders"), ("worlds__a", "signals"), ("errors", "recipe")]
)
def test_an_import_that_the_layers_forbid_is_found(tmp_path: Path, module: str, other: str) -> None:
    package = package_with(tmp_path, **{module: f"from graphcond.{other} import x"})
    room = module.split("__")[0]
    assert [place.what for place in house.upward_imports(package)] == [f"{room} must not import {other}"]


def test_a_room_of_which_the_layers_do_not_know_is_found(tmp_path: Path) -> None:
    package = package_with(tmp_path, attic="")
    assert [place.what for place in house.upward_imports(package)] == [
        "the room 'attic' is missing from LAYERS"
    ]
