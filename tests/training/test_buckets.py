"""Pictures of several sizes: which size, which batches, and what a run does with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch.utils.data import DataLoader

from graphcond import denoising_loss
from graphcond.attributed_graph import AttributedGraph
from graphcond.context import SampledScene
from graphcond.data.scene_contexts import framed_scene
from graphcond.denoiser_inputs import GIVEN_SIZES, DenoiserInputs
from graphcond.errors import InputError
from graphcond.io.frames import Frame
from graphcond.recipe import Recipe
from graphcond.recipe.pictures import BucketConfig
from graphcond.scene_graph import Box, SceneSet
from graphcond.training import step as step_module
from graphcond.training.buckets import BucketOrder, best_sizes
from graphcond.training.randomness import order_of
from tests.training.scenes import scene_recipe
from tests.training.test_picture_dataset import opened
from tests.training.toys import Toy, prepare_toy, run_toy, same, toy_condition, trained_weights, write_graph

BUCKETS = {"step": 16, "fewest": 2}
PROPORTIONS = [(64, 64), (64, 96), (96, 64)]


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> AttributedGraph:
    """The toy graph with pictures of three proportions, 3:2 and 2:3 among them."""
    folder = tmp_path_factory.mktemp("shapes")
    graph = write_graph(folder)
    for node, name in enumerate(graph.nodes.pictures):
        with Image.open(folder / str(name)) as picture:
            picture.resize(PROPORTIONS[node % 3]).save(folder / str(name))
    return graph


def toy_in_buckets(toy: Toy, changes: dict[str, Any] | None = None, **training: Any) -> Recipe:
    data = {"kind": "mmag", "resolution": 64, "buckets": BUCKETS | (changes or {})}
    return toy(data=data, **training)


def test_sizes_have_about_as_many_pixels_and_bounded_proportions() -> None:
    (sizes,) = BucketConfig(step=64, longest=2.0).sizes(1024)
    assert len(set(sizes)) == len(sizes)
    assert (1024, 1024) in sizes
    assert {(w, h) for h, w in sizes} == set(sizes)
    assert all(not side % 64 for size in sizes for side in size)
    assert all(0.8 * 1024**2 <= h * w <= 1024**2 and 0.5 <= h / w <= 2 for h, w in sizes)
    both = BucketConfig(step=64, resolutions=(768, 512)).sizes(1024)
    assert [max(h * w for h, w in one) for one in both] == [512**2, 768**2]


def test_a_picture_gets_the_nearest_proportions_at_the_largest_size_that_it_fills() -> None:
    sizes = BucketConfig(step=64, resolutions=(256, 512)).sizes(512)
    originals = np.array([(300, 300), (600, 600), (100, 100), (900, 600), (200, 2000)])
    assert best_sizes(originals, sizes) == [(256, 256), (512, 512), (256, 256), (640, 384), (192, 320)]


def test_few_pictures_of_a_size_go_to_the_next_and_one_alone_is_a_size() -> None:
    sizes = BucketConfig(step=32).sizes(512)
    originals = np.array([(512, 512)] * 5 + [(512, 560)] + [(512, 700)] * 3)
    assert len(set(best_sizes(originals, sizes))) == 3
    found = best_sizes(originals, sizes, fewest=3)
    assert Counter(found).most_common() == [((512, 512), 6), (found[-1], 3)]
    assert set(best_sizes(originals, sizes, fewest=100)) == {(512, 512)}
    assert len(best_sizes(originals[-1:], sizes, fewest=16)) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=5),
    st.integers(1, 6),
    st.integers(1, 3),
    st.integers(0, 5),
)
def test_batches_are_of_one_bucket_and_divide_among_processes(
    counts: list[int], batch: int, processes: int, seed: int
) -> None:
    members = np.split(np.random.default_rng(seed).permutation(sum(counts)), np.cumsum(counts)[:-1])
    bucket = {row: number for number, rows in enumerate(members) for row in rows.tolist()}
    order, together = BucketOrder(seed, members, batch * processes), batch * processes
    for number in (0, 1, 2, 50):
        positions = np.arange(number * together, (number + 1) * together)
        whole = order(positions)
        assert len({bucket[row] for row in whole.tolist()}) == 1
        parts = [BucketOrder(seed, members, together)(part) for part in np.split(positions, processes)]
        assert np.array_equal(np.concatenate(parts), whole)


def test_every_example_comes_as_often_as_any_other() -> None:
    members = [np.arange(3), np.arange(3, 20), np.arange(20, 100)]
    order, batch, batches = BucketOrder(1, members, 4), 4, 5000
    rows = np.concatenate([order(np.arange(n * batch, (n + 1) * batch)) for n in range(batches)])
    seen = np.bincount(rows, minlength=100)
    each = batches * batch / 100
    assert [seen[part].mean() / each for part in members] == pytest.approx([1, 1, 1], abs=0.01)
    assert all(np.ptp(seen[part]) <= 1 for part in members)


def test_a_single_bucket_is_the_order_of_before() -> None:
    order = BucketOrder(7, [np.arange(11)], 4)
    for start in (0, 4, 40, 400):
        positions = np.arange(start, start + 4)
        assert np.array_equal(order(positions), order_of(7, positions, 11))


def weights_of(recipe: Recipe, graph: AttributedGraph, out: Path) -> dict[str, torch.Tensor]:
    return trained_weights(run_toy(recipe, graph, out))


def test_squares_in_a_bucket_train_as_without(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    plain = weights_of(toy(), toy_graph, tmp_path / "plain")
    assert same(plain, weights_of(toy_in_buckets(toy), toy_graph, tmp_path / "cut"))


def test_a_run_over_sizes_goes_on_to_the_bit(toy: Toy, shapes: AttributedGraph, tmp_path: Path) -> None:
    changes = {"validate_every": 2, "preview_every": 4, "checkpoint_every": 2, "accumulate": 2}
    recipe = toy_in_buckets(toy, steps=4, **changes)
    whole = run_toy(recipe, shapes, tmp_path / "whole")
    half = run_toy(toy_in_buckets(toy, steps=2, **changes), shapes, tmp_path / "half")
    assert (half.folder / "previews").exists()
    again = run_toy(recipe, shapes, resume=tmp_path / "half")
    assert same(trained_weights(whole), trained_weights(again))


def test_batches_have_one_size_each_and_validation_keeps_the_order(
    toy: Toy, shapes: AttributedGraph, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    prepared, _ = prepare_toy(toy_in_buckets(toy), shapes)
    table = prepared.train.pictures
    assert table.shapes == [(3, 4, 6, 10), (4, 4, 8, 8), (4, 4, 10, 6)]
    assert sorted(np.concatenate(table.members).tolist()) == list(range(11))
    seen: list[tuple[int, ...]] = []
    loss = step_module.denoising_loss

    def noted(model: Any, latents: Any, *rest: Any, **options: Any) -> torch.Tensor:
        seen.append(tuple(latents.mean.shape[2:]))
        return loss(model, latents, *rest, **options)

    monkeypatch.setattr(step_module, "denoising_loss", noted)
    run_toy(toy_in_buckets(toy, steps=9), shapes, tmp_path / "run")
    assert len(set(seen)) == 3


def test_crops_are_views_of_the_same_picture(toy: Toy, shapes: AttributedGraph, tmp_path: Path) -> None:
    recipe = toy_in_buckets(toy, {"longest": 1, "crops": 3})
    prepared, _ = prepare_toy(recipe, shapes)
    table = prepared.train.pictures
    assert (table.views, table.mirrored, len(table.shapes)) == (3, True, 1)
    rows = np.array([1, 1, 1])  # 3:2
    one, other, _ = prepared.train.batch(
        rows, torch.device("cpu"), crop=np.array([0, 0.5, 0.99])
    ).latents.mean
    assert not torch.equal(one, other)
    assert prepared.validation.pictures.views == 1
    middle = weights_of(toy_in_buckets(toy, {"longest": 1}), shapes, tmp_path / "middle")
    assert not same(weights_of(recipe, shapes, tmp_path / "crops"), middle)


def test_sdxl_is_told_the_sizes_of_pictures(
    toy: Toy,
    shapes: AttributedGraph,
    sdxl_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from graphcond.bases.stable_diffusion_xl import StableDiffusionXLBase

    told: list[torch.Tensor] = []
    denoise = StableDiffusionXLBase.denoise

    def noted(self: StableDiffusionXLBase, inputs: DenoiserInputs) -> torch.Tensor:
        if GIVEN_SIZES in inputs.extras:
            told.append(inputs.extras[GIVEN_SIZES])
        return denoise(self, inputs)

    monkeypatch.setattr(StableDiffusionXLBase, "denoise", noted)
    base = {"kind": "sdxl", "model": str(sdxl_folder)}
    data = {"kind": "mmag", "resolution": 64, "buckets": BUCKETS}
    run_toy(toy(base=base, data=data, validate_every=3), shapes, tmp_path / "cut")
    rows = {tuple(row) for part in told for row in part.tolist()}
    assert {row[:2] for row in rows} == {(h, w) for w, h in PROPORTIONS}
    assert all(row[4] * row[5] <= 64 * 64 for row in rows)
    told.clear()
    run_toy(toy(base=base), shapes, tmp_path / "padded")
    assert not told


def test_a_loop_of_ones_own_gets_batches_of_one_size(toy: Toy, shapes: AttributedGraph) -> None:
    pictures, model = opened(toy(), shapes, buckets=BucketConfig(**BUCKETS))
    encoded, _ = opened(toy(), shapes, buckets=BucketConfig(**BUCKETS), encoded=True)
    batches = pictures.batches(4)
    epochs = [list(batches) for _ in range(2)]
    assert len(batches) == len(epochs[0]) == 3
    assert epochs[0] != epochs[1]
    loaders = [
        DataLoader(one, batch_sampler=one.batches(4), collate_fn=one.collate) for one in (pictures, encoded)
    ]
    for raw, latents in zip(*loaders, strict=True):
        generator = [torch.Generator().manual_seed(3) for _ in range(2)]
        with torch.no_grad():
            losses = [
                denoising_loss(model, *batch, generator=own)
                for batch, own in zip((raw, latents), generator, strict=True)
            ]
        torch.testing.assert_close(*losses, atol=1e-4, rtol=1e-4)


def test_a_transformer_trains_over_sizes(
    toy: Toy, shapes: AttributedGraph, flux2_folder: Path, tmp_path: Path
) -> None:
    condition = toy_condition() | {"encoder": {"kind": "neighbor_mean"}}
    base = {"kind": "flux2", "model": str(flux2_folder)}
    recipe = toy_in_buckets(toy, base=base, conditions=[condition], steps=6, validate_every=6)
    assert run_toy(recipe, shapes, tmp_path / "run").folder.exists()


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"step": 48}, "the resolution 64 is not a multiple of 48"),
        ({"step": 4}, "greater than or equal to 8"),
        ({"step": 8}, "sizes for this base are multiples of 16"),
        ({"longest": 0.5}, "greater than or equal to 1"),
        ({"longest": 1e9}, "less than or equal to 8"),
        ({"resolutions": [1_600_000_000]}, "sides of at most 16384"),
    ],
)
def test_buckets_that_cannot_be_are_refused(toy: Toy, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        toy_in_buckets(toy, changes)


def test_boxes_and_masks_lie_where_the_picture_shows_them() -> None:
    masks = np.zeros((2, 16, 16), np.bool_)
    masks[0, :, :8] = True  # the left half of the first object
    boxes = (Box(0.25, 0.0, 0.75, 1.0), Box(0.8, 0.0, 1.0, 1.0))
    scene = SampledScene(("cat", "dog"), 2, (), boxes, masks)
    frame = Frame.covered((100, 200), (64, 64), 0.0)  # the left half of the picture
    shown = framed_scene(scene, frame)
    assert shown.boxes == (Box(0.5, 0.0, 1.0, 1.0), None)
    assert shown.masks is not None
    assert shown.masks[0].all()  # all of it that is left
    assert scene.masks is not None
    assert not scene.masks[0].all()
    assert framed_scene(scene, Frame((64, 64), (64, 64))) is scene


@pytest.mark.parametrize("buckets", [None, BUCKETS])
def test_boxes_follow_pictures_in_training(
    sd_folder: Path, clip_folder: Path, scenes: SceneSet, tmp_path: Path, buckets: Any
) -> None:
    for number, name in enumerate(scenes.pictures):
        with Image.open(scenes.picture_path(number) or "") as picture:
            (tmp_path / str(name)).parent.mkdir(parents=True, exist_ok=True)
            picture.resize((128, 64) if number % 2 else (64, 64)).save(tmp_path / str(name))
    wide = replace(scenes, root=tmp_path)
    recipe = scene_recipe(
        sd_folder, clip_folder, data={"kind": "scenes", "resolution": 64, "buckets": buckets}
    )
    prepared, _ = prepare_toy(recipe, wide)  # type: ignore[arg-type]
    own_loop, _ = opened(recipe, wide, buckets=recipe.data.buckets)
    rows = np.array([1, 3])
    shown = prepared.train.batch(rows, torch.device("cpu")).contexts["scene"].boxes  # type: ignore[union-attr]
    for row, boxes in zip(prepared.train.targets[rows], shown, strict=True):
        own = [box for box in wide.graphs[row].boxes if box is not None]
        frame = Frame.padded((64, 128), 64) if buckets is None else Frame.covered((64, 128), (48, 80))
        moved = [frame.box(box) for box in own]
        for found, box in zip(boxes.tolist(), moved, strict=False):
            assert found == pytest.approx(box or (0, 0, 0, 0), abs=1e-6)
        example = own_loop[int(row)].contexts["scene"]
        assert [box and tuple(box) for box in example.scenes[0].boxes] == moved
