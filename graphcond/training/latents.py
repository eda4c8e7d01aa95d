"""Pictures and prompts as the denoiser sees them, computed once for every target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64, Shaped
from torch import Tensor

from graphcond.bases import Base
from graphcond.io.ahead import batches_ahead
from graphcond.io.cache import Arrays, Layout, cached_rows
from graphcond.io.fingerprint import fingerprint
from graphcond.io.frames import Frame, Frames
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
    frames: Frames | None = None,
    progress: Progress | None = None,
) -> Moments:
    """The posterior of each picture, padded to a square of ``resolution`` pixels; memory-mapped.

    If a picture or the autoencoder changed, its latents are computed again.

    Args:
        base: encodes them.
        pictures: the path and the digest (see `graphcond.io.fingerprint.file_digest`) of each.
        resolution: side in pixels.
        mirrored: encode the mirrored pictures too.
        frames: of the pictures, in place of squares; those of one picture are further views.
        progress: called after each batch.

    Raises:
        InputError: a picture cannot be read, or the cache cannot be written.
    """
    paths, digests = [path for path, _ in pictures], [digest for _, digest in pictures]
    dtype = storage_type(base)
    size, each = ((resolution, resolution), 1) if frames is None else (frames.size, frames.regions.shape[1])
    shape = (len(paths), each * (1 + mirrored), 2, *base.latent_shape(*size))

    def pixels_of(row: int) -> Float32[np.ndarray, "frames 3 height width"]:
        if frames is None:
            shown = [open_square(paths[row], resolution)]
        else:
            shown = [frame.open(paths[row]) for frame in frames.of(row)]
        return np.stack([to_pixels(picture) for picture in shown])

    def fill(rows: slice) -> Iterator[Arrays]:
        for batch in batches_ahead(pixels_of, range(*rows.indices(len(paths))), PICTURES_AT_ONCE):
            pixels, views = torch.from_numpy(np.stack(batch)), []
            for view in range(shape[1]):
                shown = pixels[:, view // (1 + mirrored)]
                moments = base.encode_pictures(shown.flip(-1) if view % (1 + mirrored) else shown)
                views.append(torch.stack([moments.mean, moments.std], dim=1))
            yield {"moments": torch.stack(views, dim=1).float().cpu().numpy()}

    seen = (resolution,) if frames is None else (frames.size, frames.originals, frames.regions)
    key = f"latents-{fingerprint(base.pictures_version(), *seen, mirrored, dtype.__name__, digests)}"
    layouts = {"moments": Layout(shape, dtype)}
    return cached_rows(key, layouts, fill, at_once=PART, progress=progress)["moments"]


@dataclass(frozen=True)
class PictureTable:
    """The encoded pictures of examples, in buckets of one size.

    Args:
        latents: of each bucket.
        members: the examples of each bucket, in the order of its latents, ascending.
        frames: of each bucket's pictures; None where nothing reads them.
        mirrored: whether a mirrored view stands behind each other view.
        cut: whether pictures are cut to fit, not padded.
    """

    latents: tuple[Float[np.ndarray, "_m _views 2 _channels _height _width"], ...]
    members: tuple[Int64[np.ndarray, " _m"], ...]
    frames: tuple[Frames, ...] | None
    mirrored: bool
    cut: bool = False

    def __len__(self) -> int:
        return sum(map(len, self.members))

    @property
    def views(self) -> int:
        """Views of each picture that are not mirrored."""
        return self.latents[0].shape[1] // (1 + self.mirrored)

    @property
    def shapes(self) -> list[tuple[int, int, int, int]]:
        """Of each bucket: its examples, and channels, height and width of their latents."""
        return [(one.shape[0], one.shape[3], one.shape[4], one.shape[5]) for one in self.latents]

    @cached_property
    def _places(self) -> Int64[np.ndarray, "n 2"]:
        """The bucket of each example, and the row in it."""
        places = np.empty((len(self), 2), np.int64)
        for bucket, rows in enumerate(self.members):
            places[rows, 0], places[rows, 1] = bucket, np.arange(len(rows))
        return places

    def bucket(self, rows: Int64[np.ndarray, " b"]) -> int:
        """The bucket of ``rows``, which are all of one."""
        return int(self._places[rows[0], 0])

    def places(self, rows: Int64[np.ndarray, " b"]) -> Int64[np.ndarray, " b"]:
        """The rows of examples in the arrays of their bucket."""
        return self._places[rows, 1]

    def shape(self, rows: Int64[np.ndarray, " b"]) -> tuple[int, int, int]:
        """Channels, height and width of the latents of ``rows``, which are all of one bucket."""
        return self.shapes[self.bucket(rows)][1:]

    def alike(self, count: int) -> Int64[np.ndarray, " b"]:
        """The first ``count`` examples of the largest bucket."""
        return max(self.members, key=len)[:count]

    def moments(
        self,
        rows: Int64[np.ndarray, " b"],
        views: Int64[np.ndarray, " b"],
        mirrored: Bool[np.ndarray, " b"] | None,
    ) -> Float[np.ndarray, "b 2 channels height width"]:
        """The latents of ``rows``, which are all of one bucket."""
        flips = 0 if mirrored is None else mirrored.astype(np.int64)
        return self.latents[self.bucket(rows)][self.places(rows), views * (1 + self.mirrored) + flips]

    def shown(self, rows: Int64[np.ndarray, " b"], views: Int64[np.ndarray, " b"]) -> list[Frame] | None:
        """The frames of ``rows``; None where the table has none."""
        if self.frames is None:
            return None
        places = zip(*self._places[rows].T.tolist(), views.tolist(), strict=True)
        return [self.frames[bucket].frame(place, view) for bucket, place, view in places]

    def numbers(
        self,
        rows: Int64[np.ndarray, " b"],
        views: Int64[np.ndarray, " b"],
        mirrored: Bool[np.ndarray, " b"] | None,
    ) -> Float32[np.ndarray, "b 6"] | None:
        """`Frame.numbers` of pictures that are cut to fit; None for others."""
        frames = self.shown(rows, views) if self.cut else None
        if frames is None:
            return None
        flips = np.zeros(len(rows), np.bool_) if mirrored is None else mirrored
        found = [one.numbers(mirrored=flip) for one, flip in zip(frames, flips.tolist(), strict=True)]
        return np.array(found, np.float32)


@dataclass(frozen=True)
class PromptTable:
    """The distinct texts of a set of targets, encoded; row 0 is the empty prompt.

    ``rows`` gives the row of each target's first text, ``others`` those of all texts of targets with several.
    The arrays are memory maps; bfloat16 is stored as bits, int16.
    """

    ids: Int64[np.ndarray, "m n"]
    hidden: Shaped[np.ndarray, "m n c"]
    present: Bool[np.ndarray, "m n"]
    extras: Mapping[str, Shaped[np.ndarray, "m ..."]]
    rows: Int64[np.ndarray, " targets"]
    others: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def drawn(
        self, targets: Int64[np.ndarray, " b"], numbers: Float64[np.ndarray, " b"] | None
    ) -> Int64[np.ndarray, " b"]:
        """The row of one text of each target: the first, or one by uniform ``numbers`` in 0..1."""
        rows = self.rows[targets]
        if numbers is not None:
            for place, target in enumerate(targets.tolist()):
                if several := self.others.get(target):
                    rows[place] = several[int(numbers[place] * len(several))]
        return rows

    def tokens(self, rows: Int64[np.ndarray, " b"], device: torch.device) -> TextTokens:
        """The tokens of some rows of the table."""

        def part(array: np.ndarray) -> Tensor:
            found = torch.from_numpy(array[rows]).to(device)
            # In float32: beside encoders in float32, bfloat16 cannot be computed with, except under autocast.
            return found.view(torch.bfloat16).float() if array.dtype == np.int16 else found

        extras = {name: part(extra) for name, extra in self.extras.items()}
        return TextTokens(part(self.ids), part(self.hidden), part(self.present), extras)


def cached_prompts(
    base: Base, texts: Sequence[str | Sequence[str]], progress: Progress | None = None
) -> PromptTable:
    """Encode ``texts``, one or several for each target, and the empty prompt.

    Raises:
        InputError: the cache cannot be written.
    """
    several = [[one] if isinstance(one, str) else one for one in texts]
    distinct = list(dict.fromkeys(["", *(text for own in several for text in own)]))
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
        np.array([row_of[own[0]] for own in several], np.int64),
        {row: [row_of[text] for text in own] for row, own in enumerate(several) if len(own) > 1},
    )
