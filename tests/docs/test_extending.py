"""The pages that say how to add a part: their code, installed as the packages that they describe, works."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from graphcond import InputError, StableDiffusionBase, load_graph
from graphcond.cli import app
from graphcond.evaluation import Networks, PictureSet, Samples, Targets, build_metrics
from graphcond.recipe import find_recipe
from graphcond.scenes import SceneInput
from tests.conformance import test_injectors as suite
from tests.docs.blocks import ROOT, blocks
from tests.plugins import install


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    """Installs the package of a page: its Python, under the entry points of its TOML."""

    def use(page: str) -> Any:
        file = ROOT / "docs" / page
        (points,) = (tomllib.loads(block.text) for block in blocks(file, "toml"))
        entries = {
            group: "\n".join(f"{name} = {target}" for name, target in found.items())
            for group, found in points["project"]["entry-points"].items()
        }
        source = "\n".join(block.text for block in blocks(file, "python"))
        (tmp_path / "site").mkdir()
        install(monkeypatch, tmp_path / "site", "mypackage", source, entries)
        return import_module("mypackage")

    yield use
    sys.modules.pop("mypackage", None)


def test_add_a_metric(installed: Callable[[str], Any]) -> None:
    installed("add-a-metric.md")
    (metric,) = build_metrics(["colorfulness"], Networks())
    gray, red = (PictureSet([Image.new("RGB", (8, 8), color)] * 3) for color in ("gray", "red"))
    targets = Targets(np.arange(3), PictureSet([]), ["a"] * 3)
    samples = (Samples(targets, gray), Samples(targets, red))
    figures = [metric.measure(metric.evidence(one, seed=0), 3, seed=0) for one in samples]
    # Red is 255 from green, and 127.5 from blue: 0.3 of that vector's length.
    assert [figure.mean for figure in figures] == pytest.approx([0, 0.3 * np.hypot(255, 127.5)])


def test_add_a_format(installed: Callable[[str], Any], tmp_path: Path) -> None:
    package = installed("add-a-format.md")
    file = tmp_path / "friends.pairs"
    file.write_text("ann bob\nbob cy\n")
    done = CliRunner().invoke(app, ["data", "build", str(file), "--out", str(tmp_path / "friends")])
    assert done.exit_code == 0, done.output
    graph = load_graph(tmp_path / "friends")
    assert (list(graph.nodes.ids), graph.degrees.tolist()) == (["ann", "bob", "cy"], [1, 2, 1])
    file.write_text("ann bob\nbob\n")
    with pytest.raises(InputError, match="line 2: expected two ids, got 1"):
        load_graph(file)
    words = tmp_path / "a.words"
    words.write_text("sky grass\n")
    assert package.WORDS.signs(SceneInput(words))
    assert package.WORDS.read(SceneInput(words)).scene_set().graphs[0].objects == ("sky", "grass")


INJECTORS = [
    suite.test_construction_touches_nothing,
    suite.test_scale_zero_is_exactly_the_base,
    suite.test_starts_as_the_base,
    suite.test_an_absent_signal_is_exactly_the_base,
    suite.test_one_absent_row_is_the_base_and_leaves_the_other,
    suite.test_eject_restores_bit_for_bit,
    suite.test_only_trainable_parameters_get_gradients,
    suite.test_weights_survive_a_round_trip_and_an_ejection,
    suite.test_gradient_checkpointing_changes_no_gradient,
]


def test_write_an_injector(
    installed: Callable[[str], Any], monkeypatch: pytest.MonkeyPatch, sd_folder: Path, tmp_path: Path
) -> None:
    package = installed("write-an-injector.md")
    monkeypatch.setitem(suite.INJECTORS, "feature_shift", package.FeatureShiftConfig)
    monkeypatch.setitem(suite.INJECTOR_ROWS, "feature_shift", {})
    for check in INJECTORS:
        base = StableDiffusionBase.from_pretrained(str(sd_folder))
        check(base, "feature_shift")
    suite.test_two_stack_in_either_order(base, ("feature_shift", "controlnet"))

    (block,) = blocks(ROOT / "docs/write-an-injector.md", "yaml")
    recipe = yaml.safe_load(find_recipe("instructg2i").read_text())
    recipe["conditions"][0] |= yaml.safe_load(block.text)
    (tmp_path / "shifted.yaml").write_text(yaml.safe_dump(recipe))
    command = [sys.executable, "-m", "graphcond", "recipe", "check", str(tmp_path / "shifted.yaml")]
    path = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "graph_qformer > feature_shift" in done.stdout, done.stderr


def test_write_an_injector_shows_the_example_as_it_is() -> None:
    (block,) = blocks(ROOT / "docs/write-an-injector.md", "python")
    example = (ROOT / "examples/your_own_injector.py").read_text(encoding="utf-8")
    assert block.text[block.text.index("class FeatureShift(") :] in example


def test_add_a_base_shows_the_package_as_it_is() -> None:
    package = ROOT / "examples/your_own_base"
    files = [file for file in package.rglob("*.*") if file.suffix in (".py", ".toml", ".yaml")]
    text = "\n".join(file.read_text(encoding="utf-8") for file in files)
    page = ROOT / "docs/add-a-base.md"
    shown = [block for language in ("python", "toml", "yaml") for block in blocks(page, language)]
    assert len(shown) >= 6
    assert [block.text for block in shown if block.text not in text] == []
