"""What every encoder of scene graphs keeps to. A new one adds a row."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from graphcond.context import SceneFeatures
from graphcond.encoders import ENCODERS, Encoder
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.signals import GraphTokens, LayoutMap, TextTokens
from tests.builders import small_base
from tests.racing import RacingSums
from tests.scene_batches import EMPTY, LOOSE, PAIR, PARK, WORD_WIDTH, features_of, reordered

SMALL: dict[str, Any] = {"node_width": 16, "layers": 2}
ROWS: list[tuple[str, dict[str, Any]]] = [
    ("triple_gcn", SMALL),
    ("triple_gcn", SMALL | {"predict_boxes": True}),
    ("gcn", SMALL | {"backend": "torch"}),
    ("sage", SMALL),
    ("gat", SMALL),
    ("pyg", SMALL),
    ("pyg", SMALL | {"module": "torch_geometric.nn.SAGEConv", "predict_boxes": True}),
    ("sentence", {}),
    ("phrase_tokens", SMALL),
    ("sg_adapter", {"heads": 4}),
    ("sg_adapter", {"heads": 4, "masked": False}),
    ("sentence_graph", SMALL | {"hidden": 20}),
    ("layout", SMALL | {"channels": 6, "size": 8}),
    ("layout", SMALL | {"channels": 6, "size": 5, "network": "gcn", "backend": "torch"}),
    ("triple_transformer", SMALL | {"triples": 8}),
    ("triple_transformer", SMALL | {"triples": 8, "added_to": "text"}),
    ("triple_transformer", SMALL | {"triples": 8, "added_to": "text", "predict_boxes": True}),
    ("triple_transformer", SMALL | {"triples": 8, "tokens": "objects", "predict_boxes": True}),
    ("clip_graph", SMALL),
    ("clip_graph", SMALL | {"node_vectors": False}),
]
READS_ONE_ORDER = {"sentence", "sg_adapter", "sentence_graph"}
"""A sentence names objects in the order of the graph."""
READS_NO_EMBEDDINGS = {"sentence", "sentence_graph"}
"""Words are read by the base's own text encoder."""


@pytest.fixture(scope="module")
def base(sd_folder: Path):
    return small_base(sd_folder)


@pytest.fixture(params=ROWS, ids=lambda row: "-".join([row[0], *map(str, row[1].values())]))
def encoder(request, base):
    kind, settings = request.param
    torch.manual_seed(0)
    built = ENCODERS[kind](**settings).build(feature_width=WORD_WIDTH, base=base)
    with torch.no_grad():  # gates start at 0, behind which nothing acts
        for name, parameter in built.named_parameters():
            if name.startswith("alpha"):
                parameter.fill_(0.5)
    return built


def encode(encoder: Encoder, base, context: SceneFeatures) -> GraphTokens | LayoutMap:
    return encoder(context, base.encode_prompt(["an image"] * len(context.sentences)))


def values(signal: GraphTokens | LayoutMap, row: int) -> torch.Tensor:
    """What a signal says of one scene: its tokens that are there, with their boxes, or its map."""
    if isinstance(signal, LayoutMap):
        return signal.features[row]
    parts = [signal.tokens] if signal.boxes is None else [signal.tokens, signal.boxes]
    return torch.cat(parts, dim=-1)[row][signal.present[row]]


def test_every_kind_has_a_row() -> None:
    kinds = {kind for kind, config in ENCODERS.items() if issubclass(SceneFeatures, config.reads)}
    assert {kind for kind, _ in ROWS} == kinds


def test_gives_what_it_says(encoder, base) -> None:
    signal = encode(encoder, base, features_of([PARK, PAIR, LOOSE]))
    assert isinstance(signal, encoder.gives)
    assert signal.has_graph.tolist() == [True, True, True]
    if isinstance(signal, LayoutMap):
        assert signal.features.shape[:2] == (3, encoder.signal_width)
    else:
        assert signal.tokens.shape[::2] == (3, base.facts.token_width)


def test_it_says_whether_it_predicts_boxes(encoder) -> None:
    context = features_of([PARK])
    able = False
    with suppress(AttributeError, InputError):
        able = encoder.predicted_boxes(context).shape == context.boxes.shape
    assert encoder.predicts_boxes is able


def test_it_gives_as_many_tokens_as_it_and_its_config_declare(encoder, request, base) -> None:
    kind, settings = request.node.callspec.params["encoder"]
    assert encoder.token_count == ENCODERS[kind](**settings).token_count()
    if encoder.gives is not GraphTokens:
        return
    counts = {encode(encoder, base, features_of(some)).tokens.shape[1] for some in ([PAIR], [PARK, PAIR])}
    prompt = base.encode_prompt([""]).ids.shape[1]
    assert (counts == {prompt}) == (encoder.token_count == "prompt")
    assert (len(counts) > 1) == (encoder.token_count is None)


def test_scenes_do_not_see_each_other_or_padding(encoder, base) -> None:
    alone = values(encode(encoder, base, features_of([PAIR])), 0)
    padded = values(encode(encoder, base, features_of([PARK, PAIR, EMPTY], nodes=2, triples=3)), 1)
    assert torch.allclose(alone, padded, atol=1e-5)


@pytest.mark.parametrize("stands_there", [1e3, float("nan"), float("inf")])
def test_padding_is_not_read(encoder, base, stands_there: float) -> None:
    context = features_of([PAIR, PARK])
    garbage = replace(
        context,
        nodes=torch.where(context.present[..., None], context.nodes, stands_there),
        predicates=torch.where(context.related[..., None], context.predicates, stands_there),
        boxes=torch.where(context.boxed[..., None], context.boxes, stands_there),
        triples=torch.where(context.related[..., None], context.triples, 10**6),
    )
    one, other = (values(encode(encoder, base, given), 0) for given in (context, garbage))
    assert torch.allclose(one, other, atol=1e-5)
    if other.requires_grad:
        other.sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in encoder.parameters())
    if hasattr(encoder, "embed_scenes"):
        assert torch.allclose(encoder.embed_scenes(context), encoder.embed_scenes(garbage), atol=1e-5)


def test_objects_and_relations_are_sets(encoder, base) -> None:
    if any(isinstance(encoder, ENCODERS[kind].component_class()) for kind in READS_ONE_ORDER):
        pytest.skip("a sentence has an order")
    if getattr(encoder, "_sentence", None) is not None:
        pytest.skip("so has a sentence with a graph added")
    one, other = (
        values(encode(encoder, base, features_of([graph])), 0)
        for graph in (PARK, reordered(PARK, [2, 0, 3, 1]))
    )
    if encoder.gives is GraphTokens:  # tokens come in another order, the same otherwise
        one, other = one.sort(dim=0).values, other.sort(dim=0).values
    assert torch.allclose(one, other, atol=1e-4)


def test_an_empty_scene_is_hidden_and_finite(encoder, base) -> None:
    dropped = features_of([PARK, PAIR]).without(torch.tensor([False, True]))
    for context in (features_of([PARK, EMPTY]), dropped):
        signal = encode(encoder, base, context)
        assert signal.has_graph.tolist() == [True, False]
        assert bool((signal.features if isinstance(signal, LayoutMap) else signal.tokens).isfinite().all())
    assert encode(encoder, base, features_of([EMPTY])).has_graph.tolist() == [False]


@pytest.mark.parametrize(
    "other",
    [
        SceneGraph(PAIR.objects, ((1, "left of", 0),), PAIR.attributes),
        SceneGraph(PAIR.objects, PAIR.relationships, (("blue",), ("red",))),
        SceneGraph(PAIR.objects, ((0, "above", 1),), PAIR.attributes),
        SceneGraph(("star", "square"), PAIR.relationships, PAIR.attributes),
    ],
    ids=["relation turned", "attributes swapped", "another relation", "another object"],
)
@torch.no_grad()
def test_the_meaning_matters(encoder, base, other: SceneGraph) -> None:
    one, changed = (values(encode(encoder, base, features_of([graph])), 0) for graph in (PAIR, other))
    assert one.shape != changed.shape or (one - changed).abs().max() > 1e-4


def test_weights_survive_a_file(encoder, base, tmp_path: Path) -> None:
    if not encoder.state_dict():
        pytest.skip("it has no weights")
    before = values(encode(encoder, base, features_of([PARK])), 0)
    save_file(encoder.state_dict(), tmp_path / "weights.safetensors")
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(1)
    encoder.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert torch.equal(values(encode(encoder, base, features_of([PARK])), 0), before)


def test_gradients_reach_its_words(encoder, base) -> None:
    if any(isinstance(encoder, ENCODERS[kind].component_class()) for kind in READS_NO_EMBEDDINGS):
        pytest.skip("it reads a sentence")
    context = features_of([PARK, PAIR])
    context = replace(context, nodes=context.nodes.requires_grad_())
    signal = encode(encoder, base, context)
    (values(signal, 0).square().sum() + values(signal, 1).square().sum()).backward()
    assert context.nodes.grad is not None
    assert (context.nodes.grad.abs().sum(-1)[context.present] > 0).all()


def test_its_sums_do_not_depend_on_threads(encoder, base) -> None:
    if not any(parameter.requires_grad for parameter in encoder.parameters()):
        pytest.skip("it learns nothing")
    context = features_of([PARK, PAIR, PARK])
    with RacingSums() as sums:
        signal = encode(encoder, base, replace(context, nodes=context.nodes.clone().requires_grad_()))
        torch.stack([values(signal, row).square().sum() for row in range(3)]).sum().backward()
    assert not sums.found


def test_no_name_that_peft_would_take_for_its_own(encoder) -> None:
    assert not [name for name, _ in encoder.named_modules() if "lora_" in name]


def test_text_is_not_read(encoder) -> None:
    context = features_of([PAIR])
    one, other = (
        values(encoder(context, TextTokens(torch.zeros(1, 2, dtype=torch.long), hidden)), 0)
        for hidden in (torch.zeros(1, 2, 8), torch.ones(1, 2, 8))
    )
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [row for row in ROWS if row[0] in ("sentence", "sg_adapter") or "added_to" in row[1]],
)
def test_the_padding_of_a_sentence_is_hidden_where_the_base_hides_that_of_prompts(
    sd_folder: Path, kind: str, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    base, context = small_base(sd_folder), features_of([PAIR, EMPTY])
    words = base.encode_prompt(context.sentences).present
    for masked in (False, True):
        monkeypatch.setattr(type(base), "masks_padding", masked)
        encoder = ENCODERS[kind](**settings).build(feature_width=WORD_WIDTH, base=base)
        present = encode(encoder, base, context).present
        assert present[0].tolist() == (words[0] if masked else torch.ones_like(words[0])).tolist()
        assert not present[1].any()
