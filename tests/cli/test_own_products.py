"""A user's own graph from pictures to a report: 300 products, shapes in the colours of five lines."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw
from typer.testing import CliRunner

from graphcond.cli import app

COUNT = 300
COLOURS = {"coral": "#f26b4f", "ocean": "#1c5fa8", "forest": "#2f7d3b", "sun": "#f2b705", "plum": "#7a3b8f"}
SHAPES = ("circle", "square", "triangle", "ring", "cross")


def draw(shape: str, colour: str, shift: tuple[int, int]) -> Image.Image:
    picture = Image.new("RGB", (64, 64), "white")
    pen, (x, y) = ImageDraw.Draw(picture), (14 + shift[0], 14 + shift[1])
    box = (x, y, x + 36, y + 36)
    match shape:
        case "circle":
            pen.ellipse(box, fill=colour)
        case "square":
            pen.rectangle(box, fill=colour)
        case "triangle":
            pen.polygon([(x + 18, y), (x + 36, y + 36), (x, y + 36)], fill=colour)
        case "ring":
            pen.ellipse(box, outline=colour, width=9)
        case _:
            pen.rectangle((x + 12, y, x + 24, y + 36), fill=colour)
            pen.rectangle((x, y + 12, x + 36, y + 24), fill=colour)
    return picture


def write_rows(file: Path, rows: list[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture(scope="module")
def products(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables and pictures; four edges to the own line and two to anything; titles name the shape alone."""
    folder, rng = tmp_path_factory.mktemp("products"), np.random.default_rng(0)
    lines, shapes = rng.choice(list(COLOURS), COUNT), rng.choice(SHAPES, COUNT)
    nodes, edges = [], []
    for row, (line, shape) in enumerate(zip(lines, shapes, strict=True)):
        shift = tuple(rng.integers(-6, 7, 2).tolist())
        draw(shape, COLOURS[line], shift).save(folder / f"{row}.png")  # type: ignore[arg-type]
        split = "train" if row % 5 else "test"
        nodes.append({"id": row, "title": f"a {shape}", "image": f"{row}.png", "line": line, "split": split})
        ends = [*rng.choice(np.flatnonzero(lines == line), 4), *rng.integers(0, COUNT, 2)]
        edges += [{"source": row, "target": end} for end in ends if end != row]
    write_rows(folder / "nodes.csv", nodes)
    write_rows(folder / "edges.csv", edges)
    return folder


def call(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done


def test_from_pictures_to_a_report(products: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # the sheet is written to outputs/
    graph, run = tmp_path / "graph", tmp_path / "run"
    call("data", "build", products, "--out", graph)
    settings = (f"data.path={graph}", "training.steps=4", "training.preview_every=null")
    trained = call(
        *("train", "instructg2i", "--base", "tiny", "--out", run),
        *(part for setting in settings for part in ("--set", setting)),
    )
    assert "these pictures" in trained.stderr, "training says what the base can draw"
    sheet = call("sample", graph, "--target", 5, "--compare")
    with Image.open(sheet.stdout.split("sheet: ")[1].strip()) as shown:
        assert min(shown.size) > 400
    out = tmp_path / "samplers"
    call("bench", "samplers", "--graph", graph, "--label", "line", "--limit", 60, "--out", out)
    shares = {row["row"]: float(row["same_line"]) for row in csv.DictReader((out / "table.csv").open())}
    assert shares["semantic_ppr (consensus)"] > shares["ppr"] > shares["khop"] > shares["random"] + 0.3
    call(*("evaluate", run / "final", "--graph", graph, "--limit", 4, "--steps", 1, "--label", "line"))
    (evaluation,) = (run / "evaluations").glob("own-*/report.json")
    (found,) = json.loads(evaluation.read_text(encoding="utf-8")).values()
    assert {"feature_distance", "retrieval", "same_class"} <= found["arms"]["shuffled_graph"].keys()
    call("report", run, "--out", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "same_class" in page
    assert "these pictures" in page
