from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.graphs import build_folder, read_source
from graphcond.graphs.reading.quotes import QuoteCheck
from graphcond.graphs.reading.tabular import read_csv

FINE = [
    "id,text\n1,2\n",
    'id,text\na,"x, y"\nb,"l1\nl2, ""q"" x"\n',
    'id,text\na,5" pipe\nb,"6"" x"\n',
    'id,text\na,"x\n""y"\n',
    '"id","text"\n"","c"\n',
    '\ufeff"id","text"\n1,2\n',
    'id,text\na,"5" pipe"\nb,c\n',
    'id,text\na,b"c\nd,e"f\n',
    'id,text\r\na,"x\r\n"""\r\n',
]
SWALLOWING = {
    'id,text\na,"star\nb,boat\nc,ring\n': (2, 5),
    'id,text\na,"star\nb,boat\nc,"ring"\nd,x\n': (2, 4),
    'id,text\na,"star\nb,"boat"\n': (2, 3),
    'id,text\na,"x""\nb,c\n': (2, 4),
    'id,text\na,"star\nb,""\nc,d\n': (2, 5),
    'id,text\na,5" pipe\nb,"star\nc,x\n': (3, 5),
    'id,text\nq,"fine"\na,"star\nb,boat': (3, 4),
}


def problem_of(text: str, size: int) -> str | None:
    check = QuoteCheck(io.BytesIO(text.encode()), Path("f.csv"), ",")
    while check.read(size):
        pass
    return None if check.problem is None else check.problem.problem


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_quotes_in_pieces_of_any_size(size: int) -> None:
    assert [problem_of(text, size) for text in FINE] == [None] * len(FINE)
    for text, (opened, closed) in SWALLOWING.items():
        expected = f"the quote that opens in line {opened} is not closed before line {closed}"
        assert problem_of(text, size) == expected


CELLS = st.text(st.sampled_from('ab",\n é;'), max_size=6)


@given(st.lists(st.tuples(CELLS, CELLS), max_size=6), st.integers(1, 40), st.booleans())
def test_what_a_csv_writer_writes_is_fine(rows: list[tuple[str, str]], size: int, all_quoted: bool) -> None:
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL if all_quoted else csv.QUOTE_MINIMAL).writerows(rows)
    assert problem_of(written.getvalue(), size) is None


@pytest.mark.parametrize("text", SWALLOWING)
@pytest.mark.parametrize("ending", [".csv", ".csv.gz"])
def test_rows_are_not_swallowed(text: str, ending: str, tmp_path: Path) -> None:
    content = text.encode()
    (tmp_path / f"nodes{ending}").write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    (tmp_path / "edges.csv").write_text("src,dst\na,a\n")
    with pytest.raises(InputError, match=rf"nodes\{ending}: the quote that opens in line \d is not closed"):
        build_folder(tmp_path, tmp_path / "graph", skip_bad_rows=True)
    with pytest.raises(InputError, match="is not closed"):
        read_csv(tmp_path / f"nodes{ending}")


@pytest.mark.parametrize("text", FINE[1:4])
def test_rows_that_are_fine_are_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text(text)
    (tmp_path / "edges.csv").write_text("src,dst\n")
    assert len(read_source(tmp_path).nodes) == len(list(csv.reader(io.StringIO(text)))) - 1


def test_cells_that_look_like_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "nodes.csv").write_text('id,text\na,"star\nb,boat"\nc,"A boat,\nred, and old"\nd,"x\ny"\n')
    (tmp_path / "edges.csv").write_text("src,dst\n")
    graph = read_source(tmp_path).graph()
    assert list(graph.nodes.ids) == ["a", "c", "d"]
    assert graph.tally.left_out["rows"] == {"perhaps inside a cell with line breaks": 1}
