"""The sweeps on the page about sweeps, and the score that it adds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphcond.sweep import config as sweep_config
from graphcond.sweep import load_sweep, run_sweep
from graphcond.sweep.config import SweepConfig, shipped_sweeps
from graphcond.sweep.rows import rows_of
from graphcond.sweep.scores import config as score_config
from graphcond.sweep.verdicts import config as verdict_config
from tests.docs.blocks import ROOT, blocks
from tests.plugins import install

PAGE = ROOT / "docs" / "sweeps.md"
TEXT = PAGE.read_text(encoding="utf-8")


def written(tmp_path: Path, number: int) -> Path:
    file = tmp_path / "sweep.yaml"
    file.write_text(blocks(PAGE, "yaml")[number].text)
    return file


def test_the_first_sweep_has_the_rows_that_the_page_says(tmp_path: Path) -> None:
    config, place = load_sweep(written(tmp_path, 0))
    rows = rows_of(config, place)
    assert len(rows) == 2 * 2 * 2 * 3
    assert rows[0].name == "rank=4, few, tokens, seed 0"


def test_the_tables_name_every_key_and_kind() -> None:
    named = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE))))
    assert set(SweepConfig.model_fields) - {"name", "description"} <= named
    assert set(score_config.SCORES) <= named
    assert all(f"`{kind}`" in TEXT for kind in verdict_config.VERDICTS)
    assert all(f"`{name}`" in TEXT for name in shipped_sweeps())


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Any]:
    """The page's package, installed; the registry of scores is read anew, as in a new process."""
    from importlib import reload

    (source,) = (block.text for block in blocks(PAGE, "python"))
    (tmp_path / "site").mkdir()
    entry = {"graphcond.scores": "degree = mypackage:DegreeConfig"}
    install(monkeypatch, tmp_path / "site", "mypackage", source, entry)
    for name in ("SCORES", "AnyScore"):
        vars(score_config).pop(name, None)
    yield reload(sweep_config)
    monkeypatch.undo()
    for name in ("SCORES", "AnyScore"):
        vars(score_config).pop(name, None)
    reload(sweep_config)


def test_a_score_of_another_package(plugin: Any, tmp_path: Path) -> None:
    config, place = plugin.load_sweep(written(tmp_path, 1))
    state = run_sweep(config, place, tmp_path / "out", device="cpu")
    assert state.results is not None
    assert not state.failed
    values = {group.name: group.values["degree", ""].over_targets for group in state.results.groups}
    assert set(values) == {"ppr", "khop"}
    assert all(value.n == 20 and value.mean > 1 for value in values.values())
    assert "degree" in (tmp_path / "out" / "table.md").read_text()
