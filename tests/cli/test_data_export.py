from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from graphcond.attributed_graph import ABSENT
from graphcond.cli.data import app
from graphcond.errors import GraphcondError
from graphcond.graphs import load_graph, save_graph
from graphcond.io.files import temporary_prefix
from graphcond.samplers import PPRSampler
from graphcond.samplers.neighbor_file import graph_identity, write_neighbors
from tests.graphs.graphs import rich_graph, write_metadata, write_picture


def data(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def output_of(*arguments: object) -> str:
    result = data(*arguments)
    assert result.exit_code == 0, result.exception
    return result.stdout


def error_of(*arguments: object) -> str:
    result = data(*arguments)
    assert isinstance(result.exception, GraphcondError), result.exception
    return str(result.exception)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A graph folder whose pictures lie in ``pictures``."""
    graph = rich_graph(tmp_path / "pictures")
    for picture in graph.nodes.pictures:
        if picture is not None:
            write_picture(tmp_path / "pictures" / picture)
    save_graph(graph, tmp_path / "graph")
    return tmp_path / "graph"


@pytest.fixture
def neighbors(folder: Path, tmp_path: Path) -> Path:
    """What a sampler chose for all nodes of ``folder``."""
    graph = load_graph(folder)
    targets = np.arange(len(graph))
    context = PPRSampler(graph, neighbors=2).sample(targets, np.random.default_rng(0))
    write_neighbors(tmp_path / "neighbors.safetensors", context, graph_identity(graph))
    return tmp_path / "neighbors.safetensors"


@pytest.mark.parametrize("command", ["export", "features"])
def test_help_shows_an_example(command: str) -> None:
    assert f"graphcond data {command} " in data(command, "--help").output


def test_edges(folder: Path, tmp_path: Path) -> None:
    told = output_of("export", folder, "--out", tmp_path / "edges.csv")
    assert told == f"{tmp_path / 'edges.csv'}: 3 edges\n"
    output_of("build", tmp_path / "edges.csv", "--out", tmp_path / "again")
    again, graph = load_graph(tmp_path / "again"), load_graph(folder)
    for node, node_id in enumerate(again.nodes.ids):
        ends = {again.nodes.ids[other] for other in again.neighbors(node)}
        assert ends == {graph.nodes.ids[other] for other in graph.neighbors(graph.nodes.index[node_id])}


def test_pyg(folder: Path, tmp_path: Path) -> None:
    told = output_of("export", folder, "--out", tmp_path / "graph.pt")
    assert "HeteroData.from_dict(torch.load('graph.pt'))" in told
    stores = torch.load(tmp_path / "graph.pt", weights_only=True)
    assert stores["painting"]["id"] == ["a", "ü c", "d"]
    output_of("build", tmp_path / "graph.pt", "--out", tmp_path / "again")
    assert sorted(load_graph(tmp_path / "again").nodes.texts) == sorted(rich_graph().nodes.texts)


def test_metadata(folder: Path, tmp_path: Path, neighbors: Path) -> None:
    out = tmp_path / "pictures/metadata.jsonl"
    told = output_of("export", folder, "--out", out, "--neighbors", neighbors)
    assert "3 targets, 1 without a picture left out" in told
    lines = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert [line["center"] for line in lines] == ["a.png", "sub/ü c.png", "d.png"]
    assert lines[0] == {"center": "a.png", "text": "A house", "neighbors": ["sub/ü c.png"]}
    given = load_graph(tmp_path / "pictures").given
    assert given is not None
    assert given.tolist() == [[1], [0], [ABSENT]]


def test_metadata_of_a_split(folder: Path, tmp_path: Path, neighbors: Path) -> None:
    out = tmp_path / "pictures/metadata.jsonl"
    assert "1 targets" in output_of(
        "export", folder, "--out", out, "--neighbors", neighbors, "--split", "test"
    )
    assert "no target is in val" in error_of(
        "export", folder, "--out", out, "--neighbors", neighbors, "--split", "val"
    )


def test_neighbors_of_another_graph(tmp_path: Path, neighbors: Path) -> None:
    other = write_metadata(tmp_path / "other", [{"center": "a.png", "text": "", "neighbors": []}], ["a.png"])
    told = error_of("export", other, "--out", other / "new.jsonl", "--neighbors", neighbors)
    assert "belongs to a graph with other nodes" in told


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (
            ["--out", "edges.tsv"],
            "--out: '.tsv' is not an export format. End it in .csv, .csv.gz, .parquet, .pt",
        ),
        (["--out", "metadata.jsonl"], "add --neighbors FILE"),
        (
            ["--out", "edges.csv", "--neighbors", "n.safetensors"],
            "--neighbors: goes with metadata.jsonl only",
        ),
        (["--out", "edges.csv", "--split", "test"], "--split: goes with metadata.jsonl only"),
        (["--out", "metadata.jsonl", "--neighbors", "nowhere"], "nowhere: no such file"),
        (["--out", "/dev/null/edges.csv"], "/dev/null is not a folder"),
    ],
)
def test_bad_options(folder: Path, arguments: list[str], problem: str) -> None:
    assert problem.lower() in error_of("export", folder, *arguments).lower()


def test_features(tmp_path: Path) -> None:
    file = tmp_path / "graph.pt"
    index = torch.tensor([[0], [1]])
    torch.save({"edge_index": index, "x": torch.ones(2, 3), "text_x": torch.zeros(2, 4).half()}, file)
    assert output_of("features", file) == "x\ntext_x\n"
    told = output_of("features", file, "--name", "text_x", "--out", tmp_path / "f.npy")
    assert told == f"{tmp_path / 'f.npy'}: 2 rows of 4, float16\n"
    assert np.load(tmp_path / "f.npy").shape == (2, 4)
    assert "has 2 vectors for each node" in error_of("features", file, "--out", tmp_path / "f.npy")
    assert "'f.pt' is not a .npy file" in error_of("features", file, "--out", tmp_path / "f.pt")


def test_features_that_are_not_finite_are_not_written(tmp_path: Path) -> None:
    rows = {"paper": torch.ones(2, 3), "author": torch.tensor([[1.0, 2, 3], [4, torch.nan, 6]])}
    torch.save(
        {("paper", "by", "author"): {"edge_index": torch.tensor([[0], [1]])}}
        | {kind: {"x": x} for kind, x in rows.items()},
        tmp_path / "graph.pt",
    )
    assert "graph.pt, 'x' of 'author': row 1, counted from 0, holds NaN or infinity" in error_of(
        "features", tmp_path / "graph.pt", "--out", tmp_path / "f.npy"
    )
    assert not (tmp_path / "f.npy").exists()


def test_a_source_without_features(tmp_path: Path) -> None:
    torch.save({"edge_index": torch.tensor([[0], [1]])}, tmp_path / "graph.pt")
    assert output_of("features", tmp_path / "graph.pt") == "there are none\n"
    (tmp_path / "edges.csv").write_text("src,dst\na,b\n")
    assert "the format edge_list has no vectors of nodes" in error_of("features", tmp_path / "edges.csv")


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.parquet", "e.pt"])
def test_an_export_is_the_same_each_time_and_says_nothing_of_the_machine(
    folder: Path, tmp_path: Path, name: str
) -> None:
    contents = []
    for place in ("one", "two"):
        output_of("export", folder, "--out", tmp_path / place / name)
        contents.append((tmp_path / place / name).read_bytes())
    assert contents[0] == contents[1]
    prefix = temporary_prefix(Path(name)).split(".")
    assert prefix[-2].encode() not in contents[0], "machine and process"
