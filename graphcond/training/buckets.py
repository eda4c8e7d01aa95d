"""Buckets: pictures of one size each, the size that suits them best, and the order of batches over them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from graphcond.bases import Base
from graphcond.io.ahead import batches_ahead
from graphcond.io.cache import Arrays, Layout, cached_rows
from graphcond.io.fingerprint import fingerprint
from graphcond.io.frames import Frame, Frames
from graphcond.io.pictures import picture_size
from graphcond.progress import Progress
from graphcond.recipe.pictures import BucketConfig
from graphcond.training.latents import PictureTable, cached_latents
from graphcond.training.randomness import Purpose, order_of, seed_of

PART = 4096
"""Pictures whose sizes are kept together."""

Size = tuple[int, int]


def picture_sizes(
    pictures: Sequence[tuple[Path, str]], progress: Progress | None = None
) -> Int64[np.ndarray, "n 2"]:
    """Height and width in pixels of each picture, upright; from the cache where its digest is known.

    Raises:
        InputError: a picture cannot be read.
    """
    paths = [path for path, _ in pictures]

    def fill(rows: slice) -> Iterator[Arrays]:
        for sizes in batches_ahead(lambda path: picture_size(path, upright=True)[::-1], paths[rows], PART):
            yield {"sizes": np.array(sizes, np.int64)}

    key = f"sizes-{fingerprint([digest for _, digest in pictures])}"
    layouts = {"sizes": Layout((len(paths), 2), np.int64)}
    return cached_rows(key, layouts, fill, at_once=PART, progress=progress)["sizes"]


def best_sizes(
    originals: Int64[np.ndarray, "n 2"], sizes: Sequence[Sequence[Size]], *, fewest: int = 1
) -> list[Size]:
    """The size, height and width, that suits each picture best.

    It has the nearest proportions of the sizes of one resolution: of the largest one for which the picture
    need not be enlarged, or of the smallest where it must be. Sizes with too few pictures are given up, the
    one with the fewest first.

    Args:
        originals: heights and widths of the pictures.
        sizes: of each resolution, ascending.
        fewest: pictures of each size that is used, if there are as many pictures.
    """
    pictures, of, times = np.unique(originals, axis=0, return_inverse=True, return_counts=True)
    shapes = np.array([size for one in sizes for size in one])
    level = np.repeat(np.arange(len(sizes)), [len(one) for one in sizes])
    distance = np.abs(np.log(np.divide(*pictures.T)[:, None] / np.divide(*shapes.T)))
    wanted = np.zeros(len(pictures), np.int64)
    for number in range(1, len(sizes)):
        nearest = shapes[np.where(level == number, distance, np.inf).argmin(1)]
        wanted[(nearest <= pictures).all(1)] = number
    distance += FAR * np.abs(level - wanted[:, None])
    while True:
        chosen = distance.argmin(1)
        counts = np.bincount(chosen, weights=times, minlength=len(shapes))
        few = np.flatnonzero((counts > 0) & (counts < fewest))
        if not len(few) or np.count_nonzero(counts) == 1:
            found = [(height, width) for height, width in shapes[chosen].tolist()]
            return [found[place] for place in of.ravel().tolist()]
        distance[:, few[counts[few].argmin()]] = np.inf


GOLDEN = 0.6180339887498949
"""Multiples of the golden ratio, modulo 1, are spread evenly (a Weyl sequence)."""

FAR = 100.0
"""Makes a size of another resolution further away than any of other proportions."""


def padded_frames(pictures: Sequence[tuple[Path, str]], side: int) -> Frames:
    """The frames of pictures that are padded to squares.

    Raises:
        InputError: a picture cannot be read.
    """
    originals = picture_sizes(pictures)
    regions = [Frame.padded((height, width), side).region for height, width in originals.tolist()]
    return Frames((side, side), originals, np.array(regions)[:, None])


def frames_in_buckets(
    pictures: Sequence[tuple[Path, str]], side: int, config: BucketConfig, *, training: bool
) -> Iterator[tuple[Int64[np.ndarray, " m"], Frames]]:
    """The pictures of each size, by their places, with their frames.

    Args:
        pictures: path and digest of each.
        side: of the squares with a size's number of pixels, unless ``config`` has others.
        config: of the recipe.
        training: give up small buckets and take several crops; else the middle of every picture.

    Raises:
        InputError: a picture cannot be read.
    """
    originals = picture_sizes(pictures)
    sizes = best_sizes(originals, config.sizes(side), fewest=config.fewest if training else 1)
    for size in sorted(set(sizes)):
        rows = np.array([row for row, own in enumerate(sizes) if own == size])
        regions, crops = [], config.crops if training else 1
        for row in rows.tolist():
            height, width = originals[row].tolist()
            # Random places follow from the picture's content.
            generator = np.random.default_rng(int(pictures[row][1][:16], 16))
            places = [0.5] if crops == 1 else generator.random(crops).tolist()
            regions.append([Frame.covered((height, width), size, place).region for place in places])
        yield rows, Frames(size, originals[rows], np.array(regions))


def table_of_pictures(
    base: Base,
    pictures: Sequence[tuple[Path, str]],
    side: int,
    config: BucketConfig | None,
    *,
    mirrored: bool = False,
    training: bool = True,
    framed: bool = False,
    progress: Progress | None = None,
) -> PictureTable:
    """Encoded pictures: padded to squares, or in buckets where the recipe asks for them.

    Args:
        base: encodes them.
        pictures: path and digest of each.
        side: as of `frames_in_buckets`, or of the squares to which pictures are padded.
        config: of the buckets, if any.
        mirrored: encode mirrored pictures too.
        training: as of `frames_in_buckets`.
        framed: whether the table needs the place of each padded picture in its square.
        progress: called after each batch.

    Raises:
        InputError: a picture cannot be read, or the base has no latents of a size.
    """
    if config is None:
        latents = cached_latents(base, pictures, resolution=side, mirrored=mirrored, progress=progress)
        padded = (padded_frames(pictures, side),) if framed else None
        return PictureTable((latents,), (np.arange(len(pictures)),), padded, mirrored)
    parts = []
    for rows, frames in frames_in_buckets(pictures, side, config, training=training):
        chosen = [pictures[row] for row in rows.tolist()]
        latents = cached_latents(
            base, chosen, resolution=side, mirrored=mirrored, frames=frames, progress=progress
        )
        parts.append((latents, rows, frames))
    all_latents, members, all_frames = zip(*parts, strict=True)
    return PictureTable(all_latents, members, all_frames, mirrored, cut=True)


def note_on_buckets(table: PictureTable) -> str:
    """The sizes of pictures that are cut to fit, and how much of them is cut off, in a sentence."""
    assert table.frames is not None
    sizes = [f"{one.size[1]} x {one.size[0]} ({len(one.originals)})" for one in table.frames]
    kept = np.concatenate([np.ptp(one.regions.reshape(-1, 2, 2), axis=1).prod(1) for one in table.frames])
    return (
        f"pictures in {len(sizes)} size{'s' * (len(sizes) > 1)}, width x height: {', '.join(sizes)}; "
        f"{1 - kept.mean():.0%} of a picture is cut off on average, {1 - kept.min():.0%} at most"
    )


class BucketOrder:
    """The examples of each batch, which are all of one bucket.

    Over a round, which is as many batches as there are examples for, each bucket gets its share of them. Each
    takes its own examples in turn, every pass over them in another order. With a single bucket, that is
    `order_of`.

    Args:
        seed: of the order.
        members: the examples of each bucket.
        together: examples of one bucket in a row: those that all processes see at once.
    """

    def __init__(self, seed: int, members: Sequence[Int64[np.ndarray, " _m"]], together: int) -> None:
        self._seed, self._members, self._together = seed, members, together
        counts = np.array([len(rows) for rows in members])
        self._edges: Float64[np.ndarray, " buckets"] = counts.cumsum() / counts.sum()
        self._length = -(-int(counts.sum()) // together)
        self._before = [np.zeros(len(members), np.int64)]
        self._turn, self._now = 0, self._buckets(0)

    def __call__(self, positions: Int64[np.ndarray, " b"]) -> Int64[np.ndarray, " b"]:
        """The examples at positions in the endless row of samples; all lie in one batch of all processes."""
        if len(self._members) == 1:
            return self._members[0][order_of(self._seed, positions, len(self._members[0]))]
        batch = int(positions[0]) // self._together
        turn, place = divmod(batch, self._length)
        while len(self._before) <= turn:
            counts = np.bincount(self._buckets(len(self._before) - 1), minlength=len(self._members))
            self._before.append(self._before[-1] + counts)
        if turn != self._turn:
            self._turn, self._now = turn, self._buckets(turn)
        buckets = self._now
        bucket = int(buckets[place])
        earlier = int(self._before[turn][bucket]) + int(np.count_nonzero(buckets[:place] == bucket))
        rows = self._members[bucket]
        within = positions + (earlier - batch) * self._together
        return rows[order_of(self._seed, within, len(rows))]

    def _buckets(self, turn: int) -> Int64[np.ndarray, " batches"]:
        """The bucket of each batch of a round: at even steps through all examples, in a random order."""
        generator = np.random.default_rng(seed_of(self._seed, Purpose.BUCKET, turn))
        # Rounds start at places that fill a step evenly, so that small buckets get their share soon.
        points = (np.arange(self._length) + turn * GOLDEN % 1) / self._length
        return generator.permutation(np.searchsorted(self._edges, points, side="right"))
