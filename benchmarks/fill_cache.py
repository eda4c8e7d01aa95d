"""Pictures a second that the caches take in: as before, now, and with two processes.

    python benchmarks/fill_cache.py --pictures 400 --rounds 5

Makes JPEGs of 512 px, then fills the cache of embeddings and that of latents with each arm in turns, each
time anew. ``before`` is the way up to commit b7ba7d4: 32 pictures are decoded in full, then embedded; 16 are
decoded, then encoded. The packaged networks see 64 px and take little, so decoding decides, as it does beside
a GPU. The two processes are started before the clock is. Prints pictures a second by the clock, and by the
processor time of the busiest process, which other jobs on the machine change little.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import Manager, get_context
from pathlib import Path
from threading import Barrier
from typing import Any

import numpy as np
from PIL import Image

SIDE, RESOLUTION = 512, 64
ARMS = ("before", "now", "now, 2 processes")
WORK = ("embeddings", "latents")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Manager() as manager:
        paths = write_pictures(Path(name), options.pictures)
        found: dict[tuple[str, str], list[tuple[float, float]]] = {}
        with ProcessPoolExecutor(2, get_context("spawn")) as pool:
            both = manager.Barrier(2)
            list(pool.map(warm, [both] * 2))
            for turn in range(options.rounds):
                for work in WORK:
                    for arm in ARMS[turn % 3 :] + ARMS[: turn % 3]:
                        folder = Path(name) / f"{work} {arm} {turn}"
                        workers = 2 if arm == ARMS[2] else 1
                        start = time.perf_counter()
                        jobs = [
                            pool.submit(
                                fill, work, arm == ARMS[0], paths, folder, both if workers == 2 else None
                            )
                            for _ in range(workers)
                        ]
                        cpu = max(job.result() for job in jobs)
                        found.setdefault((work, arm), []).append((time.perf_counter() - start, cpu))
    print(f"{options.pictures} JPEGs of {SIDE} px, {options.rounds} turns, load {os.getloadavg()[0]:.1f}")
    print("| | arm | pictures a second, clock | by processor time (low .. high) | times before |")
    print("|---|---|---:|---:|---:|")
    for work in WORK:
        former = rates(found[work, ARMS[0]], options.pictures)[1]
        for arm in ARMS:
            clock, cpu = rates(found[work, arm], options.pictures)
            ratio = np.median(cpu / former)
            print(
                f"| {work} | {arm} | {np.median(clock):.0f} | {np.median(cpu):.0f} ({cpu.min():.0f} .. "
                f"{cpu.max():.0f}) | {ratio:.2f} |"
            )


def rates(runs: list[tuple[float, float]], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures a second of each turn, by the clock and by processor time."""
    walls, cpus = np.array(runs).T
    return count / walls, count / cpus


def write_pictures(folder: Path, count: int) -> list[Path]:
    """Noise at several scales, so that they are about as large as photographs."""
    random = np.random.default_rng(0)
    paths = [folder / f"{number:05d}.jpg" for number in range(count)]
    for path in paths:
        layers = [
            Image.fromarray(random.integers(0, 255, (side, side, 3), np.uint8)).resize((SIDE, SIDE), 3)
            for side in (4, 16, 64, 256)
        ]
        Image.fromarray(np.mean([np.asarray(one) for one in layers], axis=0).astype(np.uint8)).save(path)
    return paths


def fill(work: str, before: bool, paths: list[Path], folder: Path, both: Barrier | None) -> float:
    """Fill one cache; processor seconds of this process."""
    clip, base = networks()
    os.environ["GRAPHCOND_CACHE"] = str(folder)
    if both is not None:
        both.wait()
    start = time.process_time()
    if work == "embeddings":
        fill_embeddings(clip, paths, folder, before)
    elif before:
        former_latents(base, paths)
    else:
        from graphcond.training.latents import cached_latents

        cached_latents(base, [(path, path.name) for path in paths], resolution=RESOLUTION, mirrored=False)
    return time.process_time() - start


def fill_embeddings(clip: Any, paths: list[Path], folder: Path, before: bool) -> None:
    from graphcond.features.feature_cache import LONGEST, FeatureCache, cached_pictures
    from graphcond.io.pictures import open_picture

    cache = FeatureCache(folder)
    if not before:
        cached_pictures(clip, paths, cache)
        return
    for start in range(0, len(paths), 32):
        some = paths[start : start + 32]
        vectors = clip.embed_pictures([open_picture(path, longest=LONGEST) for path in some])
        cache.put("before", dict(zip(cache.digests(some), vectors, strict=True)))


def former_latents(base: Any, paths: list[Path]) -> None:
    import torch

    from graphcond.io.pictures import open_square, to_pixels

    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), 16):
            pixels = pool.map(
                lambda path: to_pixels(open_square(path, RESOLUTION)), paths[start : start + 16]
            )
            base.encode_pictures(torch.from_numpy(np.stack(list(pixels))))


_networks: list[tuple[Any, Any]] = []


def networks() -> tuple[Any, Any]:
    """The packaged CLIP and base of this process."""
    import torch

    from graphcond.bases.config import TinyConfig
    from graphcond.features.clip import ClipExtractor

    if not _networks:
        torch.set_num_threads(1)
        _networks.append(
            (ClipExtractor.from_pretrained("tiny"), TinyConfig().build(device=torch.device("cpu")))
        )
    return _networks[0]


def warm(both: Barrier) -> None:
    """Load everything in each of the two processes."""
    networks()
    both.wait()


if __name__ == "__main__":
    main()
