"""Control codes in data are shown on the terminal, not obeyed."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from rich.table import Table

from graphcond.io.terminal import console, plain, say

PACKAGE = Path(__file__).parents[2] / "graphcond"


def test_control_codes_are_shown() -> None:
    assert plain("a\x1b[2J\x07b\x9bc\r\x7f") == r"a\u001b[2J\u0007b\u009bc\u000d\u007f"
    assert plain("\u202eabc\u2066\u200f\u2028") == r"\u202eabc\u2066\u200f\u2028"
    assert plain("\ud800") == r"\ud800"


@pytest.mark.parametrize("text", ["", "two\nlines\tand", "für 日本語 👩‍👩‍👧 naïve", "می‌خواهم", "a\u00a0b"])
def test_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_json_stays_json(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"id": 'a\x1b\x9b\u202e\n"', "n": 1}
    say(json.dumps(value, ensure_ascii=False, indent=2))
    shown = capsys.readouterr().out
    assert json.loads(shown) == value
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown)


def test_tables_show_them_too(capsys: pytest.CaptureFixture[str]) -> None:
    table = Table("x\x1b[2J", title="t\x1b]0;me\x07")
    table.add_row("\u202ecell :cat:")
    console().print(table)
    console().print("line\x9b")
    shown = capsys.readouterr().out
    assert r"x\u001b[2J" in shown
    assert r"\u202ecell :cat:" in shown
    assert r"line\u009b" in shown
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown)


def test_the_package_prints_nowhere_else() -> None:
    direct = re.compile(r"(?<![\w.])print\(|typer\.echo|(?<!Plain)Console\((?!quiet=True|Console\))")
    places = [
        f"{file.relative_to(PACKAGE)}: {line.strip()}"
        for file in sorted(PACKAGE.rglob("*.py"))
        if file.name != "terminal.py"
        for line in file.read_text(encoding="utf-8").splitlines()
        if direct.search(line) and "def print(" not in line and "file=sys.stderr" not in line
    ]
    assert not places
