"""Every example runs from start to end, with few steps, in the folder of somebody who ran the demo."""

from __future__ import annotations

import ast
import json
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.docs.blocks import ROOT

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
QUICK = [
    *("--set", "training.batch_size=4"),
    *("--set", "training.validation_samples=4"),
    *("--set", "training.previews=1"),
    *("--set", "training.preview_steps=1"),
]


def run(name: str, *arguments: str) -> None:
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="example")["main"](arguments)


def test_compose_by_hand(reader: Path) -> None:
    run("compose_by_hand", "--steps", "2", "--batch", "4")
    with Image.open("composed.png") as sheet:
        assert sheet.width > 500


def test_train_your_graph(reader: Path) -> None:
    folder = reader / "paintings"
    folder.mkdir()
    names = [f"{number}.png" for number in range(6)]
    for number, name in enumerate(names):
        Image.new("RGB", (80, 60), (40 * number, 90, 120)).save(folder / name)
    lines = [
        {"center": name, "text": f"picture {number}", "neighbors": [names[number - 1], names[number - 2]]}
        for number, name in enumerate(names)
    ]
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    run("train_your_graph", "paintings", "--steps", "2", *QUICK)
    assert (reader / "outputs/yours/drawn.png").is_file()
    assert (reader / "outputs/yours/run/final/graphcond.json").is_file()


def test_mix_two_artists(reader: Path) -> None:
    run("mix_two_artists", "--steps", "1")
    assert (reader / "mixed.png").is_file()


def test_your_own_sampler(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("your_own_sampler")
    *_, ours = capsys.readouterr().out.splitlines()
    assert "edge_type" in ours
    assert "100% by the same artist" in ours


def test_your_own_embeddings(reader: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("your_own_embeddings", "--steps", "2", "--width", "8", *QUICK)
    assert "graph gap" in capsys.readouterr().out
    assert np.load("outputs/embeddings/embedding.npy").shape[1] == 8


def test_your_own_injector(reader: Path) -> None:
    run("your_own_injector", "--steps", "2", "--batch", "4")
    assert (reader / "shifted.png").is_file()


def test_your_own_encoder(reader: Path) -> None:
    run("your_own_encoder", "--steps", "2", "--batch", "4")
    assert (reader / "pooled.png").is_file()


@pytest.mark.parametrize("module", [[], ["--module", "torch_geometric.nn.TransformerConv"]])
def test_pyg_encoder(
    module: list[str], reader: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch_geometric", reason="needs graphcond[pyg]")
    monkeypatch.syspath_prepend(ROOT / "examples")  # as `python examples/pyg_encoder.py` does
    run("pyg_encoder", *module, "--steps", "2", *QUICK)
    name = "TransformerConv" if module else "GatedSum"
    assert f"{name}: graph gap" in capsys.readouterr().out


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_says_how_to_run_it_and_is_tested(file: Path) -> None:
    told = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    line = next(line.strip() for line in told.splitlines() if line.strip().startswith("python examples/"))
    assert shlex.split(line)[1] == f"examples/{file.name}"
    assert "You see" in told
    assert f"def test_{file.stem}(" in Path(__file__).read_text(encoding="utf-8")
