"""SG-Adapter and SDXL-SG: a sentence that the graph changes word by word; phrases in boxes."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from graphcond.adapters import PromptTokenInjector
from graphcond.bases.config import StableDiffusionXLConfig
from graphcond.condition import Condition
from graphcond.encoders.config import PhraseTokensConfig, SentenceGraphConfig, SGAdapterConfig
from graphcond.encoders.sentence_graph import SentenceGraph
from graphcond.errors import InputError
from graphcond.saving.sdxl_sg import load_sdxl_sg
from graphcond.scene_graph import Box, SceneGraph
from tests.builders import small_base
from tests.scene_batches import LOOSE, PAIR, PARK, WORD_WIDTH, features_of

CPU = torch.device("cpu")


@pytest.fixture
def base(sd_folder: Path):
    return small_base(sd_folder)


def text(base):
    return base.encode_prompt(["an image"])


def woken(encoder):
    with torch.no_grad():
        for name, parameter in encoder.named_parameters():
            if name.startswith("alpha"):
                parameter.fill_(0.5)
    return encoder


# SG-Adapter


@torch.no_grad()
def test_it_starts_as_the_sentence(base) -> None:
    context = features_of([PARK])
    encoder = SGAdapterConfig(heads=4).build(feature_width=WORD_WIDTH, base=base)
    assert torch.equal(encoder(context, text(base)).tokens, base.encode_prompt(context.sentences).hidden)


@torch.no_grad()
@pytest.mark.parametrize("masked", [True, False])
def test_a_token_hears_of_its_own_triples_alone_if_masked(base, masked: bool) -> None:
    """The last clause's predicate changes the tokens of that clause, and without the mask all of them."""
    context = features_of([PARK])
    torch.manual_seed(0)
    encoder = woken(SGAdapterConfig(heads=4, masked=masked).build(feature_width=WORD_WIDTH, base=base))
    before = encoder(context, text(base)).tokens[0]
    changed = context.predicates.clone()
    changed[0, 2] += 1
    after = encoder(type(context)(**{**vars(context), "predicates": changed}), text(base)).tokens[0]
    moved = ((after - before).abs().amax(-1) > 1e-6).tolist()
    spans = base.token_spans(context.sentences)[0]
    first = context.sentences[0].rindex("a green")
    inside = [start >= first and end > start for start, end in spans.tolist()]
    assert any(inside)
    assert moved == (inside if masked else [True] * len(moved))


# SDXL-SG


@torch.no_grad()
def test_vectors_belong_to_their_words_and_hear_of_the_graph(base) -> None:
    torch.manual_seed(0)
    encoder = SentenceGraphConfig(node_width=16, hidden=20, layers=2).build(
        feature_width=WORD_WIDTH, base=base
    )
    context = features_of([PARK, LOOSE])
    signal = encoder(context, text(base))
    nodes, triples = context.present.shape[1], context.related.shape[1]
    assert signal.tokens.shape[:2] == signal.alignment.words.shape[:2] == (2, nodes + triples)
    assert torch.equal(signal.alignment.hidden, base.encode_prompt(context.sentences).hidden)
    named = signal.alignment.words.any(-1)
    assert named[0].tolist() == [True] * 11 + [False] * 4  # "is" of attributes is not said
    assert signal.present[0].all()
    assert signal.present[1].tolist() == [True] * 2 + [False] * 13


def released(width: int) -> dict[str, torch.Tensor]:
    """Random weights in the layout of the released file, with the widths of a small SDXL."""
    torch.manual_seed(3)
    sizes = {"net1.0": (36, 48), "net1.2": (88, 36), "net2.0": (36, 36), "net2.2": (16, 36)}
    found = {
        f"{layer}.{name}.{part}": torch.randn(size if part == "weight" else size[0])
        for layer in ("graph_conv", *(f"graph_net.gconvs.{n}" for n in range(5)))
        for name, size in sizes.items()
        for part in ("weight", "bias")
    }
    found |= {"projection_mlp_1.weight": torch.randn(16, width)}
    found |= {"projection_mlp_2.weight": torch.randn(width, 16)}
    return found | {"alpha_obj": torch.tensor([0.25]), "logit_scale": torch.tensor(2.66)}


@pytest.fixture
def condition(sdxl_folder: Path) -> Condition:
    base = StableDiffusionXLConfig(model=str(sdxl_folder)).build(device=CPU)
    encoder = SentenceGraphConfig(node_width=16, hidden=36).build(feature_width=WORD_WIDTH, base=base)
    return Condition("scene", encoder, PromptTokenInjector(place="add"))


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_a_released_file_loads(condition: Condition, tmp_path: Path, suffix: str) -> None:
    encoder = condition.encoder
    assert isinstance(encoder, SentenceGraph)
    weights, file = released(encoder.projection_mlp_1.in_features), tmp_path / f"weights{suffix}"
    save_file(weights, file) if suffix == ".safetensors" else torch.save({"state_dict": weights}, file)
    load_sdxl_sg(condition, file)
    assert condition.injector.alpha_obj.tolist() == [0.25]
    assert torch.equal(encoder.graph_net.gconvs[4].net1[2].bias, weights["graph_net.gconvs.4.net1.2.bias"])
    assert torch.equal(encoder.projection_mlp_2.weight, weights["projection_mlp_2.weight"])


class Planted:
    def __reduce__(self):
        return Path.touch, (Path("/planted"),)


def test_files_that_do_not_fit_are_refused(condition: Condition, base, tmp_path: Path) -> None:
    good, file = released(condition.encoder.projection_mlp_1.in_features), tmp_path / "weights.safetensors"
    for problem, weights in {
        "'alpha_obj' is missing": {name: one for name, one in good.items() if name != "alpha_obj"},
        "'surplus' is surplus": good | {"surplus": torch.zeros(1)},
        "has shape": good | {"projection_mlp_1.weight": torch.randn(16, 7)},
    }.items():
        save_file(weights, file)
        with pytest.raises(InputError, match=problem):
            load_sdxl_sg(condition, file)
    planted = tmp_path / "weights.pt"
    planted.write_bytes(pickle.dumps({"state_dict": Planted()}))
    with pytest.raises(InputError, match="it could run code"):
        load_sdxl_sg(condition, planted)
    torch.save([1, 2], planted)
    with pytest.raises(InputError, match="expected a state dict"):
        load_sdxl_sg(condition, planted)
    save_file(good, file)
    other = SGAdapterConfig(heads=4).build(feature_width=WORD_WIDTH, base=base)
    with pytest.raises(InputError, match="not for SGAdapter with PromptTokenInjector"):
        load_sdxl_sg(Condition("scene", other, PromptTokenInjector(place="replace")), file)


# Phrases in boxes


@torch.no_grad()
def test_every_phrase_has_the_words_of_its_object_and_its_box(base) -> None:
    box = Box(0.1, 0.2, 0.5, 0.6)
    boxed = SceneGraph(PAIR.objects, PAIR.relationships, PAIR.attributes, (box, None))
    encoder = PhraseTokensConfig(node_width=16, layers=2).build(feature_width=WORD_WIDTH, base=base)
    context = features_of([boxed, LOOSE])
    signal = encoder(context, text(base))
    alone = base.encode_prompt(["a red circle", "a blue square", "a tree"])
    counts = (alone.present.sum(1) - 2).tolist()
    words = signal.tokens.shape[1] // 2
    assert words == max(counts)
    of_object = signal.present.unflatten(1, (2, words)).sum(-1)
    assert of_object[0].tolist() == counts[:2]
    assert of_object[1, 0] == counts[2]
    torch.testing.assert_close(signal.tokens[0, : counts[0]], alone.hidden[0, 1 : 1 + counts[0]])
    assert torch.equal(signal.boxes[0, 0], torch.tensor(box))
    predicted = encoder.predicted_boxes(context)
    assert torch.equal(signal.boxes[0, words], predicted[0, 1])
    assert torch.equal(signal.boxed, signal.present)
