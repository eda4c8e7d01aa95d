from __future__ import annotations

import gzip
import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.errors import InputError, StorageError
from graphcond.graphs import build_folder, open_graph, read_source, save_graph
from graphcond.graphs.building.on_disk import Room
from graphcond.graphs.store import check_sums, read_manifest
from graphcond.io.files import sweep
from tests.graphs.graphs import assert_same, edge_pairs, write_metadata


@contextmanager
def little_room(block: int = 32, arcs: int = 5) -> Iterator[None]:
    """So little memory that a dozen edges take several batches, runs and merges."""
    with patch("graphcond.graphs.building.on_disk.room_within", lambda memory: Room(block, arcs)):
        yield


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def check_same_as_in_memory(
    source: Path, out: Path, *, directed: bool = False, block: int = 32, arcs: int = 5
) -> None:
    save_graph(read_source(source).graph(directed=directed), out / "in_memory")
    with little_room(block, arcs):
        build_folder(source, out / "on_disk", directed=directed)
    assert contents(out / "on_disk") == contents(out / "in_memory")
    assert sorted(file.name for file in out.iterdir() if file.is_dir()) == ["in_memory", "on_disk"]


EXTRA = st.sampled_from([(), ("weight",), ("type",), ("type", "weight")])


@given(edge_pairs(), st.booleans(), EXTRA, st.booleans(), st.data())
@settings(max_examples=30, deadline=None)
def test_the_same_bytes_as_in_memory(
    tmp_path_factory: pytest.TempPathFactory,
    drawn: tuple[int, list[tuple[int, int]]],
    directed: bool,
    extra: tuple[str, ...],
    lone: bool,
    data: st.DataObject,
) -> None:
    count, pairs = drawn
    columns = {"src": [f"n{a}" for a, _ in pairs], "dst": [f"n{b}" for _, b in pairs]}
    values = {"weight": st.floats(0, 2.0**100, width=32).map(str), "type": st.sampled_from(["x", "", "a b"])}
    for name in extra:
        columns[name] = data.draw(st.lists(values[name], min_size=len(pairs), max_size=len(pairs)))
    folder = tmp_path_factory.mktemp("any")
    lines = [",".join(columns), *map(",".join, zip(*columns.values(), strict=True))]
    (folder / "edges.csv").write_text("\n".join(lines) + "\n")
    if not lone:
        (folder / "nodes.csv").write_text("id,text\n" + "".join(f"n{row},t\n" for row in range(count)))
    check_same_as_in_memory(folder / "edges.csv" if lone else folder, folder, directed=directed)


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "jsonl", "parquet"])
def test_every_format_in_many_batches(tmp_path: Path, ending: str) -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 90, (1000, 2))
    edges = tmp_path / f"edges.{ending}"
    text = "".join(f"{a},{b}\n" for a, b in ends.tolist())
    if ending == "csv":
        edges.write_text(f"src,dst\n{text}")
    elif ending == "csv.gz":
        edges.write_bytes(gzip.compress(f"src,dst\n{text}".encode()))
    elif ending == "jsonl":
        edges.write_text("".join(json.dumps({"src": a, "dst": b}) + "\n" for a, b in ends.tolist()))
    else:
        pa.parquet.write_table(pa.table({"src": ends[:, 0], "dst": ends[:, 1]}), edges, row_group_size=70)
    check_same_as_in_memory(edges, tmp_path, block=2048, arcs=500)


def test_what_is_told(tmp_path: Path) -> None:
    (tmp_path / "links.csv").write_text("src,dst\nb,a\na,c\nb,a\nc,c\n")
    told: list[tuple[str, int, int]] = []
    with little_room():
        built = build_folder(
            tmp_path / "links.csv",
            tmp_path / "graph",
            watch=lambda task: lambda done, total: told.append((task, done, total)),
        )
    assert (built.edges_read, built.self_loops, len(built.graph), len(built.graph.indices)) == (4, 1, 3, 4)
    assert told[0][0] == "reading links.csv (MiB)"
    assert ("merging edges of nodes", 3, 3) in told


def test_other_formats_are_built_in_memory(tmp_path: Path) -> None:
    source = write_metadata(
        tmp_path / "paintings",
        [{"center": "a.png", "text": "an a", "neighbors": ["b.png", "a.png"]}],
        ["a.png", "b.png"],
    )
    built = build_folder(source, tmp_path / "graph")
    assert (built.edges_read, built.self_loops) == (2, 1)
    assert_same(open_graph(tmp_path / "graph"), built.graph)


@pytest.mark.parametrize("lone", [True, False])
def test_a_graph_without_edges(tmp_path: Path, lone: bool) -> None:
    (tmp_path / "edges.csv").write_text("src,dst\n")
    if not lone:
        (tmp_path / "nodes.csv").write_text("id,text\n")
    check_same_as_in_memory(tmp_path / "edges.csv" if lone else tmp_path, tmp_path)
    assert len(open_graph(tmp_path / "on_disk")) == 0


def test_a_graph_of_one_node(tmp_path: Path) -> None:
    (tmp_path / "edges.csv").write_text("src,dst\na,a\n")
    (tmp_path / "nodes.csv").write_text("id,text\na,alone\n")
    check_same_as_in_memory(tmp_path, tmp_path)
    assert open_graph(tmp_path / "on_disk").degrees.tolist() == [0]


def test_ids_of_any_kind_are_text_and_stay_so(tmp_path: Path) -> None:
    ids = ["-1", "007", "7", "99999999999999999999", "2147483648", "ü", "1.0", "0x10"]
    rows = "".join(f"{a},{b}\n" for a, b in pairwise(ids))
    (tmp_path / "links.csv").write_text(f"src,dst\n{rows}")
    check_same_as_in_memory(tmp_path / "links.csv", tmp_path)
    graph = open_graph(tmp_path / "on_disk")
    assert list(graph.nodes.ids) == ids
    assert graph.degrees.tolist() == [1, 2, 2, 2, 2, 2, 2, 1]


MANY, HEAVY = "a,b\n" * 100, "a,b,1\n" * 100


@pytest.mark.parametrize(
    ("edges", "problem"),
    [
        (f"src,dst\n{MANY}b,z\n", r"edges\.csv, row 101: there is no node 'z'"),
        (f"src,dst\n{MANY}-1,a\n", r"edges\.csv, row 101: there is no node '-1'"),
        (f"src,dst\n{MANY}99999999999999999999,a\n", r"row 101: there is no node '99999999999999999999'"),
        (f"src,dst\n{MANY}a,\n", r"edges\.csv, row 101: 'dst' is empty"),
        (
            f"src,dst\n{MANY}a;b\n",
            r"edges\.csv: the file cannot be .*Row #102: Expected 2 columns, got 1",
        ),
        ("src;dst\na;b\n", r"edges\.csv: the columns are separated by ';', not by commas. Write"),
        ("src\tdst\na\tb,c\n", r"edges\.csv: the columns are separated by tabs, not by commas"),
        ("a,b\nb,a\n", r"edges\.csv: there is no column 'src' \(there is a, b\)"),
        (f"src,dst,weight\n{HEAVY}a,b,nan\n", r"row 101: the weight is 'nan'"),
        (f"src,dst,weight\n{HEAVY}a,b,-2\n", r"row 101: the weight is '-2'"),
        ("src,dst,weight\na,b,3e38\nb,a,3e38\n", r"the weights of a repeated edge sum to 6e\+38"),
        (
            "src,dst,type\n" + "".join(f"a,b,{kind}\n" for kind in range(300)),
            "more than 256 edge types",
        ),
    ],
)
def test_bad_edges_leave_the_old_folder(tmp_path: Path, edges: str, problem: str) -> None:
    (tmp_path / "nodes.csv").write_text("id,text\na,1\nb,2\n")
    (tmp_path / "edges.csv").write_text("src,dst\na,b\n")
    out = tmp_path / "out/graph"
    build_folder(tmp_path, out)
    (tmp_path / "edges.csv").write_text(edges)
    with pytest.raises(InputError, match=problem), little_room():
        build_folder(tmp_path, out)
    assert open_graph(out).degrees.tolist() == [1, 1]
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.parametrize(
    ("columns", "problem"),
    [({"weight": "w"}, "no column is called 'w'"), ({"wait": "w"}, "no column 'wait' to rename")],
)
def test_a_column_map_that_names_no_column(tmp_path: Path, columns: dict[str, str], problem: str) -> None:
    (tmp_path / "links.csv").write_text("src,dst\na,b\n")
    with pytest.raises(InputError, match=problem):
        build_folder(tmp_path / "links.csv", tmp_path / "graph", columns=columns)


def test_lines_that_bring_a_column_late(tmp_path: Path) -> None:
    lines = ['{"src": "a", "dst": "b"}'] * 5
    (tmp_path / "links.jsonl").write_text("\n".join([*lines, '{"src": "a", "dst": "b", "weight": 2}']))
    with (
        pytest.raises(InputError, match=r"links\.jsonl, row 6: earlier rows have no 'weight'"),
        little_room(),
    ):
        build_folder(tmp_path / "links.jsonl", tmp_path / "graph")


@pytest.mark.parametrize("ending", ["csv.gz", "parquet"])
def test_a_file_cut_short(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"links.{ending}"
    numbers = np.random.default_rng(0).integers(0, 10**9, (5000, 2)).tolist()
    if ending == "parquet":
        pa.parquet.write_table(
            pa.table(dict(zip(("src", "dst"), zip(*numbers, strict=True), strict=True))), file
        )
    else:
        text = "src,dst\n" + "".join(f"{a},{b}\n" for a, b in numbers)
        file.write_bytes(gzip.compress(text.encode()))
    file.write_bytes(file.read_bytes()[:-500])
    with (
        pytest.raises(InputError, match=rf"links\.{ending}: the file cannot be read"),
        little_room(block=4096, arcs=999),
    ):
        build_folder(file, tmp_path / "out/graph")
    assert not list((tmp_path / "out").iterdir())


@pytest.fixture
def links(tmp_path: Path) -> Path:
    """A star of 2,000 nodes: its runs and arrays are larger than its other files."""
    (tmp_path / "links.csv").write_text("src,dst\n" + "".join(f"0,{node}\n" for node in range(1, 2000)))
    return tmp_path / "links.csv"


@pytest.mark.parametrize("limit", [1_000, 15_000, 17_000, 34_000])
def test_a_disk_that_fills(links: Path, limit: int) -> None:
    out = links.parent / "out/graph"
    (links.parent / "old.csv").write_text("src,dst\na,b\n")
    build_folder(links.parent / "old.csv", out)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(StorageError, match=r"graph: cannot be written .*make room on its disk"):
            build_folder(links, out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(open_graph(out)) == 2
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named(links: Path) -> None:
    with (
        patch("graphcond.graphs.building.on_disk.SortedRuns._file", lambda *_: Path("/dev/full")),
        pytest.raises(StorageError, match=r"cannot be written \(No space left on device\)"),
    ):
        build_folder(links, links.parent / "graph")


KILLED = """
import sys, time
from graphcond.graphs import build_folder
def stop(done, total):
    print("here", flush=True)
    time.sleep(60)
def watch(task):
    return stop if task.startswith(sys.argv[3]) else lambda *_: None
build_folder(sys.argv[1], sys.argv[2], watch=watch)
"""


@pytest.mark.parametrize("step", ["reading", "merging"])
def test_a_kill_leaves_no_folder(links: Path, step: str) -> None:
    out = links.parent / "graph"
    command = [sys.executable, "-c", KILLED, str(links), str(out), step]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[3]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"here\n"
        process.send_signal(signal.SIGKILL)
    assert not out.exists()
    assert list(out.parent.glob(".*/runs"))
    sweep.cache_clear()  # what another command begins with
    build_folder(links, out)
    check_sums(out, read_manifest(out))
    assert not list(out.parent.glob(".*"))


@pytest.mark.parametrize("name", ["metadata.jsonl", "nodes.csv"])
def test_a_folder_that_may_not_be_replaced_is_refused_before_reading(tmp_path: Path, name: str) -> None:
    out, source = tmp_path / "out", tmp_path / "source"
    for folder, file in ((out, "thesis.tex"), (source, name)):
        folder.mkdir()
        (folder / file).write_text("no graph")
    with pytest.raises(InputError, match="out: the folder exists and is not a graph folder"):
        build_folder(source, out)


def test_too_little_memory(links: Path) -> None:
    with pytest.raises(InputError, match=r"--memory: 1 MiB of memory are not enough. Give at least \d+MiB"):
        build_folder(links, links.parent / "graph", memory=2**20)
    assert not (links.parent / "graph").exists()
