"""Prompts that are longer than the text encoder of a base reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from threading import Lock

from transformers import CLIPTokenizer

TOKENIZING = Lock()
"""A call sets how its tokenizer pads, which calls in other threads would see."""

WORDS = 4
"""Last words that are shown of what is read."""


@dataclass(frozen=True)
class CutPrompt:
    """A prompt with more tokens than the text encoder reads; ``kept`` is the part that it reads."""

    prompt: str
    tokens: int
    kept: str


def cut_by(tokenizer: CLIPTokenizer, prompts: Iterable[str], limit: int) -> list[CutPrompt]:
    """The distinct ``prompts`` with more than ``limit`` tokens, start and end included."""
    # A token is at least one byte, so that most captions need not be tokenized twice.
    long = [prompt for prompt in dict.fromkeys(prompts) if len(prompt.encode()) > limit - 2]
    if not long:
        return []
    with TOKENIZING:
        found = tokenizer(long, verbose=False)["input_ids"]
    return [
        CutPrompt(prompt, len(ids), tokenizer.decode(ids[: limit - 1], skip_special_tokens=True).strip())
        for prompt, ids in zip(long, found, strict=True)
        if len(ids) > limit
    ]


def note_on_cut(cut: Sequence[CutPrompt], of: int, limit: int) -> str | None:
    """A sentence about the prompts that are cut, ``of`` so many; None if none is.

    Args:
        cut: the prompts that are cut.
        of: the number of distinct prompts that were looked at.
        limit: the tokens that the text encoder reads.
    """
    if not cut:
        return None
    longest = max(one.tokens for one in cut)
    read = " ".join(cut[0].kept.split()[-WORDS:])
    which = f"{len(cut)} of {of} prompts are" if of > 1 else "the prompt is"
    return (
        f"{which} longer than the {limit} tokens that the text encoder reads (the longest has {longest}); "
        f"what follows '... {read}' has no effect"
    )
