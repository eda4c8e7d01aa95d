"""The words of a sentence find their nodes and triples."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from graphcond.encoders.alignment import names_of, node_words, predicate_words, triple_words
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph, sentence_of, written_out
from tests.builders import small_base
from tests.scene_batches import EMPTY, LOOSE, PAIR, PARK, features_of


def spans_of(sentences: tuple[str, ...]) -> torch.Tensor:
    """A token for each word, as a tokenizer with a start token gives them."""
    rows = []
    for sentence in sentences:
        at, row = 0, [(0, 0)]
        for word in sentence.split(" "):
            row.append((at, at + len(word)))
            at += len(word) + 1
        rows.append(row)
    longest = max(map(len, rows))
    return torch.tensor([row + [(0, 0)] * (longest - len(row)) for row in rows])


def said(sentence: str, words: torch.Tensor) -> str:
    """The words that a row of an alignment names."""
    return " ".join(
        word for word, there in zip(sentence.split(" "), words[1:].tolist(), strict=False) if there
    )


@pytest.mark.parametrize("graph", [PARK, PAIR, LOOSE, EMPTY])
def test_every_mention_is_where_it_says(graph: SceneGraph) -> None:
    sentence, mentions = written_out(graph)
    assert sentence == sentence_of(graph)
    for one in mentions:
        text = sentence[one.start : one.end]
        if one.object is None:
            assert text == graph.relationships[one.relation].predicate
        elif one.attribute is not None:
            assert text == graph.attributes_of(one.object)[one.attribute]
        else:
            assert text in ("a", "an", graph.objects[one.object])


def test_nodes_and_triples_have_their_words() -> None:
    context = features_of([PARK])
    spans, sentence = spans_of(context.sentences), context.sentences[0]
    clauses = ["a red circle left of a blue square", "a star above a blue square"]
    inside = "a green small circle inside a blue square"
    assert sentence == " , ".join([*clauses, inside])
    nodes = [said(sentence, row) for row in node_words(context, spans)[0]]
    assert nodes[:4] == ["a circle", "a square a square a square", "a star", "a circle"]
    assert nodes[4:] == ["red", "blue blue blue", "green", "small"]
    triples = [said(sentence, row) for row in triple_words(context, spans)[0]]
    assert triples[:3] == [*clauses, inside]
    assert triples[3:] == ["a red circle", " ".join(["a blue square"] * 3), *["a green small circle"] * 2]
    predicates = [said(sentence, row) for row in predicate_words(context, spans)[0]]
    assert predicates == ["left of", "above", "inside", "", "", "", ""]
    assert names_of(features_of([PARK, LOOSE, EMPTY])) == [
        ["a red circle", "a blue square", "a star", "a green small circle"],
        ["a tree", "a house"],
        [],
    ]


def test_a_cut_sentence_names_no_token_beyond_its_end(sd_folder: Path) -> None:
    base = small_base(sd_folder)
    many = SceneGraph(tuple("star" for _ in range(20)), tuple((n, "above", n + 1) for n in range(19)))
    context = features_of([many, PAIR])
    spans = base.token_spans(context.sentences)
    assert spans.shape[:2] == base.encode_prompt(context.sentences).ids.shape
    words = node_words(context, spans)
    assert words.shape[2] == spans.shape[1]
    assert words[0, 0].any()
    assert not words[0, 19].any()
    assert not words[..., 0].any()
    padding = spans[1, :, 1] == 0
    assert not words[1][:, padding].any()


def test_dropped_scenes_say_nothing_and_others_stay() -> None:
    context = features_of([PARK, PAIR]).without(torch.tensor([True, False]))
    assert names_of(context) == [[], ["a red circle", "a blue square"]]
    assert names_of(features_of([PARK, PAIR]).select(torch.tensor([1]))) == [
        ["a red circle", "a blue square"]
    ]


def test_features_without_mentions_are_refused() -> None:
    with pytest.raises(InputError, match="do not say which of their words speaks of which object"):
        names_of(replace(features_of([PAIR]), mentions=()))
