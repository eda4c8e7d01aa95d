"""graphcond generate, as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.cli.generate import _draw, _sheet
from graphcond.errors import InputError, StorageError
from graphcond.features.clip import ClipExtractor
from graphcond.scene_graph import Box, SceneGraph

MONET = Path(__file__).parents[2] / "../shared/data/monet/train"


class Drawn:
    """What a pipeline gives back."""

    def __init__(self, images: list[Any]) -> None:
        self.images = images


def draws_in_two_steps(prompt: str, graphs: Any, *, scene: Any, on_step: Any, **options: Any) -> Drawn:
    """A pipeline that only counts."""
    for step in (1, 2):
        on_step(step, 2)
    return Drawn(list(scene or ["alone"]))


def run(model: Path, out: Path, *args: Any) -> dict[str, Any]:
    result = CliRunner().invoke(
        app,
        ["generate", str(model), "--steps", "2", "--out", str(out), "--json", *map(str, args)],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.strip().splitlines()[-1])


def complaint(model: Path, *args: Any) -> str:
    with pytest.raises((InputError, StorageError)) as caught:
        CliRunner().invoke(
            app, ["generate", str(model), "--steps", "1", *map(str, args)], catch_exceptions=False
        )
    return str(caught.value)


@pytest.mark.parametrize(("scenes", "steps"), [(0, 2), (8, 2), (9, 4), (20, 6)])
def test_one_bar_counts_the_steps_of_all_scenes(scenes: int, steps: int) -> None:
    seen: list[tuple[str, int, int]] = []
    graphs = [SceneGraph((f"star {number}",)) for number in range(scenes)]
    pictures = _draw(
        cast(Any, draws_in_two_steps),
        "",
        [],
        graphs,
        lambda task: lambda done, total: seen.append((task, done, total)),
        seed=0,
    )
    assert pictures == (graphs or ["alone"])
    assert seen == [("drawing (steps)", step, steps) for step in range(1, steps + 1)]


def test_a_sheet_has_room_for_boxes_and_for_many_objects() -> None:
    plain, boxed = SceneGraph(("star",)), SceneGraph(("star",), boxes=(Box(0, 0, 0.5, 0.5),))
    crowd = SceneGraph(tuple(f"star {n}" for n in range(30)))
    pictures = [Image.new("RGB", (64, 64))] * 2
    small, wide = _sheet([plain] * 2, pictures), _sheet([plain, boxed], pictures)
    large = _sheet([plain, crowd], pictures)
    assert 2 * 256 < small.width < 3 * 256 < wide.width
    assert 2 * 256 < small.height == wide.height < 2 * 640 < large.height


def test_neighbors_from_files(model: Path, paintings: Path, tmp_path: Path) -> None:
    files = sorted(paintings.glob("*.png"))
    made = run(
        model, tmp_path / "a.png", "--prompt", "a star", "--neighbors", *files[:2], "--neighbors", files[2]
    )
    assert made["graphs"] == 2
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size == (64, 64)
        assert json.loads(picture.text["graphcond"])["prompt"] == "a star"
    run(model, tmp_path / "b.png", "--prompt", "a star", "--neighbors", *files[:2], "--neighbors", files[2])
    assert (tmp_path / "a.png").read_bytes() != b""
    assert Image.open(tmp_path / "a.png").tobytes() == Image.open(tmp_path / "b.png").tobytes()


def test_settings_of_guidance_save_predictions(model: Path, paintings: Path, tmp_path: Path) -> None:
    """Two steps of three predictions; two measurements in one step of two; no graph, no third one."""
    out, asked = tmp_path / "a.png", ("--prompt", "a star", "--neighbors", paintings / "p 0.png")
    assert run(model, out, *asked)["predictions"] == 6
    assert run(model, out, *asked, "--set", "guidance.reuse=2")["predictions"] == 4
    assert run(model, out, *asked, "--set", "guidance.end=0.5")["predictions"] == 5
    assert run(model, out, *asked, "--graph-scale", 0, "--set", "guidance.reuse=2")["predictions"] == 3
    for wrong, message in [
        ("guidance.reuse=0", "--set guidance: reuse: expected greater than 0, got 0"),
        ("guidance.skip_below=2", "--set guidance: skip_below: expected less than or equal to 1, got 2"),
        ("guidance.resue=2", "did you mean 'reuse'"),
        ("guidance.text=2", "'guidance.text=2' has an option of its own. Use --text-scale"),
        ("training.steps=2", "'training.steps=2' is not a setting of guidance"),
        ("guidance", "'guidance' is not an assignment"),
    ]:
        assert message.lower() in complaint(model, *asked, "--set", wrong).lower(), wrong


def test_it_draws_into_a_picture(model: Path, paintings: Path, tmp_path: Path) -> None:
    file, *neighbors = sorted(paintings.glob("*.png"))
    picture, mask = tmp_path / "picture.png", tmp_path / "mask.png"
    Image.open(file).resize((64, 64)).save(picture)
    hole = Image.new("L", (64, 64))
    hole.paste(255, (32, 0, 64, 64))
    hole.save(mask)
    drawn = []
    for number, options in enumerate((["--strength", "0.5"], ["--mask", mask], [])):
        out = tmp_path / f"{number}.png"
        from_picture = ["--image", picture, *options] if options else []
        run(model, out, "--prompt", "a star", "--neighbors", neighbors[0], *from_picture)
        drawn.append(np.asarray(Image.open(out), np.int64))
    assert all((one != other).any() for one, other in ((drawn[0], drawn[1]), (drawn[1], drawn[2])))
    assert np.array_equal(drawn[1][:, :32], np.asarray(Image.open(picture))[:, :32])
    Image.new("L", (64, 32)).save(mask)
    for wrong, message in [
        (["--mask", mask], "mask_image: there is no picture to draw from. Give one (image=, --image)"),
        (["--image", picture, "--mask", mask], "the picture has (64, 64) pixels (height, width), the mask"),
        (["--image", picture, "--strength", "2"], "strength: expected a number in 0..1, got 2.0"),
        (["--image", tmp_path / "none.png"], "none.png: no such picture"),
    ]:
        assert message in complaint(model, "--prompt", "a star", *wrong)


def test_scales_seeds_and_graphs_change_the_picture(model: Path, paintings: Path, tmp_path: Path) -> None:
    files = sorted(paintings.glob("*.png"))
    variants = [
        ["--graph-scale", "0"],
        ["--graph-scale", "8"],
        ["--graph-scale", "8", "--seed", "1"],
        ["--graph-scale", "8", "--text-scale", "1"],
        ["--graph-scale", "8", "--mode", "joint"],
    ]
    pictures = []
    for number, variant in enumerate(variants):
        out = tmp_path / f"{number}.png"
        run(model, out, "--prompt", "a star", "--neighbors", *files[:2], *variant)
        pictures.append(Image.open(out).tobytes())
    assert len(set(pictures)) == len(variants)


def test_a_node_of_a_graph(model: Path, paintings: Path, tmp_path: Path) -> None:
    made = run(model, tmp_path / "a.jpg", "--graph", paintings, "--target", "p 0.png")
    assert (made["prompt"], made["graphs"]) == ("picture p 0.png", 1)
    both = run(
        model,
        tmp_path / "b.png",
        "--graph",
        paintings,
        "--target",
        "p 0.png",
        "--target",
        "p 1.png",
        "--graph-scale",
        1,
        2,
    )
    assert both["graphs"] == 2


def test_a_node_costs_its_neighbors_not_its_graph(
    model: Path, paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    embedded: list[int] = []
    embed = ClipExtractor.embed_pictures
    monkeypatch.setattr(
        ClipExtractor, "embed_pictures", lambda clip, some: embedded.append(len(some)) or embed(clip, some)
    )
    monkeypatch.setattr(ClipExtractor, "embed_texts", pytest.fail)
    run(model, tmp_path / "a.png", "--graph", paintings, "--target", "p 0.png")
    assert embedded == [3]


def test_without_graph(model: Path, tmp_path: Path) -> None:
    assert run(model, tmp_path / "a.png", "--prompt", "a star")["graphs"] == 0


def test_bad_input(model: Path, paintings: Path, tmp_path: Path) -> None:
    picture = next(paintings.glob("*.png"))
    text = tmp_path / "text.jpg"
    text.write_text("not a picture")
    cases = [
        (["--graph", paintings, "--target", "p 9.png"], "there is no node 'p 9.png'"),
        (["--graph", paintings, "--target", "p 4.png"], "has no neighbors"),
        (["--graph", paintings], "no node of it"),
        (["--target", "x"], "no graph"),
        (["--graph", paintings, "--target", "x", "--neighbors", picture], "exclude each other"),
        (["--prompt", "x", "--neighbors", tmp_path / "no.png"], "no such picture"),
        (["--prompt", "x", "--neighbors", text], "is not a picture"),
        (
            ["--prompt", "x", "--neighbors", picture, "--graph-scale", "1", "2"],
            "expected 1 scales, one for each graph, got 2",
        ),
        (["--prompt", "x", "--size", "30"], "multiple of"),
        (["--prompt", "x", "--out", tmp_path / "a.xyz"], "does not end like a picture file"),
        (["--prompt", "x", "--mode", "jiont"], "Did you mean 'joint'"),
        (["--prompt", "x", "--device", "cuda:7"], "is not available"),
        (["--prompt", "x", "--device", "meta"], "is not available"),
        (["--neighbors", picture], "--prompt: the prompt is missing"),
        (["--prompt", "x", "--neighbors", tmp_path], "got a folder"),
        (["--prompt", "x", "--steps", "1001"], "expected at most 1000 steps"),
        (["--prompt", "x", "--graph-scale", "nan", "--neighbors", picture], "not all finite"),
        (["--prompt", "x", "--out", text / "a.png"], "cannot be written"),
    ]
    for args, message in cases:
        assert message in complaint(model, *args), args
    assert "no such model" in complaint(tmp_path / "nowhere", "--prompt", "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.jpg"]


@pytest.mark.skipif(not MONET.is_dir(), reason="needs ../shared/data/monet")
def test_real_paintings_with_odd_names(model: Path, tmp_path: Path) -> None:
    files = sorted(MONET.glob("*.jpg"))
    assert run(model, tmp_path / "a.png", "--prompt", "lemons", "--neighbors", *files)["graphs"] == 1


def test_odd_pictures_as_neighbors(model: Path, tmp_path: Path) -> None:
    base = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8))
    turned = base.getexif()
    turned[0x0112] = 8
    base.convert("RGBA").save(tmp_path / "rgba.png")
    base.convert("CMYK").save(tmp_path / "cmyk.jpg")
    base.convert("L").save(tmp_path / "grey.png")
    base.save(tmp_path / "turned.jpg", exif=turned)
    base.resize((5000, 4000)).save(tmp_path / "large ##.jpg")
    files = sorted(tmp_path.iterdir())
    assert run(model, tmp_path / "out.png", "--prompt", "x", "--neighbors", *files)["graphs"] == 1
