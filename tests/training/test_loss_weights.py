"""The loss weighed by boxes and by masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.io.frames import Frames
from graphcond.recipe.pictures import BoxWeightConfig
from graphcond.scene_graph import Box, SceneSet
from graphcond.training.latents import PictureTable
from graphcond.training.loss_weights import BoxWeights, even
from tests.training.scenes import scene_recipe
from tests.training.toys import Toy, prepare_toy, run_toy, same, trained_weights

ROW, NO_CROP = np.array([0]), np.array([0])


def weights(boxes: list[Box | None], **config: Any) -> torch.Tensor:
    """Over 8 x 8 latents of one square picture."""
    latents = np.zeros((1, 1, 2, 4, 8, 8), np.float32)
    frames = Frames((64, 64), np.array([[64, 64]]), np.array([[[0.0, 0, 1, 1]]]))
    table = PictureTable((latents,), (np.array([0]),), (frames,), mirrored=False)
    return BoxWeights(BoxWeightConfig(**config), table, [boxes])(ROW, NO_CROP, None)[0]


def test_boxes_weigh_what_is_inside_and_the_mean_stays_one() -> None:
    found = weights([Box(0, 0, 0.5, 0.5)], inside=4.0)
    assert found.mean().item() == pytest.approx(1)
    inside, outside = found[:4, :4], found[4:, 4:]
    torch.testing.assert_close(inside / outside, torch.full((4, 4), 4.0))
    assert torch.equal(outside, found[:4, 4:])


def test_equal_weights_and_unknown_boxes_are_exactly_one() -> None:
    assert torch.equal(weights([Box(0.1, 0.2, 0.77, 0.9)], inside=1.0), torch.ones(8, 8))
    assert torch.equal(weights([None], inside=9.0, outside=0.0), torch.ones(8, 8))
    assert torch.equal(even(torch.zeros(1, 8, 8)), torch.zeros(1, 8, 8))


def test_a_power_of_the_area_makes_objects_count_alike() -> None:
    boxes: list[Box | None] = [Box(0, 0, 0.25, 0.25), Box(0.5, 0.5, 1, 1)]
    found = weights(boxes, inside=1.0, outside=0.0, area_power=1.0)
    assert found[:2, :2].sum().item() == pytest.approx(found[4:, 4:].sum().item())
    assert found[:4, 4:].sum() == 0


def test_overlapping_boxes_take_the_larger_weight() -> None:
    boxes: list[Box | None] = [Box(0, 0, 1, 1), Box(0, 0, 0.5, 0.5)]
    found = weights(boxes, inside=1.0, outside=0.0, area_power=0.5)
    torch.testing.assert_close(found[0, 0] / found[7, 7], torch.tensor(2.0))


def test_a_run_weighed_evenly_is_the_unweighted_one_and_another_is_not(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path
) -> None:
    runs = []
    for number, weight in enumerate(
        (None, {"kind": "boxes", "inside": 1.0}, {"kind": "boxes", "inside": 5.0})
    ):
        recipe = scene_recipe(sd_folder, clip_folder, loss_weight=weight)
        runs.append(trained_weights(run_toy(recipe, scenes, tmp_path / str(number))))  # type: ignore[arg-type]
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def masked(graph: AttributedGraph, masks: dict[int, Image.Image]) -> AttributedGraph:
    """``graph`` with a column of masks for some nodes."""
    names = [f"mask-{node}.png" if node in masks else "" for node in range(len(graph))]
    for node, mask in masks.items():
        mask.save((graph.root or Path()) / names[node])
    return replace(graph, nodes=replace(graph.nodes, attributes={"mask": names}))


@pytest.fixture
def copied(toy_graph: AttributedGraph, tmp_path: Path) -> AttributedGraph:
    """The toy graph in a folder of its own."""
    for row, name in enumerate(toy_graph.nodes.pictures):
        with Image.open(toy_graph.picture_path(row) or "") as picture:
            picture.save(tmp_path / str(name))
    return replace(toy_graph, root=tmp_path)


def test_masks_say_where_to_learn(toy: Toy, copied: AttributedGraph) -> None:
    left = Image.new("L", (32, 32))
    left.paste(255, (0, 0, 16, 32))
    recipe = toy(loss_weight={"kind": "mask"})
    prepared, _ = prepare_toy(recipe, masked(copied, {0: left}))
    rows, flips = np.array([0, 0, 1]), np.array([False, True, False])
    found = prepared.train.batch(rows, torch.device("cpu"), mirrored=flips).weights
    assert found is not None
    expected = torch.cat([torch.full((8, 4), 2.0), torch.zeros(8, 4)], 1)
    assert torch.equal(found, torch.stack([expected, expected.flip(-1), torch.ones(8, 8)]))
    assert prepared.validation.weights is None


def test_white_masks_train_as_none_do(toy: Toy, copied: AttributedGraph, tmp_path: Path) -> None:
    white = masked(copied, {node: Image.new("L", (64, 64), 255) for node in range(11)})
    plain = run_toy(toy(), white, tmp_path / "plain")
    weighed = run_toy(toy(loss_weight={"kind": "mask"}), white, tmp_path / "weighed")
    assert same(trained_weights(plain), trained_weights(weighed))


@pytest.mark.parametrize(
    ("mask", "problem"),
    [
        (Image.new("L", (64, 64)), "the mask is black"),
        (Image.new("L", (64, 32), 255), "the mask has 64 x 32 pixels, its picture 64 x 64"),
    ],
    ids=["black", "wide"],
)
def test_masks_that_cannot_be_are_named(
    toy: Toy, copied: AttributedGraph, mask: Image.Image, problem: str
) -> None:
    with pytest.raises(InputError, match=problem) as caught:
        prepare_toy(toy(loss_weight={"kind": "mask"}), masked(copied, {0: mask}))
    assert "mask-0.png" in str(caught.value)


def test_weights_that_the_data_lack_are_refused(
    toy: Toy, toy_graph: AttributedGraph, sd_folder: Path, clip_folder: Path, scenes: SceneSet
) -> None:
    with pytest.raises(InputError, match="nodes have no boxes; use 'mask'"):
        toy(loss_weight={"kind": "boxes"})
    with pytest.raises(InputError, match="scenes have no masks; use 'boxes'"):
        scene_recipe(sd_folder, clip_folder, loss_weight={"kind": "mask"})
    with pytest.raises(InputError, match="the nodes have no column 'outline'"):
        prepare_toy(toy(loss_weight={"kind": "mask", "column": "outline"}), toy_graph)
    recipe = scene_recipe(sd_folder, clip_folder, loss_weight={"kind": "boxes"})
    with pytest.raises(InputError, match="no scene has a box"):
        prepare_toy(recipe, scenes.without_boxes())  # type: ignore[arg-type]
