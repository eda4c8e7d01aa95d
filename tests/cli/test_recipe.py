"""graphcond recipe: what it answers, and that it answers at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from graphcond.cli import main
from graphcond.recipe import find_recipe, load_recipe, shipped_recipes
from graphcond.recipe.load import check_recipe
from tests.builders import small_model
from tests.cli.test_main import run

HEAVY = ("torch", "diffusers", "transformers", "numba", "xformers", "peft")
SECONDS = 1.5
"""Processor time that an answer may take."""


@pytest.fixture(scope="module")
def saved(sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "model"
    small_model(sd_folder).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    "command",
    [
        ["check", "instructg2i"],
        ["check", "sgcond-vii", "--base", "tiny"],
        ["show", "sgcond-iv"],
        ["show", "sgcond-iv", "--resolved"],
        ["show", "MODEL"],
        ["list"],
        ["schema"],
    ],
    ids=" ".join,
)
def test_an_answer_comes_at_once(command: list[str], saved: Path) -> None:
    command = [str(saved) if word == "MODEL" else word for word in command]
    script = (
        "import sys\nfrom graphcond.cli import app\n"
        f"try: app(['recipe', *{command!r}])\nexcept SystemExit as end: assert not end.code, end\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )
    before = os.times()
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    after = os.times()
    assert done.stdout
    assert done.stderr.splitlines()[-1] == "[]"
    assert (
        after.children_user + after.children_system - before.children_user - before.children_system < SECONDS
    )


@pytest.mark.parametrize("name", shipped_recipes())
def test_the_tiny_section_of_a_shipped_recipe_fits(name: str) -> None:
    recipe = check_recipe(name)
    assert recipe.tiny
    assert load_recipe(name, base="tiny").base.kind == "tiny"


def test_settings_of_another_base_are_not_tried_on_the_sections() -> None:
    settings = ["base.model=hub/id", "features.model=hub/id"]
    assert check_recipe("instructg2i-flux2", overrides=settings).base.network == "hub/id"
    assert check_recipe("instructg2i", base="tiny-dit", overrides=["base.tokens=32"]).base.kind == "tiny-dit"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("trianing.stesp: 3", "tiny: trianing: unknown key, did you mean 'training'?"),
        ("training.stesp: 3", "tiny: training.stesp: unknown key, did you mean 'steps'?"),
        ("training.seed: many", "tiny: training.seed: expected a valid integer"),
        ("conditions.scen.encoder.layers: 3", "tiny: there is no 'conditions.scen'. Did you mean 'scene'?"),
        ("conditions.scene.encoder.layer: 3", "tiny: conditions.0.encoder.layer: unknown key"),
    ],
)
def test_a_wrong_tiny_section_is_refused(
    line: str,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(find_recipe("sgcond-iii").read_text().replace("\ntiny:\n", f"\ntiny:\n  {line}\n"))
    monkeypatch.setattr(sys, "argv", ["graphcond", "recipe", "check", str(file)])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert f"{file}: {message}" in capsys.readouterr().err


def test_the_schema_is_one_of_recipes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "recipe.schema.json"
    monkeypatch.setattr(sys, "argv", ["graphcond", "recipe", "schema", "--out", str(out)])
    with pytest.raises(SystemExit):
        main()
    schema = json.loads(out.read_text())
    assert schema["additionalProperties"] is False
    assert {"conditions", "base", "training", "tiny"} <= schema["properties"].keys()
    assert "without_graph" in schema["$defs"]["ConditionConfig"]["properties"]


def test_data_that_are_not_there_are_a_note(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    check = [
        "graphcond",
        "recipe",
        "check",
        "sgcond-i",
        "--set",
        f"data.path={tmp_path / 'scenes'}",
        "--json",
    ]
    note = f"data.path: there is no {tmp_path / 'scenes'} on this machine"
    for there in (False, True):
        monkeypatch.setattr(sys, "argv", check)
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        assert (note in json.loads(capsys.readouterr().out)["notes"]) is not there
        (tmp_path / "scenes").mkdir(exist_ok=True)


@pytest.mark.parametrize(
    ("setting", "found"),
    [("lora.targets=to_q", ["lora", "targets"]), ("data.train_splits=a", ["data", "train_splits"])],
)
def test_one_name_needs_no_brackets(setting: str, found: list[str]) -> None:
    recipe = load_recipe("instructg2i-lora", overrides=[setting])
    assert getattr(getattr(recipe, found[0]), found[1]) == (setting.partition("=")[2],)


def test_show_of_a_file_that_is_not_utf8(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "r.yaml").write_bytes(b"name: \xff")
    assert run(monkeypatch, "recipe", "show", str(tmp_path / "r.yaml")) == 2
    assert "r.yaml: the file is not UTF-8" in capsys.readouterr().err


def test_control_codes_of_a_recipe_are_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = find_recipe("instructg2i").read_text()
    (tmp_path / "r.yaml").write_text(f"# \u202e\n{text}")
    assert run(monkeypatch, "recipe", "show", str(tmp_path / "r.yaml")) == 0
    shown = capsys.readouterr().out
    assert shown == f"# \\u202e\n{text}"
