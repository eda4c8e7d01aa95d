"""Texts as the denoiser reads them: each distinct text through the text encoder once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64

from graphcond.fingerprint import fingerprint, module_version
from graphcond.models import StableDiffusionBase
from graphcond.progress import Progress
from graphcond.training.cache import Arrays, Layout, cached_arrays
from graphcond.training.latents import storage_type
from graphcond.types import TextTokens

BATCH = 64
"""Texts that go through the text encoder at once."""


@dataclass(frozen=True)
class PromptTable:
    """The distinct texts of a set of targets, encoded; row 0 is the empty prompt.

    ``rows`` gives each target's row. The arrays are memory maps.
    """

    ids: Int64[np.ndarray, "m n"]
    hidden: Float[np.ndarray, "m n c"]
    rows: Int64[np.ndarray, " targets"]

    def tokens(self, rows: Int64[np.ndarray, " b"], device: torch.device) -> TextTokens:
        """The tokens of some rows of the table."""
        hidden = torch.from_numpy(self.hidden[rows]).to(device)
        return TextTokens(torch.from_numpy(self.ids[rows]).to(device), hidden)


def cached_prompts(
    base: StableDiffusionBase, texts: Sequence[str], progress: Progress | None = None
) -> PromptTable:
    """Encode ``texts``, one for each target, and the empty prompt.

    Raises:
        InputError: the cache cannot be written.
    """
    distinct = list(dict.fromkeys(["", *texts]))
    row_of = {text: row for row, text in enumerate(distinct)}
    dtype = storage_type(base)
    shape = (len(distinct), base.token_count)
    layouts = {"ids": Layout(shape, np.int64), "hidden": Layout((*shape, base.token_width), dtype)}
    tokenizer = json.loads(base.tokenizer.backend_tokenizer.to_str())
    encoder = module_version(base.text_encoder, base.text_encoder.config.to_dict())

    def fill(arrays: Arrays) -> None:
        _encode_all(base, distinct, arrays, progress)

    key = f"prompts-{fingerprint(encoder, tokenizer['model'], dtype.__name__, distinct)}"
    arrays = cached_arrays(key, layouts, fill)
    return PromptTable(arrays["ids"], arrays["hidden"], np.array([row_of[text] for text in texts], np.int64))


def _encode_all(
    base: StableDiffusionBase, texts: Sequence[str], into: Arrays, progress: Progress | None
) -> None:
    for start in range(0, len(texts), BATCH):
        tokens = base.encode_prompt(texts[start : start + BATCH])
        end = start + tokens.ids.shape[0]
        into["ids"][start:end] = tokens.ids.cpu().numpy()
        into["hidden"][start:end] = tokens.hidden.float().cpu().numpy()
        if progress is not None:
            progress(end, len(texts))
