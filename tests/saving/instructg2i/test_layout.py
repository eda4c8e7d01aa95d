"""What names and sizes of released weights say."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from graphcond.saving.instructg2i import is_release
from graphcond.saving.instructg2i.layout import cross_attention_every, reading_layers, tokens_per_neighbor
from tests.saving.releases import LAYERS


def names(*layers: int) -> list[str]:
    reading = [f"{LAYERS}.{layer}.crossattention.q_proj.weight" for layer in layers]
    return [*reading, f"{LAYERS}.3.self_attn.q_proj.weight", "final_layer_norm.bias"]


@pytest.mark.parametrize(
    ("reading", "layers", "every"),
    [
        ((0, 1, 2, 3), 4, 1),
        ((0, 2), 4, 2),
        ((0, 3), 4, 3),
        ((0,), 4, 4),
        ((0, 2, 4), 5, 2),
        ((0, 2, 4, 6, 8, 10), 12, 2),
        ((0, 10), 12, 10),
        ((), 4, None),
        ((1, 3), 4, None),
        ((0, 1), 4, None),
        ((0, 2, 3), 4, None),
        ((0, 2, 4), 4, None),
        ((0, 99999999999), 4, None),
    ],
)
def test_which_layers_read_neighbors(reading: tuple[int, ...], layers: int, every: int | None) -> None:
    assert reading_layers(reversed(names(*reading))) == list(reading)
    assert cross_attention_every(names(*reading), layers) == every


@pytest.mark.parametrize(
    ("proj", "norm", "tokens"),
    [
        ((32, 24), (32,), 1),
        ((128, 24), (32,), 4),
        ((65, 24), (32,), None),
        ((16, 24), (32,), None),
        ((0, 24), (32,), None),
        ((64, 24), (0,), None),
        ((64, 24), None, None),
        (None, (32,), None),
    ],
)
def test_how_many_tokens_a_neighbor_becomes(
    proj: tuple[int, ...] | None, norm: tuple[int, ...] | None, tokens: int | None
) -> None:
    shapes = {"proj.weight": proj, "norm.weight": norm}
    weights = {name: torch.empty(shape) for name, shape in shapes.items() if shape is not None}
    assert tokens_per_neighbor(weights) == tokens


@pytest.mark.parametrize("file", ["gnn/ckpt.pt", "image_proj_model/ckpt.pt"])
def test_one_of_its_files_makes_a_release(tmp_path: Path, file: str) -> None:
    assert not is_release(tmp_path)
    (tmp_path / file).mkdir(parents=True)
    assert not is_release(tmp_path)
    (tmp_path / file).rmdir()
    (tmp_path / file).touch()
    assert is_release(tmp_path)
