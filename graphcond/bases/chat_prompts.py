"""Prompts as a language model with a chat template reads them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Int64
from torch import Tensor
from transformers import BatchEncoding, PreTrainedTokenizerBase

from graphcond.bases.cut_prompts import TOKENIZING, CutPrompt
from graphcond.errors import InputError

MARK = "\0"
"""A prompt that no template contains."""


class ChatPrompts:
    """Tokens of prompts, each as the message of a user, without thinking.

    Args:
        tokenizer: of the language model; a fast one.
        limit: tokens of a prompt, those of the template included. Shorter ones are padded, longer ones cut.

    Raises:
        InputError: the tokenizer has no chat template.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, limit: int) -> None:
        self.tokenizer, self.limit = tokenizer, limit
        try:
            self._before = self._chat(MARK).index(MARK)
        except ValueError as error:
            raise InputError(
                f"it has no chat template ({str(error).splitlines()[0]})",
                place="the base's tokenizer",
                remedy="fetch the model again, with chat_template.jinja in its tokenizer folder",
            ) from error

    def tokens(self, prompts: Sequence[str], **options: Any) -> BatchEncoding:
        """Ids and attention mask of ``prompts``, b x `limit`; with further options of the tokenizer."""
        with TOKENIZING:
            return self.tokenizer(
                [self._chat(prompt) for prompt in prompts],
                padding="max_length",
                max_length=self.limit,
                truncation=True,
                return_tensors="pt",
                **options,
            )

    def spans(self, prompts: Sequence[str]) -> Int64[Tensor, "b n 2"]:
        """The characters of a prompt that each token stands for; 0, 0 for those of the template."""
        found: Tensor = self.tokens(prompts, return_offsets_mapping=True)["offset_mapping"]
        for spans, prompt in zip(found, prompts, strict=True):
            spans -= self._before
            spans[(spans[:, 0] < 0) | (spans[:, 1] > len(prompt))] = 0
        return found

    def cut(self, prompts: Sequence[str]) -> list[CutPrompt]:
        """The distinct prompts whose ends are left out."""
        # A token is at least one byte, so that most captions need not be tokenized twice.
        long = [one for one in dict.fromkeys(prompts) if len(self._chat(one).encode()) > self.limit]
        if not long:
            return []
        with TOKENIZING:
            found = self.tokenizer([self._chat(one) for one in long], return_offsets_mapping=True)
        return [
            CutPrompt(prompt, len(spans), prompt[: max(0, spans[self.limit - 1][1] - self._before)])
            for prompt, spans in zip(long, found["offset_mapping"], strict=True)
            if len(spans) > self.limit
        ]

    def _chat(self, prompt: str) -> str:
        messages = [{"role": "user", "content": prompt}]
        options = {"tokenize": False, "add_generation_prompt": True, "enable_thinking": False}
        return str(self.tokenizer.apply_chat_template(messages, **options))
