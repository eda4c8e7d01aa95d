from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from graphcond.cli.scene import app
from graphcond.errors import InputError
from tests.scenes.scenes import SHEEP, shared, write


def scene(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_of(*arguments: object) -> str:
    result = scene(*arguments)
    assert isinstance(result.exception, InputError)
    return str(result.exception)


@pytest.mark.parametrize("command", ["show", "inspect"])
def test_help_shows_an_example(command: str) -> None:
    assert f"graphcond scene {command} " in scene(command, "--help").output


def test_one_scene_with_boxes_and_a_sheet(tmp_path: Path) -> None:
    boxed = {**SHEEP, "boxes": [[0, 0, 1, 0.5], None, None], "box_format": "xyxy relative"}
    out = tmp_path / "out/graph.png"
    result = scene("show", write(tmp_path / "s.json", boxed), "--out", out, "--size", 200)
    assert (result.exit_code, result.output) == (0, f"{out}: 1 scene\n")
    with Image.open(out) as picture:
        assert picture.size == (400, 200)
    many = write(tmp_path / "m.json", [SHEEP] * 26)
    assert scene("show", many, "--out", out).output.endswith("24 scenes of 26 (choose others with --index)\n")
    with Image.open(out) as picture:
        assert min(picture.size) > 1000
    assert scene("show", many, "--out", out, "--index", 25).output == f"{out}: 1 scene\n"
    assert [path.name for path in out.parent.iterdir()] == ["graph.png"]


def test_a_sheet_shows_boxes_too(tmp_path: Path) -> None:
    def width(**more: object) -> int:
        out = tmp_path / "sheet.png"
        scene("show", write(tmp_path / "s.json", [SHEEP, {**SHEEP, **more}]), "--out", out)
        with Image.open(out) as picture:
            return picture.width

    assert width(boxes=[[0, 0, 1, 0.5], None, None], box_format="xyxy relative") > width() + 400


def test_what_cannot_be_shown(tmp_path: Path) -> None:
    file = write(tmp_path / "s.json", [SHEEP])
    out = tmp_path / "graph.png"
    assert "there is no scene 3" in error_of("show", file, "--out", out, "--index", 3)
    assert "'graph.jpg' is not a PNG file" in error_of("show", file, "--out", tmp_path / "graph.jpg")
    assert "no such file" in error_of("show", tmp_path / "gone.json", "--out", out)
    write(tmp_path / "bad.json", {"objects": ["sky"], "relationships": [[0, "by", 1]]})
    assert "bad.json: relationships[0]: points to object 1" in error_of(
        "show", tmp_path / "bad.json", "--out", out
    )
    assert not out.exists()


def test_inspect(tmp_path: Path) -> None:
    file = write(tmp_path / "s.json", [SHEEP, {**SHEEP, "image": "gone.png"}])
    result = json.loads(scene("inspect", file, "--json").stdout)
    assert (result["scenes"], result["object_classes"], result["notes"]) == (
        2,
        3,
        [f"1 scene has no picture in {tmp_path}"],
    )
    table = scene("inspect", file).output
    assert "6 of 3 classes" in table
    assert "note: 1 scene has no picture" in table


def test_the_papers_scenes(tmp_path: Path) -> None:
    assert scene("show", shared("figure_5_vg.json"), "--out", tmp_path / "g.png").exit_code == 0
    assert "10" in scene("inspect", shared("sgcond_boxes.json")).output
