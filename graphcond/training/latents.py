"""Pictures and prompts as the denoiser sees them, computed once for every target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64, Shaped
from torch import Tensor

from graphcond.bases import Base
from graphcond.io.ahead import batches_ahead
from graphcond.io.cache import Arrays, Layout, cached_rows
from graphcond.io.fingerprint import fingerprint
from graphcond.io.pictures import open_square, to_pixels
from graphcond.progress import Progress
from graphcond.signals import TextTokens

PICTURES_AT_ONCE = 16
"""Pictures that go through the VAE in one call."""

TEXTS_AT_ONCE = 64
"""Texts that go through the text encoder in one call."""

PART = 128
"""Pictures or texts that are kept together, and divided among processes together."""

Moments = Float[np.ndarray, "n views 2 channels height width"]
"""Mean and standard deviation of every picture, upright and, with two views, mirrored."""


def storage_type(base: Base) -> type[np.floating]:
    """The number format of cached latents: float16 for a base in float16, else float32."""
    return np.float16 if base.dtype == torch.float16 else np.float32


def prompt_storage(base: Base) -> type[np.generic]:
    """The number format of cached prompts, as large as the base's own; NumPy has no bfloat16, so its bits."""
    return np.int16 if base.dtype == torch.bfloat16 else storage_type(base)


def _stored(tensor: Tensor, dtype: type[np.generic]) -> np.ndarray:
    tensor = tensor.bfloat16().view(torch.int16) if dtype is np.int16 else tensor.float()
    return tensor.cpu().numpy()


def cached_latents(
    base: Base,
    pictures: Sequence[tuple[Path, str]],
    *,
    resolution: int,
    mirrored: bool,
    progress: Progress | None = None,
) -> Moments:
    """The posterior of each picture, padded to a square of ``resolution`` pixels; memory-mapped.

    If a picture or the autoencoder changed, its latents are computed again.

    Args:
        base: encodes them.
        pictures: the path and the digest (see `graphcond.io.fingerprint.file_digest`) of each.
        resolution: side in pixels.
        mirrored: encode the mirrored pictures too.
        progress: called after each batch.

    Raises:
        InputError: a picture cannot be read, or the cache cannot be written.
    """
    paths, digests = [path for path, _ in pictures], [digest for _, digest in pictures]
    dtype = storage_type(base)
    shape = (len(paths), 1 + mirrored, 2, *base.latent_shape(resolution, resolution))

    def pixels_of(path: Path) -> Float32[np.ndarray, "3 height width"]:
        return to_pixels(open_square(path, resolution))

    def fill(rows: slice) -> Iterator[Arrays]:
        for batch in batches_ahead(pixels_of, paths[rows], PICTURES_AT_ONCE):
            pixels, views = torch.from_numpy(np.stack(batch)), []
            for view in range(shape[1]):
                moments = base.encode_pictures(pixels.flip(-1) if view else pixels)
                views.append(torch.stack([moments.mean, moments.std], dim=1))
            yield {"moments": torch.stack(views, dim=1).float().cpu().numpy()}

    key = f"latents-{fingerprint(base.pictures_version(), resolution, mirrored, dtype.__name__, digests)}"
    layouts = {"moments": Layout(shape, dtype)}
    return cached_rows(key, layouts, fill, at_once=PART, progress=progress)["moments"]


@dataclass(frozen=True)
class PromptTable:
    """The distinct texts of a set of targets, encoded; row 0 is the empty prompt.

    ``rows`` gives each target's row. The arrays are memory maps; bfloat16 is stored as bits, int16.
    """

    ids: Int64[np.ndarray, "m n"]
    hidden: Shaped[np.ndarray, "m n c"]
    present: Bool[np.ndarray, "m n"]
    extras: Mapping[str, Shaped[np.ndarray, "m ..."]]
    rows: Int64[np.ndarray, " targets"]

    def tokens(self, rows: Int64[np.ndarray, " b"], device: torch.device) -> TextTokens:
        """The tokens of some rows of the table."""

        def part(array: np.ndarray) -> Tensor:
            found = torch.from_numpy(array[rows]).to(device)
            # In float32: beside encoders in float32, bfloat16 cannot be computed with, except under autocast.
            return found.view(torch.bfloat16).float() if array.dtype == np.int16 else found

        extras = {name: part(extra) for name, extra in self.extras.items()}
        return TextTokens(part(self.ids), part(self.hidden), part(self.present), extras)


def cached_prompts(base: Base, texts: Sequence[str], progress: Progress | None = None) -> PromptTable:
    """Encode ``texts``, one for each target, and the empty prompt.

    Raises:
        InputError: the cache cannot be written.
    """
    distinct = list(dict.fromkeys(["", *texts]))
    row_of = {text: row for row, text in enumerate(distinct)}
    dtype = prompt_storage(base)
    shape, extras = (len(distinct), base.facts.token_count), base.facts.extras
    layouts = {
        "ids": Layout(shape, np.int64),
        "hidden": Layout((*shape, base.facts.token_width), dtype),
        "present": Layout(shape, np.bool_),
        **{f"extra_{name}": Layout((len(distinct), *row), dtype) for name, row in extras.items()},
    }

    def fill(rows: slice) -> Iterator[Arrays]:
        for start in range(rows.start, rows.stop, TEXTS_AT_ONCE):
            tokens = base.encode_prompt(distinct[start : min(start + TEXTS_AT_ONCE, rows.stop)])
            everywhere = torch.ones(tokens.ids.shape, dtype=torch.bool)
            present = everywhere if tokens.present is None else tokens.present
            yield {
                "ids": tokens.ids.cpu().numpy(),
                "hidden": _stored(tokens.hidden, dtype),
                "present": present.cpu().numpy(),
                **{f"extra_{name}": _stored(tokens.extras[name], dtype) for name in extras},
            }

    key = f"prompts-{fingerprint(base.prompts_version(), dtype.__name__, distinct)}"
    arrays = cached_rows(key, layouts, fill, at_once=PART, progress=progress)
    return PromptTable(
        arrays["ids"],
        arrays["hidden"],
        arrays["present"],
        {name: arrays[f"extra_{name}"] for name in extras},
        np.array([row_of[text] for text in texts], np.int64),
    )
