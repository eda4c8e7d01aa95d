"""Any transformers text model as an embedder of words."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2Model,
    PreTrainedTokenizerFast,
    T5Config,
    T5Model,
)

from graphcond.bases.config import TINY_FOLDER
from graphcond.errors import InputError
from graphcond.features.clip import TextEmbedder
from graphcond.features.text_features import TextModelExtractor

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "dog", "cat", "standing", "on"]


def write_tokenizer(folder: Path, *, pads: bool = True) -> None:
    tokenizer = Tokenizer(WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        "[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    marks = {"unk_token": "[UNK]", "eos_token": "[SEP]"} | ({"pad_token": "[PAD]"} if pads else {})
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=16, **marks).save_pretrained(folder)


@pytest.fixture(scope="module")
def bert_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertModel(
        BertConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=12,
        )
    ).save_pretrained(folder)
    write_tokenizer(folder)
    return folder


@pytest.fixture(scope="module")
def bert(bert_folder: Path) -> TextModelExtractor:
    return TextModelExtractor.from_pretrained(bert_folder)


def test_the_mean_of_the_last_hidden_states(bert: TextModelExtractor) -> None:
    with torch.no_grad():
        hidden = bert.model(torch.tensor([[2, 6, 7, 3]])).last_hidden_state
    short, *_ = bert.embed_texts(["standing on", "dog standing on dog standing on"])
    np.testing.assert_allclose(short, hidden[0].mean(0).numpy(), atol=1e-5)
    assert isinstance(bert, TextEmbedder)
    assert bert.width == 16


def test_neither_batches_nor_neighbors_matter(bert: TextModelExtractor) -> None:
    texts = ["dog", "cat standing on dog", "", "on"]
    single = np.concatenate([bert.embed_texts([text]) for text in texts])
    np.testing.assert_allclose(bert.embed_texts(texts), single, atol=1e-5)
    small = TextModelExtractor(bert.model, bert.tokenizer, name="small", batch_size=3)
    np.testing.assert_allclose(small.embed_texts(texts), single, atol=1e-5)
    assert bert.embed_texts([]).shape == (0, 16)


def test_texts_longer_than_the_model_are_cut(bert: TextModelExtractor) -> None:
    long, longer = bert.embed_texts(["dog " * 40, "dog " * 80])
    np.testing.assert_array_equal(long, longer)


def test_identity_follows_weights_and_tokenizer(tmp_path: Path, bert_folder: Path) -> None:
    bert = TextModelExtractor.from_pretrained(bert_folder)
    before = bert.identity
    bert.embed_texts(["using it changes its tokenizer's settings"])
    copy = tmp_path / bert_folder.name
    shutil.copytree(bert_folder, copy)
    assert TextModelExtractor.from_pretrained(copy).identity == before
    half = TextModelExtractor.from_pretrained(bert_folder, dtype=torch.bfloat16)
    assert half.identity != before
    assert half.embed_texts(["dog"]).dtype == np.float32


def test_a_masked_language_model_needs_no_pooler(tmp_path: Path, bert: TextModelExtractor) -> None:
    BertForMaskedLM(bert.model.config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    assert TextModelExtractor.from_pretrained(tmp_path).embed_texts(["dog"]).shape == (1, 16)


def test_of_an_encoder_decoder_the_encoder_is_taken(tmp_path: Path) -> None:
    config = T5Config(vocab_size=len(WORDS), d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    T5Model(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path)
    t5 = TextModelExtractor.from_pretrained(tmp_path)
    assert t5.embed_texts(["dog", "cat standing on"]).shape == (2, 8)


def test_a_tokenizer_without_padding(tmp_path: Path) -> None:
    config = GPT2Config(vocab_size=len(WORDS), n_embd=8, n_layer=1, n_head=2, n_positions=12)
    GPT2Model(config).save_pretrained(tmp_path)
    write_tokenizer(tmp_path, pads=False)
    gpt = TextModelExtractor.from_pretrained(tmp_path)
    together, alone = gpt.embed_texts(["dog", "cat standing on"])[0], gpt.embed_texts(["dog"])[0]
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_a_model_that_reads_more_than_texts_is_refused(clip_folder: Path, dino_folder: Path) -> None:
    with pytest.raises(InputError, match=r"CLIPModel does not read texts alone.*kind clip"):
        TextModelExtractor.from_pretrained(clip_folder)
    with pytest.raises(InputError):
        TextModelExtractor.from_pretrained(dino_folder)


def test_what_is_missing_is_said(tmp_path: Path, bert_folder: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        TextModelExtractor.from_pretrained(tmp_path / "nowhere")
    copy = tmp_path / "copy"
    shutil.copytree(bert_folder, copy)
    (copy / "model.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="Check the folder"):
        TextModelExtractor.from_pretrained(copy)
    shutil.copy(bert_folder / "model.safetensors", copy)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(InputError, match="okenizer"):
        TextModelExtractor.from_pretrained(copy)


@pytest.mark.skipif(not (TINY_FOLDER / "bert").is_dir(), reason="the package holds no BERT yet")
def test_the_bert_in_the_package() -> None:
    tiny = TextModelExtractor.from_pretrained("tiny-bert")
    circle, star, again = tiny.embed_texts(["circle", "star", "circle"])
    np.testing.assert_allclose(circle, again, atol=1e-5)
    assert np.abs(circle - star).max() > 1e-2
