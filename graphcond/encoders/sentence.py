"""The graph written out and read by the base's own text encoder: SGCond's experiment i (arXiv 2310.10338)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from graphcond.context import SceneFeatures
from graphcond.encoders.base import Encoder
from graphcond.signals import GraphTokens, TextTokens


class SentenceEncoder(Encoder[SceneFeatures, GraphTokens]):
    """Graph tokens are the hidden states of the scene's sentence, as those of a prompt. Nothing is trained.

    A sentence that is longer than the text encoder reads (77 tokens in Stable Diffusion, about eight
    relations) is cut.

    Args:
        encode_prompt: the base's `encode_prompt`.
        masks_padding: hide the padding of the sentence, as the base hides that of prompts.
    """

    reads = SceneFeatures
    gives = GraphTokens
    token_count = "prompt"

    def __init__(
        self, encode_prompt: Callable[[Sequence[str]], TextTokens], *, masks_padding: bool = False
    ) -> None:
        super().__init__()
        self._encode, self.masks_padding = encode_prompt, masks_padding

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, n, c), as many as a prompt has; hidden for an empty scene. ``text`` is not read."""
        with torch.no_grad():
            sentence = self._encode(context.sentences)
        spoken = torch.tensor([bool(one) for one in context.sentences], device=sentence.hidden.device)
        return GraphTokens(sentence.hidden, spoken[:, None] & sentence.attended(self.masks_padding))
