from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from graphcond.errors import InputError
from graphcond.intervals import Measurement
from graphcond.report import Table
from graphcond.report.table import latex, number
from tests.report.latex import check_latex

HOSTILE = r"a & b_c 100% $x$ #1 {y} ~ ^ \input{/etc/passwd} | <b> [red] \\ " + "\x1b[31m\n=1+1 ±−↑"


def table(name: str = "plain") -> Table:
    return Table.of(
        [
            {"run": name, "steps": 1200, "gap": Measurement("gap", 2.5, 1.25, 4, 64), "note": None},
            {"run": "b", "steps": 7, "gap": Measurement("gap", 1 / 3, 0, 0.5, 64), "seconds": 0.00123},
        ],
        title=f"Runs of {name}",
        notes=["in brackets 95 % intervals"],
    )


def test_markdown_gives_intervals_and_n_once() -> None:
    lines = table().to_markdown().splitlines()
    assert lines[2] == "| run | steps | gap (n = 64) | note | seconds |"
    assert lines[3] == "| --- | ---: | ---: | --- | ---: |"
    assert lines[4] == "| plain | 1,200 | 2.50 [1.25, 4] |  |  |"
    assert lines[5] == "| b | 7 | 0.333 [0, 0.500] |  | 0.00123 |"
    assert lines[-1] == "- in brackets 95 % intervals"


def test_figures_over_different_samples_each_say_how_many() -> None:
    uneven = Table.of([{"x": Measurement("x", 1.0, 0.5, 1.5, n)} for n in (8, 1200)])
    assert uneven.headings() == ["x"]
    assert uneven.texts() == [["1.00 [0.500, 1.50] (n = 8)"], ["1.00 [0.500, 1.50] (n = 1,200)"]]


def test_csv_reads_back_with_full_precision() -> None:
    rows = list(csv.DictReader(io.StringIO(table(HOSTILE).to_csv())))
    assert rows[0]["run"] == HOSTILE
    assert float(rows[1]["gap"]) == 1 / 3
    assert (rows[0]["gap_low"], rows[0]["gap_high"], rows[0]["gap_n"]) == ("1.25", "4", "64")
    assert rows[0]["seconds"] == ""


def test_every_sign_of_latex_is_escaped() -> None:
    text = table(HOSTILE).to_latex()
    assert "\\input" not in text
    assert r"\textbackslash{}input\{/etc/passwd\}" in text
    assert r"a \& b\_c 100\% \$x\$ \#1 \{y\} \textasciitilde{} \textasciicircum{}" in text
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    assert all(line.endswith(r"\\") for line in body.splitlines()[1:]), "a line break of a text broke a row"
    assert latex("plain 1.5") == "plain 1.5"


def test_latex_compiles(tmp_path: Path) -> None:
    check_latex(table(HOSTILE).to_latex(), tmp_path)
    for broken in (r"\begin{table}", "{", "a_b"):
        with pytest.raises(AssertionError):
            check_latex(table().to_latex() + broken, tmp_path)


def test_the_terminal_shows_every_cell_as_text() -> None:
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(table("[red]x[/red]").to_rich())
    shown = console.export_text()
    assert "[red]x[/red]" in shown
    assert "[1.25, 4]" in shown


def test_a_terminal_of_80_columns_shows_the_figures_whole() -> None:
    figures = [Measurement("gap", 30.2, 15.9, 41.2, n) for n in (64, 8)]
    rows = [
        {
            "run": f"paintings-{figure.n}",
            "recipe": "instructg2i",
            "when": "11-27 11:53",
            "steps": "30/30",
            "state": "finished",
            "loss": 0.372,
            "gap %": figure,
            "time": "60 s",
            "size": "8.1 MB",
        }
        for figure in figures
    ]
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(Table.of(rows).to_rich())
    shown = console.export_text()
    for whole in ("[15.9, 41.2]", "(n = 64)", "(n = 8)", "finished", "30/30", "8.1 MB", "0.372"):
        assert whole in shown, whole


def test_markdown_keeps_texts_in_their_cells() -> None:
    line = table("a|b\n`c` *d*").to_markdown().splitlines()[4]
    assert re.split(r"(?<!\\)\|", line)[1].strip() == r"a\|b \`c\` \*d\*"


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(InputError, match="expected 2 cells, got 1"):
        Table(("a", "b"), (("x",),))


def test_json_keeps_intervals() -> None:
    assert table().to_json()[0]["gap"] == {"name": "gap", "mean": 2.5, "low": 1.25, "high": 4, "n": 64}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.5, "0.500"),
        (12.345, "12.3"),
        (-123.45, "-123"),
        (12345.6, "12,346"),
        (1e-5, "1e-05"),
        (float("nan"), "-"),
        (3, "3"),
    ],
)
def test_numbers(value: float, text: str) -> None:
    assert number(value) == text
