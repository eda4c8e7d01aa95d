from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from graphcond.cli.data import app
from graphcond.errors import InputError
from graphcond.graphs import open_graph
from tests.graphs.graphs import write_metadata

LINES = [{"center": "a.png", "text": "an a", "neighbors": ["b.png", "a.png"]}]


def data(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def error_of(*arguments: object) -> str:
    result = data(*arguments)
    assert isinstance(result.exception, InputError)
    return str(result.exception)


@pytest.fixture
def paintings(tmp_path: Path) -> Path:
    return write_metadata(tmp_path / "paintings", LINES, ["a.png", "b.png"])


@pytest.mark.parametrize("command", ["build", "inspect"])
def test_help_shows_an_example(command: str) -> None:
    assert f"graphcond data {command} " in data(command, "--help").output


def test_build_and_inspect_a_folder(paintings: Path, tmp_path: Path) -> None:
    built = json.loads(data("build", paintings, "--out", tmp_path / "graph", "--json").stdout)
    assert built == {
        "folder": str(tmp_path / "graph"),
        "nodes": 2,
        "edges": 1,
        "directed": False,
        "edges_read": 2,
        "self_loops_dropped": 1,
        "missing_pictures": 0,
        "tally": {
            "read": {"nodes": 2, "texts": 1, "pictures": 2, "edges": 2},
            "left_out": {"edges": {"self-loops": 1}},
            "merged": {},
            "columns": {},
        },
    }
    inspected = json.loads(data("inspect", tmp_path / "graph", "--json").stdout)
    assert (inspected["nodes"], inspected["given_targets"]) == (2, [["a.png", "a.png"]])


def test_tables_for_people(paintings: Path, tmp_path: Path) -> None:
    assert "nodes" in data("build", paintings, "--out", tmp_path / "graph").output
    result = data("inspect", tmp_path / "graph", "--pictures", "--picture", tmp_path / "degrees.png")
    assert result.exit_code == 0
    assert "1 (undirected)" in result.output
    assert "1: a.png and a.png" in result.output
    assert (tmp_path / "degrees.png").exists()


def test_build_tables_directed_with_other_columns(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("key,text\na,1\nb,2\n")
    (tmp_path / "edges.csv").write_text("src,dst\na,b\na,b\n")
    out = tmp_path / "out"
    built = data("build", tmp_path, "--out", out, "--directed", "--column", "id=key", "--json")
    assert json.loads(built.stdout)["edges_read"] == 2
    graph = open_graph(out)
    assert (graph.directed, graph.degrees.tolist(), list(graph.nodes.ids)) == (True, [1, 0], ["a", "b"])


def test_build_within_a_memory(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text("src,dst\na,b\n")
    out = tmp_path / "out"
    result = data("build", tmp_path / "links.csv", "--out", out, "--memory", "64GiB", "--json")
    assert json.loads(result.stdout)["nodes"] == 2
    assert "reading links.csv (MiB)" in result.stderr
    assert "0 MiB of memory are not enough" in error_of(
        "build", tmp_path / "links.csv", "--out", out, "--memory", "1KB"
    )


def test_build_a_world(tmp_path: Path) -> None:
    out = tmp_path / "art"
    options = ["--set", "paintings_per_artist=2", "--set", "noise=0.2", "--set", "resolution=16"]
    built = json.loads(data("build", "art", "--out", out, *options, "--json").stdout)
    graph = open_graph(out)
    assert built["nodes"] == len(graph) == 24
    assert all(path is not None and path.is_file() for path in map(graph.picture_path, range(24)))


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["art", "--set", "nois=0.2"], "has no argument 'nois'. Did you mean 'noise'?"),
        (["art", "--set", "noise=much"], "--set noise: expected float, got 'much'"),
        (["art", "--set", "noise=2"], "noise must be a share"),
        (["art", "--set", "noise"], "'noise' is not NAME=VALUE"),
        (["art", "--column", "id=key"], "a world has no columns"),
        (["{paintings}", "--set", "noise=0.2"], "only a world takes arguments"),
        (["{paintings}", "--column", "id=key"], "there is no column 'id'"),
        (["nowhere"], "no such file or folder"),
        (["{paintings}", "--column", "text=a", "--column", "text=b"], "--column: 'text' is given twice"),
        (["{paintings}", "--memory", "-1GiB"], "--memory: expected a size, got '-1GiB'"),
        (
            ["{paintings}", "--memory", "much"],
            "expected a size, got 'much'. Write a number and a unit",
        ),
        (
            ["{paintings}", "--memory", "2GiB"],
            "--memory: only tables of edges are built within a given memory; the format metadata",
        ),
        (["art", "--memory", "2GiB"], "--memory: a world is drawn in memory"),
    ],
)
def test_bad_arguments(paintings: Path, tmp_path: Path, arguments: list[str], problem: str) -> None:
    filled = [argument.format(paintings=paintings) for argument in arguments]
    assert problem in error_of("build", *filled, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_source_is_not_overwritten(paintings: Path) -> None:
    assert "is not a graph folder" in error_of("build", paintings, "--out", paintings)
    assert (paintings / "a.png").exists()


def test_inspect_a_broken_folder(paintings: Path, tmp_path: Path) -> None:
    data("build", paintings, "--out", tmp_path / "graph")
    (tmp_path / "graph/indices.npy").write_bytes(b"")
    assert "indices.npy: the file was cut short or changed: it has 0 bytes" in error_of(
        "inspect", tmp_path / "graph"
    )


def test_nodes_of_a_graph_without_splits_are_held_out(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text("id,text\n" + "".join(f"{row},star\n" for row in range(20)))
    (tmp_path / "edges.csv").write_text("src,dst\n0,1\n")
    data("build", tmp_path, "--out", tmp_path / "graph", "--hold-out", "0.1")
    inspected = json.loads(data("inspect", tmp_path / "graph", "--json").stdout)
    assert (inspected["splits"], inspected["held_out"]) == ({"train": 18, "test": 2}, 2)
    (tmp_path / "nodes.csv").write_text("id,text,split\n0,star,fold1\n1,star,Train\n")
    assert "the nodes have the splits fold1, Train already" in error_of(
        "build", tmp_path, "--out", tmp_path / "again", "--hold-out", "0.1"
    )
    data("build", tmp_path, "--out", tmp_path / "again")
    assert "none: no split is called test" in " ".join(data("inspect", tmp_path / "again").output.split())


def test_a_world_is_not_split_again(tmp_path: Path) -> None:
    assert "a world has splits" in error_of("build", "art", "--out", tmp_path / "art", "--hold-out", "0.1")
