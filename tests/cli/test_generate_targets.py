"""graphcond generate --targets: many nodes in one start."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.data.dataset import GraphDataset
from graphcond.errors import InputError, Notice
from graphcond.evaluation.arms import ModelPictures
from graphcond.evaluation.drawn import DrawnFolder, rows_asked
from graphcond.graphs import load_graph
from graphcond.pipeline import GraphPipeline
from graphcond.precompute import Here

MAKE = ModelPictures.make


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[int]]]:
    """The arm and the rows of every batch."""
    batches: list[tuple[str, list[int]]] = []

    def counted(self: ModelPictures, rows: Any, arm: Any, seed: int) -> Any:
        batches.append((arm, rows.tolist()))
        return MAKE(self, rows, arm, seed)

    monkeypatch.setattr(ModelPictures, "make", counted)
    return batches


def run(model: Path, *args: object) -> Any:
    command = ["generate", str(model), "--steps", "1", *map(str, args)]
    return CliRunner().invoke(app, command, catch_exceptions=False)


def made(model: Path, *args: object) -> dict[str, Any]:
    result = run(model, *args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout.strip().splitlines()[-1])


def test_many_nodes_in_batches_with_a_sheet_and_restarted(
    model: Path, paintings: Path, tmp_path: Path, drawn: list[tuple[str, list[int]]]
) -> None:
    out = tmp_path / "out"
    asked = ("--graph", paintings, "--targets", "all", "--batch", 2, "--out", out)
    assert made(model, *asked) == {"out": str(out), "targets": 5, "were_there": 0, "seed": 0}
    parts = ([0, 1], [2, 3], [4])
    assert drawn == [(arm, part) for arm in ("graph", "no_graph", "shuffled_graph") for part in parts]
    files = {path.name: path.read_bytes() for path in out.glob("*.png")}
    assert {path.name for path in out.iterdir()} == {*files, "drawn.json"}
    assert sorted(files) == [*(f"p {n}.png.png" for n in range(5)), "sheet.png"]
    with Image.open(out / "p 3.png.png") as picture:
        note = json.loads(picture.text["graphcond"])  # type: ignore[attr-defined]
    assert (note["id"], note["prompt"], note["steps"]) == ("p 3.png", "picture p 3.png", 1)
    for name in ("p 1.png.png", "p 4.png.png"):  # as if it had been stopped before them
        (out / name).unlink()
    drawn.clear()
    assert made(model, *asked)["were_there"] == 3
    assert drawn == [("graph", [1]), ("graph", [4])]
    drawn.clear()
    assert made(model, *asked)["were_there"] == 5
    assert drawn == []
    for name, before in files.items():
        with Image.open(out / name) as picture:
            levels = np.asarray(picture, np.int64)
        (tmp_path / "before.png").write_bytes(before)
        # A picture does not depend on its batch, up to the rounding of sums.
        assert abs(levels - np.asarray(Image.open(tmp_path / "before.png"), np.int64)).max() <= 1
    with pytest.raises(InputError, match="drawn with another seed, text_scale"):
        run(model, *asked, "--seed", 1, "--text-scale", 3)


def test_workers_of_a_place_draw_the_same_pictures_and_sheet(
    model: Path, paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("--graph", paintings, "--targets", "all", "--batch", 2, "--out")
    made(model, *asked, tmp_path / "here")
    monkeypatch.setattr("graphcond.precompute.places.RayCluster", lambda *_, **__: Here())
    out = tmp_path / "place"
    assert made(model, *asked, out, "--on", "ray")["were_there"] == 0
    (out / "p 2.png.png").unlink()
    (out / "p 3.png.png").unlink()
    assert made(model, *asked, out, "--on", "ray")["were_there"] == 3
    for file in (tmp_path / "here").iterdir():
        assert (out / file.name).read_bytes() == file.read_bytes(), file.name
    assert len(list(out.iterdir())) == 5 + 2


def test_a_file_of_ids_and_a_batch_larger_than_memory(
    model: Path, paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    draw = GraphPipeline.__call__

    def small_memory(self: GraphPipeline, prompts: list[str], **options: Any) -> Any:
        sizes.append(len(prompts))
        if len(prompts) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return draw(self, prompts, **options)

    monkeypatch.setattr(GraphPipeline, "__call__", small_memory)
    ids, out = tmp_path / "ids.txt", tmp_path / "out"
    ids.write_text("p 3.png\n\n  p 0.png\np 3.png\np 1.png\n")
    with pytest.warns(Notice, match="3 pictures at once do not fit into memory; going on with 1"):
        assert run(model, "--graph", paintings, "--targets", ids, "--out", out).exit_code == 0
    assert sizes == [3, 1, 1, 1, *[1] * 6]  # the sheet has two more arms
    assert sorted(path.name for path in out.glob("p*")) == [f"p {n}.png.png" for n in (0, 1, 3)]
    ids.write_text("p 2.png")
    monkeypatch.setattr(GraphPipeline, "__call__", lambda *_, **__: (_ for _ in ()).throw(MemoryError("one")))
    with pytest.raises(MemoryError):
        run(model, "--graph", paintings, "--targets", ids, "--out", out)


def test_bad_input(model: Path, paintings: Path, tmp_path: Path) -> None:
    empty, unknown = tmp_path / "empty.txt", tmp_path / "unknown.txt"
    empty.write_text("\n \n")
    unknown.write_text("p 9.png")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "p 0.png.png").write_bytes(b"")
    for args, message in [
        (["--targets", empty], "empty.txt: the file names no targets. Write an id on each line"),
        (
            ["--targets", tmp_path / "latin.txt"],
            "latin.txt: the file is not UTF-8 (byte 3)",
        ),
        (["--targets", unknown], "there is no node 'p 9.png'"),
        (["--targets", "tests"], "--targets: there is no split 'tests'. Choose one of: train"),
        (["--targets", "all", "--out", tmp_path / "full"], "pictures that this command did not draw"),
        (["--targets", "all", "--prompt", "a star"], "--prompt: the targets have prompts and graphs of"),
        (["--targets", "all", "--target", "p 0.png", "--mask", empty], "--target, --mask: the targets have"),
        (["--targets", "all", "--graph-scale", "1", "2"], "expected one scale for all targets, got 2"),
        (["--targets", "all", "--workers", "2"], "--workers: only a Ray cluster has workers"),
        (
            ["--target", "p 0.png", "--on", "ray"],
            "--on, --workers: only many targets are divided. Add --targ",
        ),
        (["--targets", "all", "--mode", "jiont"], "Did you mean 'joint'"),
    ]:
        with pytest.raises(InputError) as caught:
            run(model, "--graph", paintings, *args)
        assert message in str(caught.value), args
    graph = load_graph(paintings)
    bare = GraphDataset(replace(graph, nodes=replace(graph.nodes, splits=None)))
    with pytest.raises(InputError, match=r"there is no file .ids., and the data have no splits"):
        rows_asked(bare, "ids")


def test_ids_become_names_of_files_inside_the_folder(tmp_path: Path) -> None:
    ids = ["../up", "a/b", "..", "é" * 300, "é" * 300 + "x"]
    folder = DrawnFolder(tmp_path, cast(Any, SimpleNamespace(ids=ids)), np.arange(5), {})
    files = [folder.file(row) for row in range(5)]
    assert all(file.parent == tmp_path and len(file.name) < 256 for file in files)
    assert len(set(files)) == 5
    assert files[1].name == "a%2Fb.png"
