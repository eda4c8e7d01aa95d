"""The parts of a training loop of one's own: a dataset of torch, and the loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image
from torch.utils.data import DataLoader

from graphcond import GraphModel, PictureDataset, denoising_loss
from graphcond.attributed_graph import AttributedGraph
from graphcond.bases.base import LatentMoments
from graphcond.context import NeighborFeatures, SceneFeatures
from graphcond.data.dataset import as_dataset
from graphcond.errors import InputError
from graphcond.graphs import save_graph
from graphcond.recipe import Recipe
from graphcond.scene_graph import SceneSet
from tests.builders import small_model, some_features
from tests.training.scenes import scene_recipe
from tests.training.toys import Toy
from tests.typecheck import unchecked


def opened(
    recipe: Recipe, given: AttributedGraph | SceneSet, *, encoded: bool = False, **options: Any
) -> tuple[PictureDataset, GraphModel]:
    data = as_dataset(given)
    sources = data.views(recipe, forbidden=data.forbidden("test"))
    rows = data.targets(recipe.data)
    width = next(iter(sources.values())).feature_width
    model = GraphModel.build(recipe, feature_width=width)
    base = model.base if encoded else None
    return PictureDataset(given, sources, rows, resolution=64, base=base, **options), model


def batch_of(pictures: PictureDataset, count: int = 4):
    (first, *_) = DataLoader(pictures, count, collate_fn=pictures.collate)
    return first


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_a_loop_of_ones_own_learns_and_leaves_the_base(toy: Toy, toy_graph: AttributedGraph) -> None:
    pictures, model = opened(toy(), toy_graph)
    accelerator = Accelerator(cpu=True)
    loader = DataLoader(pictures, batch_size=4, shuffle=True, collate_fn=pictures.collate)
    optimizer, loader = accelerator.prepare(torch.optim.AdamW(model.parameters(), lr=3e-3), loader)
    weights = [p.detach().clone() for p in model.base.denoiser.parameters()]
    fixed = batch_of(pictures)
    before = denoising_loss(model, *fixed, generator=seeded()).item()
    for _ in range(4):
        for batch in loader:
            accelerator.backward(denoising_loss(model, *batch))
            optimizer.step()
            optimizer.zero_grad()
    assert denoising_loss(model, *fixed, generator=seeded()).item() < before
    assert all(torch.equal(*pair) for pair in zip(weights, model.base.denoiser.parameters(), strict=True))


@torch.no_grad()
def test_encoded_pictures_and_prompts_give_the_same_loss(toy: Toy, toy_graph: AttributedGraph) -> None:
    recipe = toy()
    raw, model = opened(recipe, toy_graph)
    encoded, _ = opened(recipe, toy_graph, encoded=True)
    one, other = batch_of(raw), batch_of(encoded)
    assert isinstance(one.prompts, list)
    assert isinstance(other.pictures, LatentMoments)
    losses = [denoising_loss(model, *batch, generator=seeded(), reduction="none") for batch in (one, other)]
    assert losses[0].shape == (4,)
    torch.testing.assert_close(*losses, atol=1e-5, rtol=1e-4)
    mean = denoising_loss(model, *other, generator=seeded())
    assert torch.equal(mean, losses[1].mean())


def test_targets_without_a_graph_are_left_out(toy: Toy, toy_graph: AttributedGraph) -> None:
    pictures, _ = opened(toy(), toy_graph)
    nodes = toy_graph.nodes.in_split("train")
    alone = replace(toy_graph, indptr=np.zeros_like(toy_graph.indptr), indices=toy_graph.indices[:0])
    assert list(pictures.rows) == list(nodes)
    with pytest.raises(InputError, match="none of the 11 nodes has a neighbor"):
        opened(toy(), alone)


def test_scenes_are_padded_to_one_size(sd_folder: Path, clip_folder: Path, scenes: SceneSet) -> None:
    pictures, model = opened(scene_recipe(sd_folder, clip_folder), scenes)
    batch = batch_of(pictures)
    (context,) = batch.contexts.values()
    assert isinstance(context, SceneFeatures)
    assert len(context.present) == len(batch.prompts) == len(batch.pictures) == 4
    denoising_loss(model, *batch).backward()
    assert any(parameter.grad is not None for parameter in model.parameters())


def test_a_recipe_names_everything(toy: Toy, toy_graph: AttributedGraph, tmp_path: Path) -> None:
    save_graph(toy_graph, tmp_path / "graph")
    recipe = toy(data={"kind": "mmag", "resolution": 32, "path": str(tmp_path / "graph")})
    pictures = PictureDataset.from_recipe(recipe)
    assert list(pictures.rows) == list(toy_graph.nodes.in_split("train"))
    assert pictures[0].picture.shape == (3, 32, 32)
    assert pictures[0].prompt == toy_graph.nodes.texts[0]
    test = set(toy_graph.nodes.in_split("test").tolist())
    assert not test & {int(n) for one in pictures for n in one.contexts["neighbors"].neighbors.ravel()}


def test_what_does_not_fit_together_is_named(toy: Toy, toy_graph: AttributedGraph) -> None:
    pictures, model = opened(toy(), toy_graph)
    images, prompts, contexts = batch_of(pictures)
    (context,) = contexts.values()
    assert isinstance(context, NeighborFeatures)
    with pytest.raises(InputError, match="expected one of 'neighbors', got one of 'others'"):
        denoising_loss(model, images, prompts, {"others": context})
    with pytest.raises(InputError, match="prompts: expected 4 rows, one for each picture, got 3"):
        denoising_loss(model, images, prompts[:3], contexts)
    with pytest.raises(InputError, match=r"contexts\.neighbors: expected 4 rows.*got 2"):
        denoising_loss(model, images, prompts, {"neighbors": context.select(torch.arange(2))})
    with pytest.raises(InputError, match="'logit_normal' does not fit a base that predicts 'epsilon'"):
        denoising_loss(model, images, prompts, contexts, timesteps="logit_normal")
    with pytest.raises(InputError, match="63 is not a multiple of"):
        denoising_loss(model, images[..., :63, :], prompts, contexts)


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"reduction": "sum"}, "reduction: there is no 'sum'"),
        ({"prompts": "ab"}, "prompts: expected a list of texts, got a text"),
        ({"pictures": torch.zeros(2, 3, 64, 64, dtype=torch.uint8)}, "pictures: expected floats .*uint8"),
        ({"pictures": torch.zeros(3, 64, 64)}, r"pictures: expected floats .*\(3, 64, 64\)"),
        ({"pictures": Image.new("RGB", (64, 64))}, "pictures: expected floats .*got Image. .*PictureDataset"),
        ({"pictures": [Image.new("RGB", (64, 64))] * 2}, "pictures: expected floats .*got list"),
        ({"noise": torch.zeros(1, 4, 8, 8)}, r"noise: expected the shape \(2, .*got \(1, 4, 8, 8\)"),
        ({"timesteps": torch.tensor([5])}, r"timesteps: expected the shape \(2,\), got \(1,\)"),
    ],
)
def test_what_would_be_broadcast_or_misread_is_a_sentence(
    sd_folder: Path, wrong: dict[str, Any], problem: str
) -> None:
    given = {"pictures": torch.zeros(2, 3, 64, 64), "prompts": ["a", "b"]} | wrong
    with unchecked(), pytest.raises(InputError, match=problem):
        denoising_loss(small_model(sd_folder), contexts={"neighbors": some_features(2)}, **given)
