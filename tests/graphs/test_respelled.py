"""An id in another spelling is offered wherever a node is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from graphcond.cli.sample import sample
from graphcond.data.dataset import GraphDataset
from graphcond.errors import InputError
from graphcond.graphs import read_source
from tests.graphs.graphs import write_metadata

SPELLINGS = [("1.0", "1"), ("001", "1"), ("1", "1.0"), ("e\u0301", "\u00e9"), ("a ", "a"), ("B0a", "b0A")]


@pytest.mark.parametrize(("node", "asked"), SPELLINGS)
def test_ends_of_edges(node: str, asked: str, tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(f"id,text\n{node},star\nx,boat\n")
    (tmp_path / "edges.csv").write_text(f"src,dst\nx,{asked}\n")
    with pytest.raises(InputError, match="there is no node") as caught:
        read_source(tmp_path)
    assert f"Did you mean '{node}'? It differs in" in str(caught.value)
    (tmp_path / "edges.csv").write_text(f"src,dst\nx,{node}\n")
    graph = read_source(tmp_path).graph()
    with pytest.raises(InputError, match="there is no node") as caught:
        GraphDataset(graph).rows_of(asked)
    assert f"Did you mean '{node}'? It differs in" in str(caught.value)


def test_ends_of_dgl_csv_and_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "meta.yaml").write_text(
        "node_data:\n- file_name: nodes.csv\nedge_data:\n- file_name: edges.csv\n"
    )
    (tmp_path / "nodes.csv").write_text("node_id\n1.0\n2.0\n")
    (tmp_path / "edges.csv").write_text("src_id,dst_id\n1,2\n")
    with pytest.raises(InputError, match=r"no node '1'. Did you mean '1\.0'"):
        read_source(tmp_path)
    (tmp_path / "edges.csv").write_text("src_id,dst_id\n1.0,2.0\n")
    import typer

    app = typer.Typer()
    app.command()(sample)
    result = CliRunner().invoke(app, [str(tmp_path), "--target", "2"])
    assert "Did you mean '2.0'? It differs in how the number is written" in str(result.exception)


def test_texts_of_ogb_and_pictures_of_metadata(tmp_path: Path) -> None:
    folder = write_metadata(tmp_path, [{"center": "A.png", "text": "t", "neighbors": []}], ["a.png"])
    with pytest.raises(
        InputError, match=r"'A\.png' is not a file .* Did you mean 'a\.png'\? It differs in capitals"
    ):
        read_source(folder)
