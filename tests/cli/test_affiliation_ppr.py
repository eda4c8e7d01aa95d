"""graphcond sample and sample-all over edges that attributes imply."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graphcond.cli import main
from graphcond.graphs import load_graph
from graphcond.samplers import AffiliationPPRSamplerConfig
from graphcond.samplers.neighbor_file import read_neighbors

Run = Callable[..., tuple[int, str, str]]
NODES = """id,text,artist,year
a,one,kira,1900
b,two,kira,1900
c,three,olo,1900
d,four,kira| olo,
e,five,,
"""
CHOICES = ("--sampler", "affiliation_ppr", "--set", "require_picture=false")
ARTIST = ("--set", "attributes.artist=1.0")
YEAR = ("--set", "attributes.year=0.2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    source = tmp_path / "paintings"
    source.mkdir()
    (source / "nodes.csv").write_text(NODES)
    (source / "edges.csv").write_text("src,dst\na,e\n")
    return source


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def graphcond(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["graphcond", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        said = capsys.readouterr()
        return int(stopped.value.code or 0), said.out, said.err

    return graphcond


def test_sample_ranks_by_shared_attributes(folder: Path, run: Run) -> None:
    code, out, _ = run("sample", folder, "--target", "a", *CHOICES, *ARTIST, *YEAR, "--json")
    assert code == 0
    assert [neighbor["id"] for neighbor in json.loads(out)["neighbors"]] == ["d", "b", "c"]
    stored = ("--set", "edges=100.0", "--set", "neighbors=1")
    code, out, _ = run("sample", folder, "--target", "a", *CHOICES, *ARTIST, *stored, "--json")
    assert code == 0
    assert [neighbor["id"] for neighbor in json.loads(out)["neighbors"]] == ["e"]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((), "no attribute is named.*artist, year"),
        (("--set", "attributes.artits=1.0"), "no attribute 'artits'.*id you mean 'artist'"),
        (("--set", "attributes.artist=-1"), "attributes.artist"),
        ((*ARTIST, "--set", "threads=0"), "threads"),
    ],
)
def test_bad_attributes_are_one_line_and_two(
    folder: Path, run: Run, settings: tuple[str, ...], said: str
) -> None:
    code, _, error = run("sample", folder, "--target", "a", *CHOICES, *settings)
    assert code == 2
    (line,) = (line for line in error.splitlines() if not line.startswith("making the sampler"))
    assert line.startswith("error: ")
    assert re.search(said, line)


def test_a_graph_without_attributes_is_refused(folder: Path, run: Run) -> None:
    (folder / "nodes.csv").write_text("id,text\na,one\ne,two\n")
    code, _, error = run("sample", folder, "--target", "a", *CHOICES, *ARTIST)
    assert code == 2
    assert "the nodes have no attributes" in error


def test_sample_all_writes_what_the_sampler_answers(folder: Path, run: Run, tmp_path: Path) -> None:
    out = tmp_path / "neighbors.safetensors"
    code, _, error = run(
        "sample-all",
        folder,
        "--out",
        out,
        *CHOICES,
        *ARTIST,
        *YEAR,
        "--set",
        "threads=2",
        "--set",
        "neighbors=3",
    )
    assert code == 0, error
    written = read_neighbors(out).context
    sampler = AffiliationPPRSamplerConfig(
        attributes={"artist": 1.0, "year": 0.2}, require_picture=False, neighbors=3
    ).build(graph=load_graph(folder))
    sampled = sampler.sample(np.arange(5), np.random.default_rng(0))
    np.testing.assert_array_equal(written.neighbors, sampled.neighbors)
    np.testing.assert_array_equal(written.scores, sampled.scores)
    assert written.neighbors[4].tolist() == [-1, -1, -1]
