from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphcond.bases import StableDiffusionBase, StableDiffusionConfig
from graphcond.bases.stable_diffusion_xl import StableDiffusionXLBase
from graphcond.training.latents import cached_prompts
from tests.tiny_checkpoints import write_sdxl_folder


def test_each_distinct_text_is_encoded_once(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    base = StableDiffusionConfig(model=str(sd_folder)).build(device=torch.device("cpu"))
    seen: list[str] = []
    encode = StableDiffusionBase.encode_prompt

    def counted(self: StableDiffusionBase, texts: list[str]) -> object:
        seen.extend(texts)
        return encode(self, texts)

    monkeypatch.setattr(StableDiffusionBase, "encode_prompt", counted)
    texts = ["a star", "a fish", "a star", ""]
    for _ in range(2):
        table = cached_prompts(base, texts)
        assert seen == ["", "a star", "a fish"]
        assert table.rows.tolist() == [1, 2, 1, 0]
    tokens = table.tokens(table.rows, torch.device("cpu"))
    expected = encode(base, texts)
    assert torch.equal(tokens.ids, expected.ids)
    torch.testing.assert_close(tokens.hidden, expected.hidden)
    empty = table.tokens(np.array([0]), torch.device("cpu"))
    torch.testing.assert_close(empty.hidden, encode(base, [""]).hidden)
    with torch.no_grad():
        next(base.text_encoder.parameters()).add_(0.1)
    cached_prompts(base, texts)
    assert len(seen) == 6


def test_prompts_of_a_bf16_base_lose_nothing_in_the_cache(
    sd_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path))
    base = StableDiffusionConfig(model=str(sd_folder), dtype="bf16").build(device=torch.device("cpu"))
    table = cached_prompts(base, ["a star"])
    tokens = table.tokens(table.rows, torch.device("cpu"))
    assert (table.hidden.nbytes, tokens.hidden.dtype) == (2 * table.hidden.size, torch.float32)
    assert torch.equal(tokens.hidden.to(torch.bfloat16), base.encode_prompt(["", "a star"]).hidden[1:])


def test_the_cache_gives_back_the_padding_and_the_extras(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    base = StableDiffusionXLBase.from_pretrained(str(write_sdxl_folder(tmp_path / "sdxl")))
    texts = ["a star", "a longer prompt", ""]
    for _ in range(2):
        table = cached_prompts(base, texts)
        tokens, expected = table.tokens(table.rows, base.device), base.encode_prompt(texts)
        assert torch.equal(tokens.present, expected.present)
        assert tokens.extras.keys() == {"pooled"}
        torch.testing.assert_close(tokens.extras["pooled"], expected.extras["pooled"])
