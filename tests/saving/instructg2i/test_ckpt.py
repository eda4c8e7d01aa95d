"""Weights out of a ckpt.pt, and whatever else may stand in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from graphcond.errors import InputError
from graphcond.saving.instructg2i.read import read_ckpt
from tests.graphs.pickles import Malicious
from tests.saving.releases import equal

WEIGHTS = {"text_model.norm.weight": torch.arange(3.0), "text_model.norm.bias": torch.ones(2, 2)}


def written(folder: Path, content: Any) -> Path:
    torch.save(content, folder / "ckpt.pt")
    return folder / "ckpt.pt"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_are_read_in_full_precision(tmp_path: Path, dtype: torch.dtype) -> None:
    half = {name: one.to(dtype) for name, one in WEIGHTS.items()}
    assert equal(read_ckpt(written(tmp_path, half)), WEIGHTS)


def test_the_prefix_is_put_before_names_that_lack_it(tmp_path: Path) -> None:
    bare = {name.removeprefix("text_model."): one for name, one in WEIGHTS.items()}
    for content in (bare, WEIGHTS):
        assert equal(read_ckpt(written(tmp_path, content), prefix="text_model."), WEIGHTS)


def test_numbers_of_positions_are_no_weights(tmp_path: Path) -> None:
    with_positions = WEIGHTS | {"text_model.embeddings.position_ids": torch.arange(77)[None]}
    assert equal(read_ckpt(written(tmp_path, with_positions)), WEIGHTS)


def test_parameters_and_ordered_dicts_are_weights_too(tmp_path: Path) -> None:
    module = torch.nn.Linear(2, 3)
    found = read_ckpt(written(tmp_path, module.state_dict()))
    assert equal(found, module.state_dict())
    parameters = {name: torch.nn.Parameter(one) for name, one in WEIGHTS.items()}
    assert equal(read_ckpt(written(tmp_path, parameters)), WEIGHTS)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(2)], "expected weights by their names, got a list"),
        (torch.ones(2), "expected weights by their names, got a Tensor"),
        ({"state_dict": WEIGHTS}, "the entry 'state_dict' is not a weight"),
        (WEIGHTS | {"epoch": 3}, "the entry 'epoch' is not a weight"),
        (WEIGHTS | {7: torch.ones(1)}, "the entry 7 is not a weight"),
        (WEIGHTS | {"ids": torch.arange(3)}, "the entry 'ids' is not a weight"),
        (WEIGHTS | {"wave": torch.ones(2, dtype=torch.complex64)}, "the entry 'wave' is not a weight"),
        (WEIGHTS | {"sparse": torch.eye(2).to_sparse()}, "the entry 'sparse' is not a weight"),
        (WEIGHTS | {"empty": torch.ones(2, device="meta")}, "the entry 'empty' is not a weight"),
        (WEIGHTS | {"vast": torch.ones(1).expand(10**13)}, "the entry 'vast' is not a weight"),
        (WEIGHTS | {"bad": torch.tensor([1.0, torch.nan])}, "'bad' holds values that are not finite"),
        (WEIGHTS | {"bad": torch.tensor([torch.inf])}, "'bad' holds values that are not finite"),
    ],
)
def test_anything_else_is_named(tmp_path: Path, content: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        read_ckpt(written(tmp_path, content))
    assert f"ckpt.pt: {message}" in str(caught.value)


def test_nothing_is_executed(tmp_path: Path) -> None:
    file = written(tmp_path, WEIGHTS | {"evil": Malicious(tmp_path / "executed")})
    with pytest.raises(InputError, match="it could run code"):
        read_ckpt(file)
    assert [path.name for path in tmp_path.iterdir()] == ["ckpt.pt"]
