"""Every command that works on many targets says so where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.errors import InputError
from graphcond.samplers.neighbor_file import read_neighbors


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A graph without nodes."""
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "nodes.csv").write_text("id,text\n")
    (folder / "edges.csv").write_text("src,dst\n")
    return folder


def refused(*args: object) -> str:
    with pytest.raises(InputError) as caught:
        CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    return str(caught.value)


def test_generate_and_evaluate(model: Path, empty: Path, tmp_path: Path) -> None:
    drawing = ("generate", model, "--graph", empty, "--out", tmp_path / "out", "--targets", "all")
    assert "--targets: there are no targets" in refused(*drawing)
    assert "no node of the split 'test'" in refused("evaluate", model, "--graph", empty)
    assert not (tmp_path / "out").exists()


def test_cache_build(empty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    found = refused("cache", "build", "instructg2i", "--base", "tiny", "--set", f"data.path={empty}")
    assert "no training target has a picture" in found
    assert not (tmp_path / "cache" / "training").exists()


def test_sample_all_writes_a_file_without_targets(empty: Path, tmp_path: Path) -> None:
    out = tmp_path / "neighbors.safetensors"
    done = CliRunner().invoke(app, ["sample-all", str(empty), "--out", str(out)], catch_exceptions=False)
    assert "neighbors of 0 targets" in done.stdout
    assert read_neighbors(out).context.neighbors.shape[0] == 0
