"""Commands on a Ray cluster of two workers, of which one is killed, write the bytes of one process."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from shutil import copy
from typing import Any

import pytest
from typer.testing import CliRunner

from graphcond.cli import app
from graphcond.evaluation import drawn
from graphcond.precompute.places import Make, Part, RayCluster, Result
from graphcond.recipe import load_recipe
from graphcond.training.run import fill_caches
from tests.precompute.parts import killed_once
from tests.ray_cluster import actors, cluster

__all__ = ["cluster"]
pytestmark = pytest.mark.slow


def run(*args: object) -> str:
    done = CliRunner().invoke(app, [str(arg) for arg in args], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_generate(
    cluster: Any, model: Path, paintings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = ("generate", model, "--graph", paintings, "--targets", "all", "--batch", "1", "--steps", "1")
    run(*asked, "--out", tmp_path / "here")
    (tmp_path / "ray").mkdir()
    copy(tmp_path / "here" / "sheet.png", tmp_path / "ray")  # test_generate_targets draws it in a place
    write, killed = drawn.write_picture, list[int]()

    def write_and_kill(*arguments: Any, **options: Any) -> None:
        write(*arguments, **options)
        if not killed:
            victim = actors()[0]
            killed.append(victim.pid)
            victim.kill()

    monkeypatch.setattr(drawn, "write_picture", write_and_kill)
    assert "5 pictures" in run(*asked, "--out", tmp_path / "ray", "--on", "ray", "--device", "cpu")
    assert killed
    assert content(tmp_path / "ray") == content(tmp_path / "here")


class Killing(RayCluster):
    """The first worker that comes to its prompts is killed."""

    marker: Path

    def run(self, make: Make[Part, Result], parts: Sequence[Part]) -> Iterator[Result]:
        return super().run(partial(killed_once, make, self.marker), parts)  # type: ignore[arg-type]


def test_cache_build_and_sample_all(cluster: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = ["data.paintings_per_artist=4", "training.validation_samples=4"]
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "here"))
    alone = fill_caches(load_recipe("instructg2i", base="tiny", overrides=sizes), device="cpu")
    graph = next((tmp_path / "here" / "worlds").iterdir())
    run("sample-all", graph, "--out", tmp_path / "here.safetensors")
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "ray"))
    monkeypatch.setattr("graphcond.precompute.places.RayCluster", Killing)
    Killing.marker = tmp_path / "killed"
    options = [part for size in sizes for part in ("--set", size)]
    assert f"all that {alone.targets} targets" in run(
        *("cache", "build", "instructg2i", "--base", "tiny", *options, "--on", "ray", "--device", "cpu")
    )
    assert Killing.marker.exists()
    kept, filled = (content(tmp_path / name / "training") for name in ("here", "ray"))
    assert filled == kept
    assert not (tmp_path / "ray" / "unfinished").exists() or not any(
        (tmp_path / "ray" / "unfinished").iterdir()
    )
    monkeypatch.undo()
    run("sample-all", graph, "--out", tmp_path / "ray.safetensors", "--on", "ray")
    assert (tmp_path / "ray.safetensors").read_bytes() == (tmp_path / "here.safetensors").read_bytes()
