"""Draw the pictures that the base learns from: artists and subjects at random, two processes."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
from common import load_recipe, outputs

from graphcond.worlds.art import ARTISTS, SUBJECTS, draw_painting

TEST_SEEDS = 10_000_000


def draw_one(seed: int) -> tuple[np.ndarray, int, int]:
    """Draw the picture of a seed: every (artist, subject) pair comes equally often."""
    subject, artist = divmod(seed % (len(ARTISTS) * len(SUBJECTS)), len(ARTISTS))
    picture = draw_painting(ARTISTS[artist], SUBJECTS[subject], 50_000_000 + seed)
    return np.asarray(picture), artist, subject


def main() -> None:
    """Write train.npz and test.npz: pictures (N, H, W, 3) bytes, artist (N,), subject (N,)."""
    recipe = load_recipe()["draw"]
    with ProcessPoolExecutor(2) as pool:
        for split, first in (("train", 0), ("test", TEST_SEEDS)):
            rows = list(pool.map(draw_one, range(first, first + recipe[split]), chunksize=200))
            pictures, artists, subjects = (np.array(column) for column in zip(*rows, strict=True))
            np.savez(outputs() / f"{split}.npz", pictures=pictures, artists=artists, subjects=subjects)


if __name__ == "__main__":
    main()
