from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.training import preview as preview_module
from graphcond.training.preview import Previews
from tests.training.toys import Toy, prepare_toy, toy_condition

Sheet = dict[str, Any]


@pytest.fixture
def sheets(monkeypatch: pytest.MonkeyPatch) -> list[Sheet]:
    """What every contact sheet was made of."""
    made: list[Sheet] = []
    contact_sheet = preview_module.contact_sheet

    def spy(rows: Any, **options: Any) -> Image.Image:
        made.append({"rows": rows, **options})
        return contact_sheet(rows, **options)

    monkeypatch.setattr(preview_module, "contact_sheet", spy)
    return made


def array(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture, np.int16)


@pytest.mark.parametrize("null", ["absent", "zeros"])
def test_a_sheet_has_four_columns_and_fixed_seeds(
    null: str, toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, sheets: list[Sheet]
) -> None:
    recipe = toy(conditions=[toy_condition("first"), toy_condition("second", null)])
    prepared, _ = prepare_toy(recipe, toy_graph)
    previews = Previews(prepared.validation, 2, recipe.data.resolution)
    for name in ("one.png", "two.png"):
        previews.write(prepared.model, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    sheet = sheets[0]
    assert sheet["column_labels"] == ("true picture", "no graph", "right graph", "shuffled graph")
    assert [len(row) for row in sheet["rows"]] == [4, 4]
    for label, target, row in zip(
        sheet["row_labels"], prepared.validation.targets[:2], sheet["rows"], strict=True
    ):
        path = toy_graph.picture_path(int(target))
        assert path is not None
        assert label == toy_graph.nodes.texts[target]
        assert np.array_equal(array(row[0]), array(Image.open(path)))
        _, no_graph, right, shuffled = map(array, row)
        assert np.abs(no_graph - right).max() > 0
        assert np.abs(right - shuffled).max() > 0


def test_no_more_rows_than_examples(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, sheets: list[Sheet]
) -> None:
    recipe = toy()
    prepared, _ = prepare_toy(recipe, toy_graph)
    Previews(prepared.validation, 99, recipe.data.resolution).write(prepared.model, tmp_path / "sheet.png")
    assert len(sheets[0]["rows"]) == len(prepared.validation)
