"""What was measured is found again, or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphcond.sweep.record import CONTENT, EVIDENCE, read_scored, write_scored
from graphcond.sweep.scores.base import Example, Scored
from tests.evaluation.doubles import plain
from tests.sweep.builders import figure

SCORED = Scored(
    [figure("m", 0.5), figure("m", 0.2, "no_graph")],
    ["a note"],
    [Example("one", plain("red"), truth=plain("blue"), right=True), Example("two", plain("green"))],
)


def test_what_was_kept_is_found_again(tmp_path: Path) -> None:
    write_scored(tmp_path / "a", SCORED, seed=0)
    write_scored(tmp_path / "b", SCORED, seed=0)
    found = read_scored(tmp_path / "a")
    assert found is not None
    for one, other in zip(found.figures, SCORED.figures, strict=True):
        assert np.array_equal(one.evidence, other.evidence)
        assert (one.metric, one.arm, one.n, one.how, one.targets) == (
            other.metric,
            other.arm,
            other.n,
            other.how,
            other.targets,
        )
    assert list(found.notes) == ["a note"]
    first, second = found.examples
    assert (first.label, first.right, first.drawn.getpixel((0, 0))) == ("one", True, (255, 0, 0))
    assert first.truth is not None
    assert (second.truth, second.graph, second.right) == (None, None, None)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"figures": [{"metric": "m"}], "notes": []}'])
def test_broken_scores_are_measured_anew(tmp_path: Path, content: str) -> None:
    write_scored(tmp_path / "a", SCORED, seed=0)
    (tmp_path / "a" / CONTENT).write_text(content)
    assert read_scored(tmp_path / "a") is None


@pytest.mark.parametrize("lost", [EVIDENCE, "000-drawn.png", "examples.json"])
def test_scores_that_lost_a_file_are_measured_anew(tmp_path: Path, lost: str) -> None:
    write_scored(tmp_path / "a", SCORED, seed=0)
    (tmp_path / "a" / lost).unlink()
    assert read_scored(tmp_path / "a") is None
    (tmp_path / "a" / lost).write_bytes(b"cut sh")
    assert read_scored(tmp_path / "a") is None
