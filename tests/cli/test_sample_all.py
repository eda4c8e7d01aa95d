"""graphcond sample-all, on a small art world."""

from __future__ import annotations

import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from graphcond.cli.sample_all import sample_all
from graphcond.errors import InputError, StorageError
from graphcond.graphs import load_graph, save_world
from graphcond.precompute import plan_of
from graphcond.samplers import PPRSamplerConfig, PrecomputedSamplerConfig, with_relations
from graphcond.samplers.neighbor_file import read_neighbors
from graphcond.worlds import ArtWorld

APP = typer.Typer()
APP.command()(sample_all)
PPR = ("--sampler", "ppr", "--set", "neighbors=8")


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "graph"
    save_world(ArtWorld(paintings_per_artist=4, series_length=2), folder)
    return folder


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RANK", raising=False)
    monkeypatch.setattr("graphcond.precompute.plan_of", partial(plan_of, shard_size=7))


def run(*arguments: object) -> str:
    result = CliRunner().invoke(APP, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_a_recipe_s_sampler_reads_the_result(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "neighbors.safetensors"
    assert str(out) in run(world, "--out", out, *PPR)
    graph = load_graph(world)
    targets = np.arange(len(graph))
    read, sampled = (
        config.build(graph=graph).sample(targets, np.random.default_rng(0))
        for config in (PrecomputedSamplerConfig(path=str(out)), PPRSamplerConfig())
    )
    np.testing.assert_array_equal(read.neighbors, sampled.neighbors)
    np.testing.assert_array_equal(read.scores, sampled.scores)
    assert read.relations is not None
    related = with_relations(graph, sampled).relations
    assert related is not None
    assert related.any()
    np.testing.assert_array_equal(read.relations, related)


def test_shares_workers_and_launchers_give_the_bytes_of_one_process(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    outs = [tmp_path / f"{name}.safetensors" for name in ("alone", "shares", "launched")]
    semantic = ("--sampler", "semantic")
    run(world, "--out", outs[0], *semantic)
    assert "share 1 of 2 is done; the last to finish writes" in run(
        world, "--out", outs[1], "--shard", "1/2", *semantic
    )
    assert not outs[1].exists()
    assert "neighbors of" in run(world, "--out", outs[1], "--shard", "0/2", "--workers", "2", *semantic)
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in "01":
        assert not outs[2].exists()
        monkeypatch.setenv("RANK", rank)
        run(world, "--out", outs[2], *semantic)
    assert outs[0].read_bytes() == outs[1].read_bytes() == outs[2].read_bytes()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_sampler_is_made_before_targets_are_counted(world: Path, tmp_path: Path, workers: str) -> None:
    command = ["sample-all", str(world), "--out", str(tmp_path / "neighbors.safetensors"), *PPR]
    bars = CliRunner().invoke(APP, [*command[1:], "--workers", workers]).stderr
    assert re.search(
        r"making the sampler: 1/1\n"
        r"sampling targets \.\.\.\n(sampling targets: .*\n)*sampling targets: 48/48, ",
        bars,
    )


SMALL_SHARDS = """
from graphcond.precompute import plan_of
plan_of.__kwdefaults__["shard_size"] = 7
from graphcond.cli import main
main()
"""


def test_two_processes_at_once_give_the_bytes_of_one(world: Path, tmp_path: Path) -> None:
    alone, shared = tmp_path / "alone.safetensors", tmp_path / "shared.safetensors"
    run(world, "--out", alone, "--sampler", "random")
    options = ["sample-all", str(world), "--out", str(shared), "--sampler", "random", "--shard"]
    both = [
        subprocess.Popen([sys.executable, "-c", SMALL_SHARDS, *options, shard], stdout=subprocess.DEVNULL)
        for shard in ("0/2", "1/2")
    ]
    assert [process.wait() for process in both] == [0, 0]
    first, second = (read_neighbors(file) for file in (alone, shared))
    assert first.about == second.about
    assert shared.read_bytes() == alone.read_bytes()


def test_a_split_alone(world: Path, tmp_path: Path) -> None:
    out = tmp_path / "neighbors.safetensors"
    graph = load_graph(world)
    split = next(name for name in graph.nodes.splits or () if name)
    count = len(graph.nodes.in_split(split))
    assert f"neighbors of {count} targets" in run(world, "--out", out, *PPR, "--split", split)
    with pytest.raises(InputError, match=r"--split: there is no split 'tset'\. Did you mean 'test'"):
        run(world, "--out", tmp_path / "other", *PPR, "--split", "tset")


@pytest.mark.parametrize("nodes", ["", "a,alone\n"])
def test_graphs_of_next_to_nothing(tmp_path: Path, nodes: str) -> None:
    (tmp_path / "nodes.csv").write_text(f"id,text\n{nodes}")
    (tmp_path / "edges.csv").write_text("src,dst\n")
    out = tmp_path / "out/neighbors.safetensors"
    count = len(nodes.splitlines())
    assert f"neighbors of {count} targets" in run(tmp_path, "--out", out, *PPR)
    context = read_neighbors(out).context
    assert context.neighbors.shape == (count, 8)
    assert not context.present.any()


@pytest.mark.parametrize("out", ["", "file/neighbors.safetensors"])
def test_a_place_that_cannot_be_written(world: Path, tmp_path: Path, out: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"cannot be written .*Choose another place"):
        run(world, "--out", tmp_path / out, *PPR)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--sampler", "pprr"), r"no sampler 'pprr'.*'ppr'"),
        (("--sampler", "scene_triples"), "no sampler 'scene_triples'"),
        (("--sampler", "precomputed"), "path"),
        (("--sampler", "given"), "no ready-made neighbors"),
        (("--set", "neighbours=3"), "neighbors"),
        (("--shard", "2"), "expected a share"),
        (("--shard", "2/2"), "from 0 to 1"),
    ],
)
def test_bad_options_are_named(world: Path, tmp_path: Path, options: tuple[str, ...], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        run(world, "--out", tmp_path / "neighbors.safetensors", *options)
    assert not list(tmp_path.iterdir())
