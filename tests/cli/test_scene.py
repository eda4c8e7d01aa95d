from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from graphcond.cli.scene import app
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.scenes import read_scenes
from tests.scenes.scenes import SHEEP, shared, write
from tests.training.scenes import scene_condition, scene_recipe


def scene(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_of(*arguments: object) -> str:
    result = scene(*arguments)
    assert isinstance(result.exception, InputError)
    return str(result.exception)


@pytest.mark.parametrize("command", ["show", "inspect", "export"])
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


BOXED = {**SHEEP, "boxes": [[0, 0, 1, 0.5], [0, 0.5, 1, 1], None], "box_format": "xyxy relative"}


def test_one_scene_as_a_prompt(tmp_path: Path) -> None:
    file, out = write(tmp_path / "s.json", BOXED), tmp_path / "out/p.txt"
    printed = scene("export", file, "--to", "flux3", "--prompt", "a photo").stdout
    assert printed.startswith("a photo: a sky <sky_1> above a grass <grass_1>, a sheep standing on")
    assert (
        scene("export", file, "--to", "flux3", "--prompt", "a photo", "--out", out).stdout
        == f"{out}: 1 prompt\n"
    )
    assert out.read_text() == printed
    assert scene("inspect", out, "--json").exit_code == 0


def test_several_scenes_as_prompts(tmp_path: Path) -> None:
    file, out = write(tmp_path / "s.json", [BOXED, BOXED]), tmp_path / "p.jsonl"
    assert "End its name in .jsonl" in error_of("export", file, "--to", "fibo", "--out", tmp_path / "p.json")
    for target in ("flux3", "ideogram4", "fibo", "comfyui"):
        assert scene("export", file, "--to", target, "--out", out).stdout == f"{out}: 2 prompts\n"
        assert json.loads(scene("inspect", out, "--json").stdout)["scenes"] == 2
    alone = scene("export", file, "--to", "fibo", "--index", 1, "--background", "a hill").stdout
    assert json.loads(alone)["background_setting"] == "a hill"


def test_scenes_that_cannot_be_exported(tmp_path: Path) -> None:
    file = write(tmp_path / "s.json", [BOXED, SHEEP])
    assert "flux3" in error_of("export", file, "--to", "flux")
    assert "there is no target 'sdxl'" in error_of("export", file, "--to", "sdxl")
    assert "scene 1: scene: the scene has no boxes" in error_of("export", file, "--to", "comfyui")


def test_boxes_of_a_model(tmp_path: Path, sd_folder: Path, clip_folder: Path) -> None:
    def model(folder: Path, **encoder: object) -> Path:
        condition = scene_condition(encoder={"kind": "triple_gcn", **encoder})
        recipe = scene_recipe(sd_folder, clip_folder, conditions=[condition])
        GraphModel.build(recipe, feature_width=24).save_pretrained(folder)
        return folder

    file, out = write(tmp_path / "s.json", [BOXED, SHEEP]), tmp_path / "p.jsonl"
    placing = model(tmp_path / "placing", predict_boxes=True)
    assert scene("export", file, "--to", "comfyui", "--layout", placing, "--out", out).exit_code == 0
    first, second = read_scenes(out)
    assert first.boxes[:2] == ((0, 0, 1, 0.5), (0, 0.5, 1, 1))
    assert len(first) == len(second) == 3
    assert None not in (*first.boxes, *second.boxes)
    plain = model(tmp_path / "plain")
    assert "no condition of the model predicts boxes" in error_of(
        "export", file, "--to", "comfyui", "--layout", plain
    )
