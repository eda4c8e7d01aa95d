"""Scenes as encoders read them, and the shuffled control."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.context import SampledScene, SceneContext
from graphcond.data.contexts import ContextSource
from graphcond.data.scene_contexts import EMPTY as NOTHING
from graphcond.data.scene_contexts import SceneContexts, SceneReader, embed_words, shuffled_scenes
from graphcond.data.scene_features import graph_of
from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.io.fingerprint import fingerprint
from graphcond.samplers import SceneTriplesSampler
from graphcond.scene_graph import MASK_SIDE, SceneGraph, SceneSet
from tests.scene_builders import CROWD, EMPTY, LOOPED, ODD, ONE, SHEEP, HashedWords, read_scenes, scene_graphs


def scene_set(*graphs: SceneGraph) -> SceneSet:
    ids = [f"s{number}" for number in range(len(graphs))]
    return SceneSet(graphs, ids, ["an image"] * len(graphs), [None] * len(graphs))


def contexts_over(*graphs: SceneGraph, seed: int = 0, **choices: int) -> SceneContexts:
    scenes = scene_set(*graphs)
    words = embed_words(scenes, HashedWords())
    return SceneContexts(scenes, SceneTriplesSampler(**choices), words, seed)


def test_features_say_what_a_scene_says() -> None:
    features = read_scenes(SHEEP, EMPTY, ONE)
    words = HashedWords()
    names = ["sky", "grass", "sheep", "blue", "clear", "white"]
    np.testing.assert_array_equal(features.nodes[0].numpy(), words.embed_texts(names))
    np.testing.assert_array_equal(features.predicates[0, 2].numpy(), words.embed_texts(["is"])[0])
    assert features.triples[0].tolist() == [[0, 1], [2, 1], [0, 3], [0, 4], [2, 5]]
    assert features.present.sum(1).tolist() == [6, 0, 1]
    assert features.is_object.sum(1).tolist() == [3, 0, 1]
    assert features.related.sum(1).tolist() == [5, 0, 0]
    assert features.boxed[0].tolist() == [False, True, True, False, False, False]
    assert features.boxes[0, 2].tolist() == list(SHEEP.boxes[2])
    assert features.nodes[1:, 1:].abs().sum() == 0
    assert features.sentences[1:] == ("", "a dog")
    assert features.sentences[0].startswith("a blue clear sky above a grass")
    assert features.masks is None
    assert features.has_graph.tolist() == [True, False, True]


def test_nothing_gives_empty_batches() -> None:
    for features in (read_scenes(), read_scenes(EMPTY, EMPTY)):
        assert features.nodes.shape[1:] == (0, HashedWords.width)
        assert features.triples.shape[1:] == (0, 2)
        assert not features.has_graph.any()


def test_masks_lie_on_objects_and_a_scene_without_fills_its_boxes() -> None:
    masks = np.zeros((2, MASK_SIDE, MASK_SIDE), np.bool_)
    masks[1, :4] = True
    masked = SceneGraph(["cat", "mat"], [], [["red"], []], masks=masks)
    features = read_scenes(masked, ONE)
    assert features.masks is not None
    assert features.masks.sum((2, 3)).tolist() == [[0, 64, 0], [256, 0, 0]]


@settings(max_examples=30, deadline=None)
@given(graph=scene_graphs())
def test_a_sampled_scene_is_a_scene_graph_again(graph: SceneGraph) -> None:
    sampled = SceneTriplesSampler().sample([graph], None).scenes[0]
    assert graph_of(sampled) == graph


def test_rows_give_the_same_in_every_batch() -> None:
    contexts = contexts_over(*ODD, objects=3)
    together = contexts.sample(np.arange(6))
    alone = contexts.sample(np.array([5])).scenes[0]
    assert together.scenes[5] == alone
    assert together.scenes[5] != contexts_over(*ODD, objects=3, seed=1).sample(np.array([5])).scenes[0]
    other = contexts.sample(np.array([5]), np.random.default_rng(1)).scenes[0]
    assert other != alone


def test_features_by_id() -> None:
    contexts = contexts_over(SHEEP, LOOPED)
    assert contexts.features_of("s1", "s0").sentences[1] == read_scenes(SHEEP).sentences[0]
    assert contexts.feature_width == HashedWords.width
    assert contexts.texts == ["an image"] * 2
    with pytest.raises(InputError, match="there is no scene 's9'"):
        contexts.features_of("s9")


def test_scenes_have_the_face_of_neighbors() -> None:
    source: ContextSource[SceneContext, object] = contexts_over(SHEEP)
    assert {name for name in vars(ContextSource) if not name.startswith("_")} <= set(dir(source))


def test_identity_follows_what_is_read() -> None:
    masks = np.zeros((1, MASK_SIDE, MASK_SIDE), np.bool_)
    graphs = [ONE, SceneGraph(ONE.objects, masks=masks), SceneGraph(ONE.objects, masks=~masks), SHEEP]
    names = {fingerprint(*contexts_over(graph).identity()) for graph in graphs}
    assert len(names) == 4
    assert fingerprint(*contexts_over(ONE).identity()) in names
    assert fingerprint(*contexts_over(ONE, seed=1).identity()) not in names


def test_a_reader_embeds_any_word_once(tmp_path: Path) -> None:
    words = HashedWords()
    reader = SceneReader(SceneTriplesSampler(), words, FeatureCache(tmp_path))
    assert reader.read([SHEEP, SHEEP]).present.sum() == 12
    assert len(words.asked) == len(set(words.asked)) == 9
    reader.read([SceneGraph(["Große Flöte"], [[0, "hören", 0]])])
    assert words.asked[9:] == ["Große Flöte", "hören"]


def sampled(*names: str) -> SceneContext:
    return SceneContext(
        tuple(SampledScene((name,) if name else (), bool(name), (), (None,)) for name in names)
    )


@given(st.lists(st.sampled_from("abcd"), max_size=9), st.integers(0, 99))
def test_shuffled_gives_nobody_its_own(names: list[str], seed: int) -> None:
    context = sampled(*names)
    wrong = shuffled_scenes(context, seed)
    assert wrong == shuffled_scenes(context, seed)
    most = max((names.count(name) for name in names), default=0)
    for own, other in zip(context.scenes, wrong.scenes, strict=True):
        assert other == NOTHING or other.words != own.words
    if 2 * most <= len(names):
        assert sorted(scene.words[0] for scene in wrong.scenes) == sorted(names)


def test_shuffled_can_only_empty_a_scene_alone() -> None:
    assert shuffled_scenes(sampled("a"), 0).scenes == (NOTHING,)
    assert shuffled_scenes(sampled(), 0).scenes == ()
    contexts = contexts_over(SHEEP, CROWD)
    context = contexts.sample(np.arange(2))
    assert contexts.shuffled(context, 0).scenes == context.scenes[::-1]
