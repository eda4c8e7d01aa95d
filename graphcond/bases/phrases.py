"""What a base's text encoder makes of single phrases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from graphcond.bases.base import Base

AT_ONCE = 64
"""Phrases in one call of the text encoder."""


@torch.no_grad()
def phrase_states(base: Base, phrases: Sequence[str]) -> tuple[Float[Tensor, "p c"], Bool[Tensor, " p"]]:
    """The base's state at the last word of each phrase, in float32, and which phrases have one.

    The end mark's state and that of padding serve a denoiser less. A phrase that is longer than the base
    reads has none, nor has one without a word.
    """
    cut = {one.prompt for one in base.cut_prompts(phrases)}
    states, known = [], []
    for start in range(0, len(phrases), AT_ONCE):
        part = phrases[start : start + AT_ONCE]
        tokens = base.encode_prompt(part)
        words = base.token_spans(part).to(tokens.ids.device)[..., 1] > 0
        last = (words * torch.arange(words.shape[1], device=words.device)).argmax(1)
        states.append(tokens.hidden[torch.arange(len(part)), last].float().cpu())
        whole = torch.tensor([phrase not in cut for phrase in part])
        known.append(words.any(1).cpu() & whole)
    return torch.cat(states), torch.cat(known)
