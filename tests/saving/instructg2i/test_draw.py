"""What may be given to a released checkpoint besides pictures, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from graphcond.context import NeighborFeatures
from graphcond.errors import InputError
from graphcond.pipeline import GraphPipeline
from tests.release_folder import write_release_folder
from tests.saving.releases import draw, pictures
from tests.typecheck import unchecked

SEVERAL = [pictures(2), pictures(5)]


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory) -> GraphPipeline:
    return GraphPipeline.from_pretrained(write_release_folder(tmp_path_factory.mktemp("release")))


def given(count: int, *, absent: int = 0) -> NeighborFeatures:
    """Embeddings of neighbors, before them some that are not there."""
    generator = torch.Generator().manual_seed(0)
    embeddings = torch.randn(1, count, 24, generator=generator)
    nothing = torch.full((1, absent, 24), 9.0)
    present = torch.arange(absent + count)[None] >= absent
    return NeighborFeatures(torch.cat([nothing, embeddings], dim=1), present)


@pytest.mark.parametrize("scales", [(1.5, 3), np.array([1.5, 3.0]), torch.tensor([1.5, 3.0])])
@unchecked()
def test_scales_come_in_any_sequence(pipe: GraphPipeline, scales: Any) -> None:
    wanted = draw(pipe, neighbors=SEVERAL, graph_guidance_scale=[1.5, 3.0])
    assert np.array_equal(draw(pipe, neighbors=SEVERAL, graph_guidance_scale=scales), wanted)
    one = draw(pipe, neighbors=SEVERAL, graph_guidance_scale=np.float32(2))
    assert np.array_equal(one, draw(pipe, neighbors=SEVERAL, graph_guidance_scale=[2.0, 2.0]))


@pytest.mark.parametrize("mode", ["separate", "joint"])
def test_neighbors_that_are_absent_neither_count_nor_show(pipe: GraphPipeline, mode: str) -> None:
    one, other = (draw(pipe, neighbors=given(5, absent=n), guidance_mode=mode) for n in (0, 3))
    assert np.abs(one - other).max() < 1e-5


def test_the_mode_changes_the_picture_only_where_there_is_a_graph(pipe: GraphPipeline) -> None:
    separate, joint = (draw(pipe, guidance_mode=mode) for mode in ("separate", "joint"))
    assert np.abs(separate - joint).max() > 1e-2
    alone = [draw(pipe, neighbors=None, guidance_mode=mode) for mode in ("separate", "joint")]
    assert np.array_equal(*alone)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"neighbors": SEVERAL, "graph_guidance_scale": [1.5]},
            "expected 2 scales, one for each graph, got 1",
        ),
        (
            {"neighbors": SEVERAL, "graph_guidance_scale": [1.5, 2, 3]},
            "expected 2 scales, one for each graph, got 3",
        ),
        (
            {"neighbors": pictures(2), "graph_guidance_scale": [1.5, 2]},
            "expected 1 scales, one for each graph, got 2",
        ),
        ({"neighbors": None, "graph_guidance_scale": [1.5]}, "expected 0 scales, one for each graph, got 1"),
        ({"neighbors": SEVERAL, "guidance_mode": "joint"}, "joint guidance takes one graph, not 2"),
        ({"guidance_mode": "guide"}, "there is no 'guide'"),
        (
            {"neighbors": [pictures(1), pictures(6)]},
            "expected at most 5 neighbors of one target, as in training, got 6",
        ),
        ({"neighbors": given(6)}, "expected at most 5 neighbors of one target, as in training, got 6"),
        ({"neighbors": [*pictures(1), pictures(1)]}, "pictures and other things are mixed"),
        ({"neighbors": ["one.png"]}, "one.png: no such picture"),
    ],
)
def test_what_is_refused(pipe: GraphPipeline, options: dict[str, Any], message: str) -> None:
    with unchecked(), pytest.raises(InputError) as caught:
        draw(pipe, **options)
    assert message in str(caught.value)


def test_embeddings_of_another_clip_are_refused(pipe: GraphPipeline) -> None:
    wide = NeighborFeatures(torch.ones(1, 2, 25), torch.ones(1, 2, dtype=torch.bool))
    with pytest.raises(InputError, match="embeddings are 25 wide, the model reads 24"):
        draw(pipe, neighbors=wide)


def test_words_have_no_embeddings(pipe: GraphPipeline) -> None:
    with pytest.raises(InputError, match="embeds pictures only"):
        _ = pipe.words
