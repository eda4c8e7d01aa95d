"""Any transformers text model as an embedder of words: BERT and its like, T5, the text half of CLIP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32
from torch import Tensor
from transformers import AutoModel, AutoTokenizer

from graphcond.bases.config import TINY_FOLDER
from graphcond.errors import InputError
from graphcond.features.clip import FrozenNetwork, tokenizer_settings
from graphcond.features.networks import load_network, load_pretrained

TINY_BERT = "tiny-bert"
"""The name of the small BERT inside the package."""

LONGEST = 512
"""Largest number of tokens of a text; longer texts, also those over the model's own limit, are cut."""


class TextModelExtractor(FrozenNetwork):
    """A text as the mean of the last hidden states of its tokens, those that open and close it included.

    Args:
        tokenizer: the network's.
        **network: further arguments of `FrozenNetwork`.
    """

    def __init__(self, model: Any, tokenizer: Any, *, name: str, batch_size: int = 32) -> None:
        super().__init__(model, name=name, batch_size=batch_size)
        self.tokenizer = tokenizer

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> TextModelExtractor:
        """Load a text model: a folder, a hub id, or ``tiny-bert`` for the one inside the package.

        Only safetensors are read. Of an encoder-decoder the encoder is taken; a pooler is not needed.

        Raises:
            InputError: the model is not there, is damaged, or does not read texts alone.
        """
        folder = TINY_FOLDER / "bert" if name == TINY_BERT else name
        model = load_network(AutoModel, folder, device, dtype, unread="pooler")
        tokenizer = load_pretrained(AutoTokenizer, folder)
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        if model.main_input_name != "input_ids" or hasattr(model.config, "vision_config"):
            raise InputError(
                f"a {type(model).__name__} does not read texts alone",
                place=name,
                remedy="name a text model, or use features of kind clip for a CLIP",
            )
        if len(tokenizer) <= len(tokenizer.all_special_tokens):
            raise InputError(
                "its tokenizer has no vocabulary", place=name, remedy="copy the tokenizer's files into it"
            )
        tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token or tokenizer.unk_token
        return cls(model, tokenizer, name=str(name))

    @property
    def width(self) -> int:
        """Length of one embedding: the network's hidden width."""
        return int(self.model.config.hidden_size)

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """One embedding for each text, not normalized; zero for a text without any token."""

        def encode(some: Sequence[str]) -> Float[Tensor, "b d"]:
            tokens = self.tokenizer(
                list(some), padding=True, truncation=True, max_length=self._length(), return_tensors="pt"
            ).to(self.model.device)
            if not tokens.input_ids.shape[1]:
                return torch.zeros(len(some), self.width)
            mask = tokens.attention_mask
            read = self.model(input_ids=tokens.input_ids.long(), attention_mask=mask)
            here = mask[..., None].float()
            return (read.last_hidden_state.float() * here).sum(1) / here.sum(1).clamp(min=1)

        return self._in_batches(texts, encode)

    def _length(self) -> int:
        limits = (
            self.tokenizer.model_max_length,
            getattr(self.model.config, "max_position_embeddings", None),
        )
        return min(LONGEST, *(int(limit) for limit in limits if limit))

    def _preprocessing(self) -> str:
        return f"mean {self._length()} {tokenizer_settings(self.tokenizer)}"
