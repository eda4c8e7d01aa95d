"""The graph written out and read by the base's own text encoder: SGCond's experiment i (arXiv 2310.10338)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from graphcond.context import SceneFeatures
from graphcond.encoders.base import Encoder
from graphcond.signals import GraphTokens, TextTokens


class SentenceEncoder(Encoder[SceneFeatures, GraphTokens]):
    """Graph tokens are the hidden states of the scene's sentence, as those of a prompt. Nothing is trained.

    A sentence longer than the text encoder reads (77 tokens in Stable Diffusion, about eight relations) is
    cut: what exceeds it does not steer.

    Args:
        encode_prompt: the base's `encode_prompt`.
    """

    reads = SceneFeatures
    gives = GraphTokens

    def __init__(self, encode_prompt: Callable[[Sequence[str]], TextTokens]) -> None:
        super().__init__()
        self._encode = encode_prompt

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, n, c), as many as a prompt has; hidden for an empty scene. ``text`` is not read."""
        with torch.no_grad():
            hidden = self._encode(context.sentences).hidden
        spoken = torch.tensor([bool(sentence) for sentence in context.sentences], device=hidden.device)
        return GraphTokens(hidden, spoken[:, None].expand(hidden.shape[:2]))
