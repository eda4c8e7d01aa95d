"""The Python of docs/reports.md runs as it stands."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import ROOT, blocks
from tests.report.test_page import full_run


def test_the_python_blocks_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full_run(tmp_path / "outputs" / "mine")
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for block in blocks(ROOT / "docs" / "reports.md", "python"):
        exec(block.compiled(), namespace)
    assert namespace["run"].gap.n == 8
    assert "| paintings | 25.0 [10.0, 40.0] |" in capsys.readouterr().out
