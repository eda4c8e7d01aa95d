"""Every config of a part: it imports nothing heavy, and its class takes what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from inspect import Parameter, signature
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from torch import nn

from graphcond.adapters import INJECTORS, Injector
from graphcond.adapters.config import InjectorFields
from graphcond.bases import BASES
from graphcond.config import ComponentConfig, by_kind
from graphcond.context import SceneFeatures
from graphcond.encoders import ENCODERS, Encoder, EncoderFields, TripleTransformerConfig
from graphcond.errors import InputError
from graphcond.objectives import OBJECTIVES, LayoutObjectiveConfig, TripleContrastConfig
from graphcond.samplers import SAMPLERS
from graphcond.samplers.similarity.config import SIMILARITIES
from graphcond.signals import LayoutMap
from tests.plugins import write_package

HEAVY = {"torch", "diffusers", "transformers", "numba", "xformers", "peft"}

ALL = [
    pytest.param(config, id=f"{config.__module__.split('.')[1]}-{kind}")
    for kinds in (SAMPLERS, SIMILARITIES, ENCODERS, INJECTORS, OBJECTIVES)
    for kind, config in kinds.items()
]


def loaded_by(code: str) -> set[str]:
    """Heavy libraries that a fresh interpreter has loaded after ``code``."""
    script = f"import sys\n{code}\nprint('\\n' + ' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return HEAVY & set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "code",
    [
        "import graphcond",
        "import graphcond; graphcond.load_recipe('instructg2i')",
        "import graphcond; graphcond.load_recipe('sgcond-vi', base='tiny')",
    ],
)
def test_reading_a_recipe_loads_nothing_heavy(code: str) -> None:
    assert loaded_by(code) == set()


def test_the_test_sees_what_is_loaded() -> None:
    assert loaded_by("import torch") == {"torch"}


@pytest.mark.parametrize("config", ALL)
def test_what_a_config_gives_by_default_is_what_its_class_does_by_default(
    config: type[ComponentConfig],
) -> None:
    parameters = signature(config.component_class()).parameters
    for name, field in config.model_fields.items():
        parameter = parameters.get(name)
        if parameter is None or parameter.default is Parameter.empty or field.is_required():
            continue
        ours = field.get_default(call_default_factory=True)
        assert parameter.default == (ours or parameter.default), name


@pytest.mark.parametrize("config", ENCODERS.values(), ids=ENCODERS)
def test_an_encoder_is_what_its_config_declares(config: type[EncoderFields]) -> None:
    encoder: type[Encoder[Any, Any]] = config.component_class()
    assert issubclass(encoder.reads, config.reads)
    assert encoder.gives is config.gives
    asked = {objective.asks for objective in OBJECTIVES.values()}
    assert {name for name in asked if hasattr(encoder, name)} == config.offers


@pytest.mark.parametrize("config", INJECTORS.values(), ids=INJECTORS)
def test_an_injector_is_what_its_config_declares(config: type[InjectorFields]) -> None:
    assert config.component_class().reads is config.reads


@pytest.mark.parametrize("config", SAMPLERS.values(), ids=SAMPLERS)
def test_a_sampler_is_what_its_config_declares(config: Any) -> None:
    sampler = config.component_class()
    assert sampler.makes is config.makes
    assert getattr(sampler, "averages", False) is getattr(config, "averages", False)


@pytest.mark.parametrize("config", SIMILARITIES.values(), ids=SIMILARITIES)
def test_a_similarity_is_what_its_config_declares(config: Any) -> None:
    assert config.component_class().needs_candidates is config.needs_candidates


@pytest.mark.parametrize("config", BASES.values(), ids=BASES)
def test_the_class_of_a_base_is_found(config: type[ComponentConfig]) -> None:
    assert isinstance(config.component_class(), type)


class _Point:
    value = "other.package:Thing"

    def __init__(self, config: type[ComponentConfig]) -> None:
        self._config = config

    def load(self) -> type[ComponentConfig]:
        return self._config


def test_a_plugin_may_leave_its_declarations_to_its_class(monkeypatch: pytest.MonkeyPatch) -> None:
    class Boxes(nn.Module):
        reads = SceneFeatures
        gives = LayoutMap

        def predicted_boxes(self) -> None:
            """What the objective ``layout`` asks for."""

    class BoxesConfig(ComponentConfig):
        component: ClassVar[Any] = Boxes
        kind: Literal["boxes"] = "boxes"

    monkeypatch.setattr("graphcond.config.entry_points", lambda group: [_Point(BoxesConfig)])
    config: Any = by_kind((TripleTransformerConfig,), "graphcond.encoders", EncoderFields)["boxes"]
    assert (config.reads, config.gives) == (SceneFeatures, LayoutMap)
    assert config().has(LayoutObjectiveConfig.asks)
    assert not config().has(TripleContrastConfig.asks)
    assert isinstance(config().make(), Boxes)


def test_a_plugin_keeps_what_its_config_declares(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other(Injector[Any]):
        reads = LayoutMap

    class OtherConfig(InjectorFields):
        component: ClassVar[Any] = Other
        reads = None
        kind: Literal["other"] = "other"

    monkeypatch.setattr("graphcond.config.entry_points", lambda group: [_Point(OtherConfig)])
    assert by_kind((), "graphcond.injectors", InjectorFields)["other"].reads is None  # type: ignore[attr-defined]


PACKAGE = """
from typing import Literal
from graphcond.adapters import InjectorFields
from graphcond.bases import BaseFields
from graphcond.encoders import EncoderFields
from graphcond.objectives import ObjectiveConfig
from graphcond.samplers import NeighborSamplerConfig

class MySampler(NeighborSamplerConfig):
    kind: Literal["mine"] = "mine"

class MyEncoder(EncoderFields):
    kind: Literal["mine"] = "mine"

class MyInjector(InjectorFields):
    kind: Literal["mine"] = "mine"

class MyBase(BaseFields):
    sites = frozenset({"block"})
    kind: Literal["mine"] = "mine"

class MyObjective(ObjectiveConfig):
    kind: Literal["mine"] = "mine"
"""


def test_a_package_may_be_imported_before_graphcond(tmp_path: Path) -> None:
    rooms = {name: f"graphcond.{name}s" for name in ("sampler", "encoder", "injector", "base", "objective")}
    entries = {group: f"mine = mypackage:My{name.capitalize()}" for name, group in rooms.items()}
    write_package(tmp_path, "mypackage", PACKAGE, entries)
    script = (
        "import mypackage; from graphcond.adapters import INJECTORS; from graphcond.bases import BASES;"
        "from graphcond.encoders import ENCODERS; from graphcond.objectives import OBJECTIVES;"
        "from graphcond.samplers import SAMPLERS; from graphcond.recipe import Recipe;"
        "print(all('mine' in one for one in (INJECTORS, BASES, ENCODERS, OBJECTIVES, SAMPLERS)))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


BOUNDED = [
    pytest.param(config, name, id=f"{kind}-{name}")
    for kinds in (SAMPLERS, ENCODERS, INJECTORS)
    for kind, config in kinds.items()
    for name, field in config.model_fields.items()
    if field.annotation in (int, float, int | None, float | None)
    and name in signature(config.component_class()).parameters
]


@pytest.mark.parametrize(("config", "name"), BOUNDED)
@pytest.mark.parametrize("wrong", ["5", True, -1, float("nan"), np.float32("inf"), np.array("5")])
def test_a_number_is_checked_in_python_as_in_a_recipe(
    config: type[ComponentConfig], name: str, wrong: Any
) -> None:
    """Before anything else that the class is given is looked at."""
    component = config.component_class()
    needed = {
        parameter.name: None
        for parameter in signature(component).parameters.values()
        if parameter.default is Parameter.empty
    }
    with pytest.raises(InputError, match=rf"{component.__name__}, {name}: expected .*, got .* Correct that"):
        component(**needed | {name: wrong})
