"""Scores are kept beside a run and found again, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from graphcond.bench.scene_scores import keep_scores, kept_scores
from tests.bench.scene_builders import row
from tests.evaluation.doubles import plain

SCORES = row("sgcond-v").scores


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    keep_scores(tmp_path, "key", SCORES, [plain("red"), plain("blue")])
    found = kept_scores(tmp_path, "key")
    assert found is not None
    assert found[0] == SCORES
    assert [picture.getpixel((0, 0)) for picture in found[1]] == [(255, 0, 0), (0, 0, 255)]


def test_scores_of_other_weights_or_graphs_are_not(tmp_path: Path) -> None:
    assert kept_scores(tmp_path, "key") is None
    keep_scores(tmp_path, "key", SCORES, [])
    assert kept_scores(tmp_path, "other") is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"key": "key", "scores": {"report": {}}}'])
def test_broken_scores_are_measured_anew(tmp_path: Path, content: str) -> None:
    keep_scores(tmp_path, "key", SCORES, [])
    (tmp_path / "scores" / "scores.json").write_text(content)
    assert kept_scores(tmp_path, "key") is None
