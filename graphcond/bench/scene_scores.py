"""The scores of one experiment, kept beside its run so that they are not measured again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from graphcond.bench.swap import SwapResult
from graphcond.errors import InputError
from graphcond.evaluation import EvaluationReport, Measurement
from graphcond.io.files import atomic_folder, read_json, write_json
from graphcond.io.pictures import open_picture

FOLDER, CONTENT = "scores", "scores.json"


@dataclass(frozen=True)
class Scores:
    """Everything measured of one experiment.

    Args:
        report: the metrics over scene graphs in every arm.
        diversity: of several pictures of one graph, by arm.
        swap: the swap test.
    """

    report: EvaluationReport
    diversity: Mapping[str, Measurement]
    swap: SwapResult


def keep_scores(run: Path, key: str, scores: Scores, examples: Sequence[Image.Image]) -> None:
    """Write scores and example pictures into a run folder, whole or not at all.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    with atomic_folder(run / FOLDER) as folder:
        for number, picture in enumerate(examples):
            picture.save(folder / f"{number:02d}.png")
        write_json(folder / CONTENT, {"key": key, "scores": asdict(scores)})


def kept_scores(run: Path, key: str) -> tuple[Scores, list[Image.Image]] | None:
    """The scores that `keep_scores` wrote under the same key; None if there are no such scores."""
    folder = run / FOLDER
    try:
        content: Any = read_json(folder / CONTENT, nan=True)
        if content["key"] != key:
            return None
        pictures = [open_picture(file) for file in sorted(folder.glob("*.png"))]
        return scores_from_json(content["scores"]), pictures
    except (InputError, OSError, KeyError, TypeError):
        return None


def scores_from_json(values: Mapping[str, Any]) -> Scores:
    """Scores from their plain values.

    Raises:
        KeyError, TypeError: they are not those of scores.
    """
    report = dict(values["report"])
    for part in ("arms", "differences"):
        report[part] = {arm: _measurements(figures) for arm, figures in report[part].items()}
    return Scores(
        report=EvaluationReport(**{**report, "cautions": tuple(report["cautions"])}),
        diversity=_measurements(values["diversity"]),
        swap=SwapResult(**_measurements(values["swap"])),
    )


def _measurements(values: Mapping[str, Any]) -> dict[str, Measurement]:
    return {name: Measurement(**figure) for name, figure in values.items()}
