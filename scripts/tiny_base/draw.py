"""Draw the pictures that the base learns from, two processes: paintings of every pair, and scenes."""

from concurrent.futures import ProcessPoolExecutor

import numpy as np
from common import load_recipe, outputs

from graphcond.worlds.art import ARTISTS, SUBJECTS, draw_painting
from graphcond.worlds.scenes import SceneWorld

TEST_SEEDS = 10_000_000
SCENE_SEEDS = {"train": 50_000_001, "test": 50_000_002, "single": 50_000_003}
"""Worlds of their own: nobody's benchmark has seen them, nor they it."""


def draw_one(seed: int) -> tuple[np.ndarray, int, int]:
    """Draw the painting of a seed: every (artist, subject) pair comes equally often."""
    subject, artist = divmod(seed % (len(ARTISTS) * len(SUBJECTS)), len(ARTISTS))
    picture = draw_painting(ARTISTS[artist], SUBJECTS[subject], 50_000_000 + seed)
    return np.asarray(picture), artist, subject


def scene_world(split: str) -> SceneWorld:
    """The scenes that the base learns from, those of one object that teach it words, those of its test."""
    objects = (1, 1) if split == "single" else (2, 6)
    return SceneWorld(
        seed=SCENE_SEEDS[split], count=load_recipe()["draw"][f"scenes_{split}"], objects=objects
    )


def draw_part(split: str, rows: range) -> np.ndarray:
    """Draw some scenes, (N, 64, 64, 3) bytes."""
    world = scene_world(split)
    return np.stack([np.asarray(world.draw(row)) for row in rows])


def draw_scenes(split: str, pool: ProcessPoolExecutor) -> None:
    """Write scenes-SPLIT.npz: pictures (N, H, W, 3) bytes."""
    count = len(scene_world(split))
    parts = [range(place, min(place + 500, count)) for place in range(0, count, 500)]
    drawn = np.concatenate(list(pool.map(draw_part, [split] * len(parts), parts)))
    np.savez(outputs() / f"scenes-{split}.npz", pictures=drawn)


def main() -> None:
    """Write train.npz and test.npz: pictures (N, H, W, 3) bytes, artist (N,), subject (N,); scenes beside."""
    recipe = load_recipe()["draw"]
    with ProcessPoolExecutor(2) as pool:
        for split, first in (("train", 0), ("test", TEST_SEEDS)):
            rows = list(pool.map(draw_one, range(first, first + recipe[split]), chunksize=200))
            pictures, artists, subjects = (np.array(column) for column in zip(*rows, strict=True))
            np.savez(outputs() / f"{split}.npz", pictures=pictures, artists=artists, subjects=subjects)
        for split in SCENE_SEEDS:
            draw_scenes(split, pool)


if __name__ == "__main__":
    main()
