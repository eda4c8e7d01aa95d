"""The layout: where objects lie in it, what moves it, and what does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphcond.encoders import Layout, LayoutConfig
from graphcond.scene_graph import SceneGraph
from graphcond.signals import LayoutMap, TextTokens
from tests.builders import small_base
from tests.scene_batches import EMPTY, LOOSE, PAIR, PARK, WORD_WIDTH, features_of, reordered

TEXT = TextTokens(torch.zeros(1, 1, dtype=torch.long), torch.zeros(1, 1, 8))
BOXED = SceneGraph(PAIR.objects, PAIR.relationships, PAIR.attributes, ((0, 0, 0.25, 0.5), None))


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


@pytest.fixture(params=["triple_gcn", "gcn"])
def layout(request, base) -> Layout:
    torch.manual_seed(0)
    settings = {"network": request.param, "channels": 6, "size": 8, "node_width": 32, "layers": 2}
    return LayoutConfig(**settings, backend="torch").build(feature_width=WORD_WIDTH, base=base)


def of(layout: Layout, *graphs: SceneGraph, **padding: int) -> LayoutMap:
    return layout(features_of(graphs, **padding), TEXT)


def test_a_map_of_the_width_it_says(layout: Layout) -> None:
    found = of(layout, PARK, PAIR, LOOSE)
    assert found.features.shape == (3, layout.signal_width, 8, 8)
    assert found.present.tolist() == [True, True, True]


def test_it_is_as_large_as_the_bases_latents(base) -> None:
    layout = LayoutConfig(layers=1).build(feature_width=WORD_WIDTH, base=base)
    assert layout.size == base.unet.config.sample_size


def test_an_empty_scene_has_no_layout(layout: Layout) -> None:
    for found in (of(layout, PAIR, EMPTY), layout(features_of([PAIR, PARK]).without(_rows(0, 1)), TEXT)):
        assert not bool(found.present[1])
        assert bool((found.features[1] == 0).all())
    assert of(layout, EMPTY).present.tolist() == [False]


def test_padding_and_other_scenes_do_not_matter(layout: Layout) -> None:
    alone = of(layout, PAIR).features[0]
    assert torch.allclose(of(layout, PARK, PAIR, nodes=3, triples=2).features[1], alone, atol=1e-5)


def test_the_order_of_objects_does_not_matter(layout: Layout) -> None:
    turned = reordered(PARK, [2, 0, 3, 1])
    assert torch.allclose(of(layout, PARK).features, of(layout, turned).features, atol=1e-5)


def test_swapped_relations_and_attributes_give_another_map(layout: Layout) -> None:
    swapped = SceneGraph(PAIR.objects, ((1, "left of", 0),), PAIR.attributes)
    recolored = SceneGraph(PAIR.objects, PAIR.relationships, (("blue",), ("red",)))
    one, other, third = of(layout, PAIR, swapped, recolored).features
    assert (one - third).abs().max() > 1e-4
    assert (one - other).abs().max() > 1e-4


def test_an_object_lies_in_its_given_box(layout: Layout) -> None:
    context = features_of([BOXED])
    alone = replace(context, is_object=torch.tensor([[True, False, False, False]]))
    cells = layout(alone, TEXT).features[0].abs().sum(0) > 1e-6
    assert bool(cells[:4, :2].all())
    assert not bool(cells[5:].any())
    assert not bool(cells[:, 3:].any())


def test_predicted_boxes_do_not_read_given_ones(layout: Layout) -> None:
    assert torch.equal(
        layout.predicted_boxes(features_of([BOXED])), layout.predicted_boxes(features_of([PAIR]))
    )


def test_given_boxes_may_be_left_unread(base) -> None:
    torch.manual_seed(0)
    layout = LayoutConfig(given_boxes=False, size=8, layers=1).build(feature_width=WORD_WIDTH, base=base)
    assert torch.equal(of(layout, BOXED).features, of(layout, PAIR).features)


def test_boxes_lie_in_the_picture_and_have_an_area(layout: Layout) -> None:
    boxes = layout.predicted_boxes(features_of([PARK, PAIR]))
    assert bool(((boxes >= 0) & (boxes <= 1)).all())
    assert bool((boxes[..., :2] < boxes[..., 2:]).all())


def test_every_parameter_gets_a_gradient(layout: Layout) -> None:
    of(layout, PARK, PAIR).features.square().sum().backward()
    without = {name for name, p in layout.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    assert not {name for name in without if not name.startswith(("network", "placing"))}


def test_words_never_seen_and_relations_to_itself(layout: Layout) -> None:
    odd = SceneGraph(("zeppelin",), ((0, "dreams of", 0),))
    assert bool(of(layout, odd).features.isfinite().all())


def _rows(*values: int) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.bool)
