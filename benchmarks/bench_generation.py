"""Pictures a second of ``graphcond generate``: one call each against ``--targets`` in one start.

    python benchmarks/bench_generation.py --targets 64 --calls 3

Writes an untrained model over the tiny base and an art world into a temporary folder, and starts the command
in turns: once for a single target, then with ``--targets`` at each size of batch, then in the largest batches
with three predictions a step and with options of guidance that save some. Processor seconds, which other jobs
on the machine change little, beside those of the clock.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

BATCHES = (1, 8, 32)
GUIDANCE = {
    "s_G = 3": [],
    "s_G = 3, reuse 2": ["--set", "guidance.reuse=2"],
    "s_G = 3, reuse 3": ["--set", "guidance.reuse=3"],
}
"""Options of guidance in place of the recipe's s_G = s_T = 2, which makes two predictions a step."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--targets", type=int, default=64)
    parser.add_argument("--calls", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8)
    options = parser.parse_args()
    found: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["GRAPHCOND_CACHE"] = str(folder / "cache")
        ids = write_model_and_graph(folder)[: options.targets]
        (folder / "ids.txt").write_text("\n".join(ids))
        command = [str(folder / "model"), "--graph", str(folder / "graph"), "--steps", str(options.steps)]
        cost(
            [*command, "--targets", str(folder / "ids.txt"), "--out", str(folder / "warm")]
        )  # fills the cache
        for turn in range(options.calls):
            seconds = cost([*command, "--target", ids[turn], "--out", str(folder / "one.png")])
            found.setdefault("one call each", []).append(seconds)
            arms = {f"batches of {batch}": ["--batch", str(batch)] for batch in BATCHES}
            for name, settings in GUIDANCE.items():
                arms[name] = ["--batch", str(BATCHES[-1]), "--graph-scale", "3", *settings]
            for name, settings in arms.items():
                many = ["--targets", str(folder / "ids.txt"), *settings]
                seconds = cost([*command, *many, "--out", str(folder / f"{name} {turn}")])
                arm = f"{len(ids)} targets, {name}"
                found.setdefault(arm, []).append((seconds[0] / len(ids), seconds[1] / len(ids)))
    print(f"{options.calls} turns, {options.steps} steps, load {os.getloadavg()[0]:.1f}")
    print("| | processor seconds a picture (low .. high) | seconds by the clock | times as fast |")
    print("|---|---:|---:|---:|")
    alone = np.median([cpu for cpu, _ in found["one call each"]])
    for arm, runs in found.items():
        cpu, clock = np.array(runs).T
        median = np.median(cpu)
        print(
            f"| {arm} | {median:.3f} ({cpu.min():.3f} .. {cpu.max():.3f}) | {np.median(clock):.3f} "
            f"| {alone / median:.1f} |"
        )


def write_model_and_graph(folder: Path) -> list[str]:
    """A model without training, and a world; the ids of its test nodes."""
    import torch

    from graphcond.graphs import load_graph, save_world
    from graphcond.model import GraphModel
    from graphcond.recipe import load_recipe
    from graphcond.worlds import ArtWorld

    save_world(ArtWorld(paintings_per_artist=100), folder / "graph")
    recipe = load_recipe("instructg2i", base="tiny")
    GraphModel.build(recipe, feature_width=64, device=torch.device("cpu")).save_pretrained(folder / "model")
    nodes = load_graph(folder / "graph").nodes
    return [nodes.ids[row] for row in nodes.in_split("test").tolist()]


def cost(arguments: list[str]) -> tuple[float, float]:
    """Processor seconds and seconds of one start of the command."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "graphcond", "generate", *arguments], check=True, capture_output=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, time.perf_counter() - start


if __name__ == "__main__":
    main()
