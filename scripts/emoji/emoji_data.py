"""The pictures that the emoji base learns from, and the captions that name them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import yaml
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


@cache
def recipe() -> dict[str, Any]:
    """Read recipe.yaml."""
    return yaml.safe_load((HERE / "recipe.yaml").read_text())


def outputs() -> Path:
    """Return the folder of caches and logs, made if missing."""
    folder = ROOT / recipe()["outputs"]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def listed_subjects() -> list[str]:
    """Return the subjects of subjects.txt."""
    lines = (HERE / "subjects.txt").read_text().splitlines()
    return [name.strip() for line in lines if line[:1] != "#" for name in line.split(",") if name.strip()]


@dataclass(frozen=True)
class Emoji:
    """Pictures with their facts.

    Args:
        pictures: (N, 64, 64, 3) bytes.
        subjects: name of each.
        studios: name of each, as its package calls it.
    """

    pictures: np.ndarray
    subjects: np.ndarray
    studios: np.ndarray

    def __len__(self) -> int:
        return len(self.subjects)

    def where(self, rows: np.ndarray) -> "Emoji":
        """Return some of them; ``rows`` is a mask or places."""
        return Emoji(self.pictures[rows], self.subjects[rows], self.studios[rows])


@dataclass(frozen=True)
class Splits:
    """What is learned from and what is not.

    Args:
        everything: all pictures of the studios that the base knows, but the held-out pairs: for VAE and CLIP.
        train: those whose subjects the base draws.
        test: the held-out (subject, studio) pairs.
        unseen: subjects that the base draws, by the studio that it does not know.
        names: the subjects, in order.
    """

    everything: Emoji
    train: Emoji
    test: Emoji
    unseen: Emoji
    names: list[str]


def read_table(file: Path) -> Emoji:
    """Read a parquet table with the columns text, studio and png."""
    table = pq.read_table(file, columns=["text", "studio", "png"]).to_pydict()
    pictures = np.stack([np.asarray(Image.open(BytesIO(png)).convert("RGB")) for png in table["png"]])
    return Emoji(pictures, np.array(table["text"]), np.array(table["studio"]))


@cache
def splits() -> Splits:
    """Return the splits of outputs/pictures.parquet; the seed decides them."""
    every = read_table(outputs() / "pictures.parquet")
    known = np.isin(every.studios, list(recipe()["studios"]))
    unseen = every.studios == recipe()["unseen"]
    listed = set(listed_subjects())
    if recipe()["drawn_by_unseen"]:
        listed &= set(every.subjects[unseen])
    count = Counter(every.subjects[known])
    names = sorted(name for name in listed if count[name] >= recipe()["fewest"])
    drawn = np.isin(every.subjects, names)
    pairs = np.flatnonzero(known & drawn)
    rng = np.random.default_rng(recipe()["seed"])
    held = np.zeros(len(every), bool)
    # At most one studio of a subject is held out, so that the base knows it from all the others.
    subjects = rng.permutation(names)[: round(recipe()["held_out"] * len(pairs))]
    for name in subjects:
        held[rng.choice(pairs[every.subjects[pairs] == name])] = True
    return Splits(
        everything=every.where(known & ~held),
        train=every.where(known & drawn & ~held),
        test=every.where(held),
        unseen=every.where(drawn & unseen),
        names=names,
    )


def joined(*parts: Emoji) -> Emoji:
    """Return the pictures of all parts, one after another."""
    return Emoji(
        *(np.concatenate(column) for column in zip(*(vars(part).values() for part in parts), strict=True))
    )


def caption(subject: str, studio: str, kind: int) -> str:
    """Return what is told of a picture: 0 both, 1 the subject, 2 the studio, 3 nothing."""
    word = recipe()["studios"].get(studio, "")
    return (f"{subject} by {word}", subject, f"by {word}", "")[kind]


def vocabulary(subjects: Sequence[str]) -> list[str]:
    """Return every word that a caption may hold."""
    words = {word for name in subjects for word in name.split()}
    return sorted(words | set(recipe()["studios"].values()) | {"a", "by", "emoji", "of", "an"})
