"""docs/interop.md: every row names a test that exists, and its code runs on a checkpoint of that layout."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.docs.blocks import ROOT, blocks
from tests.release_folder import write_release_folder

PAGE = (ROOT / "docs/interop.md").read_text(encoding="utf-8")
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "::" in line]
NAMED = [re.search(r"`([\w/]+\.py)::(\w+)` \|$", row) for row in ROWS]


def test_every_row_of_a_table_with_tests_names_one() -> None:
    tables = [table for table in re.split(r"\n\n", PAGE) if "| test |" in table.splitlines()[0]]
    assert len(tables) == 2
    assert sum(len(table.splitlines()) - 2 for table in tables) == len(ROWS)
    assert all(NAMED)


@pytest.mark.parametrize("named", [one for one in NAMED if one], ids=lambda one: f"{one[1]}::{one[2]}")
def test_the_test_is_there(named: re.Match[str]) -> None:
    tree = ast.parse((ROOT / "tests" / named[1]).read_text(encoding="utf-8"))
    assert named[2] in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_release_folder(tmp_path / "path" / "to" / "release")
    names: dict[str, Any] = {
        name: Image.new("RGB", (64, 64), color)
        for name, color in (("one", "red"), ("two", "blue"), ("three", "green"))
    }
    shown = blocks(ROOT / "docs/interop.md", "python")
    assert len(shown) == 2
    for block in shown:
        text = block.text.replace('"cuda"', '"cpu"')
        exec(block.compiled(text), names)
    assert names["pipe"].model.base.dtype.itemsize == 2
