from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest

from graphcond.errors import InputError
from graphcond.graphs import GraphSource, read_edge_list, read_tables
from tests.graphs.graphs import SHARED

NODES = {
    "id": ["007", "b", "c"],
    "text": ["a house,\nred", "", "c"],
    "image": ["x/a b.png", "", "c.png"],
    "split": ["train", "test", ""],
    "type": ["book", "author", "book"],
    "year": ["1900", "", "1902"],
}
EDGES = {
    "src": ["b", "007", "c"],
    "dst": ["007", "c", "007"],
    "type": ["writes", "cites", "cites"],
    "weight": ["1", "0.5", "2e0"],
}


def write_csv(columns: dict[str, list[str]], file: Path) -> None:
    pa.csv.write_csv(pa.table(columns), file)


def write_gzip(columns: dict[str, list[str]], file: Path) -> None:
    write_csv(columns, file)
    file.write_bytes(gzip.compress(file.read_bytes()))


def write_lines(columns: dict[str, list[str]], file: Path) -> None:
    rows = [{name: value or None for name, value in row.items()} for row in pa.table(columns).to_pylist()]
    file.write_text("\n".join(json.dumps(row) for row in rows))


def write_parquet(columns: dict[str, list[str]], file: Path) -> None:
    table = pa.table({name: [value or None for value in column] for name, column in columns.items()})
    if "weight" in columns:
        table = table.set_column(3, "weight", table["weight"].cast(pa.float64()))
    if "type" in columns:
        place = table.column_names.index("type")
        table = table.set_column(place, "type", table["type"].dictionary_encode())
    pa.parquet.write_table(table, file)


WRITERS: dict[str, Callable[[dict[str, list[str]], Path], None]] = {
    ".csv": write_csv,
    ".csv.gz": write_gzip,
    ".jsonl": write_lines,
    ".parquet": write_parquet,
}


def check(source: GraphSource) -> None:
    nodes = source.nodes
    assert list(nodes.ids) == NODES["id"]
    assert list(nodes.texts) == NODES["text"]
    assert list(nodes.pictures) == ["x/a b.png", None, "c.png"]
    assert nodes.splits is not None
    assert list(nodes.splits) == NODES["split"]
    assert nodes.types is not None
    assert list(nodes.types) == NODES["type"]
    assert {name: list(column) for name, column in nodes.attributes.items()} == {"year": NODES["year"]}
    graph = source.graph()
    assert [graph.neighbors(node).tolist() for node in range(3)] == [[1, 2], [0], [0]]
    assert graph.weights is not None
    assert graph.weights.tolist() == [1.0, 2.5, 1.0, 2.5]
    assert graph.edge_type_names == ("cites", "writes")
    assert graph.edge_types is not None
    assert graph.edge_types.tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize("nodes", WRITERS)
@pytest.mark.parametrize("edges", WRITERS)
def test_every_format(tmp_path: Path, nodes: str, edges: str) -> None:
    WRITERS[nodes](NODES, tmp_path / f"nodes{nodes}")
    WRITERS[edges](EDGES, tmp_path / f"edges{edges}")
    check(read_tables(tmp_path))


def write(folder: Path, nodes: str, edges: str) -> Path:
    (folder / "nodes.csv").write_text(nodes)
    (folder / "edges.csv").write_text(edges)
    return folder


def test_numbers_as_ids(tmp_path: Path) -> None:
    pa.parquet.write_table(pa.table({"id": [7, 8], "text": ["a", "b"]}), tmp_path / "nodes.parquet")
    (tmp_path / "edges.jsonl").write_text('{"src": 7, "dst": "8"}')
    source = read_tables(tmp_path)
    assert list(source.nodes.ids) == ["7", "8"]
    assert source.edges.targets.tolist() == [1]


def test_renamed_columns(tmp_path: Path) -> None:
    folder = write(tmp_path, "asin,title,text\n1,one,long\n2,two,long\n", "from,dst\n1,2\n")
    source = read_tables(folder, {"id": "asin", "text": "title", "src": "from"})
    assert list(source.nodes.texts) == ["one", "two"]
    assert source.nodes.attributes == {}
    with pytest.raises(InputError, match="no column is called 'path'"):
        read_tables(folder, {"id": "asin", "src": "from", "image": "path"})
    with pytest.raises(InputError, match="Did you mean 'image'"):
        read_tables(folder, {"imag": "path"})


def test_a_byte_order_mark_and_quotes(tmp_path: Path) -> None:
    folder = write(tmp_path, '\ufeffid,text\n"a,1","say ""hi"""\n', "src,dst\n")
    source = read_tables(folder)
    assert (list(source.nodes.ids), list(source.nodes.texts)) == (["a,1"], ['say "hi"'])
    assert len(source.edges) == 0


def test_long_tables_of_texts_with_line_breaks(tmp_path: Path) -> None:
    text = "a line\n" * 20
    rows = "".join(f'{row},"{text}"\n' for row in range(10_000))
    source = read_tables(write(tmp_path, f"id,text\n{rows}", "src,dst\n"))
    assert len(source.nodes) == 10_000
    assert set(source.nodes.texts) == {text}


GOOD_NODES, GOOD_EDGES = "id,text\na,1\nb,2\n", "src,dst\na,b\n"


@pytest.mark.parametrize(
    ("nodes", "edges", "problem"),
    [
        ("", GOOD_EDGES, r"nodes\.csv: the file cannot be read: .*[Ee]mpty"),
        (
            "id,text\na,1\nb,2,3\n",
            GOOD_EDGES,
            r"nodes\.csv: the file cannot be read: .*Row #3: Expected 2 columns, got 3",
        ),
        ("id\na\n", GOOD_EDGES, r"nodes\.csv: there is no column 'text' \(there is id\)"),
        ("id,text,id\na,1,b\n", GOOD_EDGES, r"nodes\.csv: there are two columns 'id'"),
        ("id,text\na,1\n,2\n", GOOD_EDGES, r"nodes\.csv, row 2: 'id' is empty"),
        ("id,text\na,1\nb,2\na,3\n", GOOD_EDGES, r"nodes\.csv, row 3: the id 'a' occurs a second time"),
        ("id,text,image\na,1,x.png\nb,2,../x.png\n", GOOD_EDGES, r"nodes\.csv, row 2: the path .* leaves"),
        ("id,text,image\na,1,x\0.png\n", GOOD_EDGES, r"nodes\.csv, row 1: .* is not a path"),
        (GOOD_NODES, "src,dst\na,b\nb,z\n", r"edges\.csv, row 2: there is no node 'z'"),
        (GOOD_NODES, "src,dst\na,\n", r"edges\.csv, row 1: 'dst' is empty"),
        (GOOD_NODES, "src,zu\na,b\n", r"edges\.csv: there is no column 'dst'.*--column dst="),
        (GOOD_NODES, "src,dst,weight\na,b,1\na,b,-1\n", r"edges\.csv, row 2: the weight is '-1'"),
        (GOOD_NODES, "src,dst,weight\na,b,nan\n", r"edges\.csv, row 1: the weight is 'nan'"),
        (GOOD_NODES, "src,dst,weight\na,b,1e99\n", r"edges\.csv, row 1: the weight is '1e99'"),
        (GOOD_NODES, "src,dst,weight\na,b,1\na,b,\n", r"edges\.csv, row 2: the weight is ''"),
        (GOOD_NODES, "src,dst,weight\na,b,heavy\n", r"edges\.csv, row 1: the weight is 'heavy'"),
    ],
)
def test_bad_tables(tmp_path: Path, nodes: str, edges: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_tables(write(tmp_path, nodes, edges))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("nodes.csv", b"id,text\na,\xff\n", "UTF8"),
        ("nodes.csv.gz", gzip.compress(b"id,text\na,1\n" * 99, mtime=0)[:-9], "cannot be read"),
        ("nodes.csv.gz", b"id,text\na,1\n", "cannot be read"),
        ("nodes.parquet", b"PAR1 and nothing more", "cannot be read"),
        ("nodes.jsonl", b'{"id": "a"\n', r":1: the text is not JSON"),
        ("nodes.jsonl", b'{"id": "a", "text": [1]}', ":1: 'text' is a list"),
    ],
)
def test_unreadable_files(tmp_path: Path, name: str, content: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "edges.csv").write_text(GOOD_EDGES)
    with pytest.raises(InputError, match=rf"{name}.*{problem}"):
        read_tables(tmp_path)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "edges", [b"src,dst\na,b\n\xff\n", b"src,dst\na,\xff\n", bytes(range(256)) * 9, b"\0" * 2**21]
)
def test_what_is_no_text_is_one_short_error(
    tmp_path: Path, edges: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nodes.csv").write_text(GOOD_NODES)
    (tmp_path / "edges.csv").write_bytes(edges)
    with pytest.raises(InputError, match=r"edges\.csv: ") as caught:
        read_tables(tmp_path)
    assert len(str(caught.value)) < 600
    assert capfd.readouterr().err == ""


def test_a_header_of_several_lines(tmp_path: Path) -> None:
    source = read_tables(write(tmp_path, '\n"id",text,"two\nlines"\na,1,x\nb,2,y\n', GOOD_EDGES))
    assert list(source.nodes.attributes["two\nlines"]) == ["x", "y"]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"src": "from"}, r"edges\.csv: there is no column 'from'.*--column src="),
        ({"src": "dst"}, r"edges\.csv: the column 'dst' is named for both 'dst' and 'src'"),
        ({"id": "text"}, r"nodes\.csv: the column 'text' is named for both 'text' and 'id'"),
        ({"type": "a", "weight": "a"}, "the column 'a' is named for both"),
    ],
)
def test_bad_column_maps(tmp_path: Path, columns: dict[str, str], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read_tables(write(tmp_path, GOOD_NODES, "src,dst,a\na,b,1\n"), columns)


def test_a_renamed_column_goes_before_one_of_that_name(tmp_path: Path) -> None:
    source = read_tables(write(tmp_path, "id,image\na,1\nb,2\n", GOOD_EDGES), {"text": "image"})
    assert (list(source.nodes.texts), list(source.nodes.pictures)) == (["1", "2"], [None, None])


def test_a_column_of_vectors(tmp_path: Path) -> None:
    pa.parquet.write_table(
        pa.table({"id": ["a"], "text": ["1"], "clip": [[0.5]]}), tmp_path / "nodes.parquet"
    )
    (tmp_path / "edges.csv").write_text(GOOD_EDGES)
    with pytest.raises(InputError, match="column 'clip' holds list"):
        read_tables(tmp_path)


def test_missing_and_double_files(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(GOOD_NODES)
    with pytest.raises(InputError, match=r"there is no edges\.\*"):
        read_tables(tmp_path)
    (tmp_path / "nodes.jsonl").write_text("")
    with pytest.raises(InputError, match=r"both nodes\.csv and nodes\.jsonl"):
        read_tables(tmp_path)


def test_a_lone_edge_list(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text("src,dst\nb,a\na,c\nb,a\n")
    source = read_edge_list(tmp_path / "links.csv")
    assert list(source.nodes.ids) == ["b", "a", "c"]
    assert source.nodes.texts == ["", "", ""]
    assert (source.edges.sources.tolist(), source.edges.targets.tolist()) == ([0, 1, 0], [1, 2, 1])
    with pytest.raises(InputError, match="is not a table"):
        read_edge_list(tmp_path / "links.txt")


@pytest.mark.skipif(not (SHARED / "graphs").is_dir(), reason="needs the shared data folder")
def test_citeseer() -> None:
    file = SHARED / "graphs/citeseer_edges.csv"
    graph = read_edge_list(file).graph()
    lines = {frozenset(line.split(",")) for line in file.read_text().split()[1:]}
    assert len(graph.indices) == 2 * sum(1 for ends in lines if len(ends) == 2)
    np.testing.assert_array_equal(graph.degrees > 0, True)
