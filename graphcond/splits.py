"""Splits of data: names that mean the same, the rows of a split, and a split where data have none."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from graphcond.errors import InputError

TRAIN, VALIDATION, TEST = "train", "val", "test"

SYNONYMS = {
    TRAIN: ("train", "training", "trn"),
    VALIDATION: ("val", "valid", "validation", "validate", "dev", "devel", "development"),
    TEST: ("test", "testing", "tst", "eval", "evaluation", "heldout", "holdout"),
}
"""The usual names of each split, in small letters and without separators; the first is ours."""

_USUAL = {synonym: name for name, synonyms in SYNONYMS.items() for synonym in synonyms}


def split_named(name: str) -> str:
    """The one spelling of a split: ``Training``, ``train `` and ``TRAIN_SET`` are all ``train``.

    A name that is no synonym of ours stays itself, in small letters and without separators.
    """
    plain = re.sub(r"[\W_]+", "", name.casefold())
    return _USUAL.get(plain) or _USUAL.get(re.sub(r"(set|split)s?$", "", plain)) or plain or name.strip()


def is_split(name: str) -> bool:
    """Whether a folder or file of that name is a split for training, validation or tests."""
    return split_named(name) in SYNONYMS


def by_split(paths: Iterable[Path]) -> dict[str, Path]:
    """The paths that are named after a split, by name without ending: training first, tests last."""
    order = list(SYNONYMS)
    found = [path for path in paths if is_split(path.stem)]
    found.sort(key=lambda path: (order.index(split_named(path.stem)), path.stem))
    return {path.stem: path for path in found}


def rows_in(column: Sequence[str] | None, splits: Sequence[str]) -> Int64[np.ndarray, " rows"]:
    """The rows whose split is one of ``splits`` in any spelling, ascending; none without a column."""
    wanted = {split_named(split) for split in splits}
    named = {split for split in set(column or ()) if split_named(split) in wanted}
    return np.array([row for row, split in enumerate(column or ()) if split in named], np.int64)


def held_out_at_random(
    pictures: Sequence[str | None], share: float, *, seed: int = 0, place: object = None
) -> list[str]:
    """The splits ``train`` and ``test`` for rows that have no splits; the same for the same seed.

    Args:
        pictures: the picture of each row; rows without one are only held out where no row has one, since
            they cannot be compared with a drawing.
        share: the share of those rows to hold out, above 0 and below 1; at least one row.
        seed: decides which.
        place: the place in errors.

    Raises:
        InputError: the share is out of bounds, or there are fewer than two rows.
    """
    if not 0 < share < 1:
        raise InputError(f"expected a share between 0 and 1, got {share:g}", place=place, remedy="write 0.1")
    rows = np.flatnonzero([picture is not None for picture in pictures])
    rows = rows if len(rows) else np.arange(len(pictures))
    if len(rows) < 2:
        raise InputError(
            f"expected at least two targets, got {len(rows)}", place=place, remedy="give more data"
        )
    count = min(max(round(share * len(rows)), 1), len(rows) - 1)
    named = np.full(len(pictures), TRAIN, object)
    named[np.random.default_rng(seed).permutation(rows)[:count]] = TEST
    return named.tolist()
