"""A graph folder whose files were changed is refused when it is opened, whatever its checksums say."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from graphcond.errors import InputError
from graphcond.graphs import open_graph, save_graph
from graphcond.graphs import store as stored
from graphcond.graphs.store import Files, describe
from tests.graphs.graphs import rich_graph


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_graph(rich_graph(tmp_path / "pictures"), tmp_path / "graph")
    return tmp_path / "graph"


def sign(folder: Path) -> None:
    """Write the checksums of the files as they are now."""
    manifest = json.loads((folder / "graph.json").read_text())
    for part in Files.model_fields:
        file = folder / stored.file_name(part)
        if file.exists():
            manifest["files"][part] = describe(file).model_dump()
    (folder / "graph.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "name", ["indptr.npy", "indices.npy", "weights.npy", "edge_types.npy", "given.npy", "nodes.arrow"]
)
def test_a_flipped_bit_is_found_when_the_folder_is_opened(folder: Path, name: str) -> None:
    open_graph(folder)  # what passed once must not hide the change
    content = bytearray((folder / name).read_bytes())
    content[-9] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=name):
        open_graph(folder)


@pytest.mark.parametrize(
    ("part", "entry", "value", "problem"),
    [
        ("indptr", 1, 99, "offset from 0 to 6 at entry 1, got 99"),
        ("indptr", 1, -2, "offset from 0 to 6 at entry 1, got -2"),
        ("indptr", 2, 1, "offsets that rise"),
        ("indptr", 0, 1, "offsets that rise"),
        ("indices", 3, 4, "node below 4 at entry 3, got 4"),
        ("indices", 0, -1, "node below 4 at entry 0, got -1"),
        ("weights", 2, np.nan, "finite weight >= 0 at entry 2, got nan"),
        ("weights", 2, np.inf, "finite weight >= 0 at entry 2, got inf"),
        ("weights", 5, -0.5, "finite weight >= 0 at entry 5, got -0.5"),
        ("edge_types", 4, 255, "type below 2 at entry 4, got 255"),
        ("given", 0, 7, "node below 4, or -1 at entry 0, got 7"),
        ("given", 0, -2, "node below 4, or -1 at entry 0, got -2"),
    ],
)
def test_an_entry_that_no_graph_has(folder: Path, part: str, entry: int, value: float, problem: str) -> None:
    file = folder / f"{part}.npy"
    array = np.load(file)
    array.reshape(-1)[entry] = value
    np.save(file, array)
    sign(folder)
    with pytest.raises(InputError, match=rf"{part}\.npy: expected.* {problem}"):
        open_graph(folder)


def raised_offset(table: pa.Table) -> pa.Table:
    """The table with an offset of its texts beyond their buffer."""
    text = table["text"].combine_chunks()
    valid, offsets, content = text.buffers()
    moved = np.frombuffer(offsets, np.int64).copy()
    moved[1] += 2**40
    broken = pa.Array.from_buffers(text.type, len(text), [valid, pa.py_buffer(moved.tobytes()), content])
    return table.set_column(table.column_names.index("text"), "text", broken)


def not_utf8(table: pa.Table) -> pa.Table:
    binary = pa.array([b"\xff\xfe"] * len(table), pa.large_binary())
    text = pa.Array.from_buffers(pa.large_string(), len(table), binary.buffers())
    return table.set_column(table.column_names.index("text"), "text", text)


def with_column(name: str, column: object) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.set_column(table.column_names.index(name), name, column)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (raised_offset, "the node table is damaged"),
        (not_utf8, "the node table is damaged"),
        (with_column("id", pa.array(["a", None, "c", "d"])), "'id' holds a null"),
        (with_column("split", pa.array(["a", None, "c", "d"])), "'split' holds a null"),
        (with_column("id", pa.array([1, 2, 3, 4])), "expected strings in the column 'id', got int64"),
        (lambda table: table.drop_columns("text"), "no column 'text'"),
        (lambda table: table.append_column("id", table["id"]), "'id' occurs twice"),
    ],
)
def test_a_node_table_that_is_not_sound(
    folder: Path, change: Callable[[pa.Table], pa.Table], problem: str
) -> None:
    file = folder / "nodes.arrow"
    with pa.ipc.open_file(pa.BufferReader(file.read_bytes())) as reader:
        table = change(reader.read_all())
    with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    sign(folder)
    with pytest.raises(InputError, match=rf"nodes\.arrow: .*{problem}"):
        open_graph(folder)


def test_the_content_is_read_once_until_a_file_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checked = []
    monkeypatch.setattr(stored, "check_sums", lambda *_: checked.append(1))
    open_graph(folder)
    open_graph(folder)
    assert len(checked) == 1
    os.utime(folder / "indices.npy", ns=(1, 1))
    open_graph(folder)
    assert len(checked) == 2


def test_a_cache_that_cannot_be_written_does_not_stop_opening(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "file"))
    assert len(open_graph(folder)) == 4
