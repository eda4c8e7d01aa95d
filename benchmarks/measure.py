"""One method on one graph, in a separate process, so that its memory can be measured.

    python benchmarks/measure.py GRAPH_FOLDER METHOD ALPHA TARGETS.npy RIGHT.npz SECONDS [BESIDE]

`bench_ppr.py` calls it. Prints a line of json for each setting tried, up to the first that is precise, and
one with the ratio to the method BESIDE, if one is given or the method names one. Methods on one thread are
measured in processor seconds.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
from graphs import Size, generate
from jaxtyping import Float64, Int64
from method import Method, Rank
from truth import Right, read_right

from graphcond.graphs import open_graph

PRECISE = 0.99
LEAST = 3
"""Targets that are measured even if they take longer than the time given."""
PATIENCE = 60.0
"""Seconds after which no dearer setting is tried."""
REPEATS = 5
"""How often a block is measured if it holds all targets."""
TURNS = 9

Blocks = list[Int64[np.ndarray, " b"]]
Clock = Callable[[], float]


def main() -> None:
    folder, name, alpha, targets, right, seconds, *beside = sys.argv[1:]
    method = method_of(name)
    clock = process_time if method.threads == 1 else perf_counter
    for module in method.imports:
        importlib.import_module(module)
    if name.startswith("graphcond"):
        use_once(method)
    code, graph = peak_mib(), open_graph(folder)
    begin = clock()
    rank = method.prepare(graph, float(alpha))
    known = {"ready_s": clock() - begin, "code_mib": code}
    everyone, truth = np.load(targets), read_right(Path(right))
    blocks = blocks_of(everyone, method)
    begin = clock()
    for setting in method.settings:
        row = measure(rank, setting, blocks, truth, float(seconds), clock)
        words = method.label.format(setting) or getattr(rank, "words", "")
        row |= {"setting": words, "peak_mib": peak_mib(), **known}
        print(json.dumps(row), flush=True)
        if (row["precision"] or 1) >= PRECISE or clock() - begin > PATIENCE:
            break
    if beside or method.beside:
        other = method_of(beside[0] if beside else method.beside).prepare(graph, float(alpha))
        ratios = in_turns(lambda: rank(blocks[0], setting), lambda: other(everyone, None), clock)
        ratios *= len(everyone) / len(blocks[0])
        low, middle, high = np.quantile(ratios, (0.0, 0.5, 1.0)).tolist()
        print(json.dumps(row | {"beside": middle, "spread": (low, high)}), flush=True)


def use_once(method: Method) -> None:
    """Load the compiled code: on a graph of next to no memory, yet large enough to be calibrated."""
    graph = generate(Size(20_000, 200_000, 50))
    method.prepare(graph, 0.15)(np.arange(20), method.settings[0])


def method_of(name: str) -> Method:
    """Imports only the file that has it: ours should not load what peers need."""
    if name.startswith(("graphcond", "floor")):
        from ours import OURS

        return OURS[name]
    from peers import PEERS

    return PEERS[name]


def blocks_of(targets: Int64[np.ndarray, " t"], method: Method) -> Blocks:
    """The targets in blocks of the method's size; 0 is one block of all. A smaller last one is left out."""
    size = min(method.batch or len(targets), len(targets))
    return [targets[start : start + size] for start in range(0, len(targets) - size + 1, size)]


def measure(
    rank: Rank, setting: Any, blocks: Blocks, truth: dict[int, Right], seconds: float, clock: Clock
) -> dict[str, Any]:
    """Median milliseconds a target, mean precision, and how many targets were measured."""
    rank(blocks[0][:1], setting)
    times, precisions, begin = [], [], clock()
    for block in islice(cycle(blocks), max(REPEATS, len(blocks))):
        start = clock()
        answers = rank(block, setting)
        times.append((clock() - start) / len(block))
        pairs = zip(block.tolist(), answers, strict=False)
        precisions += [truth[target].precision(answer) for target, answer in pairs if target in truth]
        if clock() - begin > seconds and len(times) * len(block) >= LEAST:
            break
    return {
        "ms": 1e3 * float(np.median(times)),
        "precision": round(float(np.mean(precisions)), 6) if precisions else None,
        "targets": len(blocks[0]) * min(len(times), len(blocks)),
    }


def in_turns(
    one: Callable[[], object], other: Callable[[], object], clock: Clock
) -> Float64[np.ndarray, " turns"]:
    """Ratios of the time of ``one`` to the time of ``other``, each measured right after the other."""
    other()
    ratios = []
    for _ in range(TURNS):
        marks = [clock()]
        for work in (one, other):
            work()
            marks.append(clock())
        ratios.append((marks[1] - marks[0]) / (marks[2] - marks[1]))
    return np.array(ratios)


def peak_mib() -> float:
    """Largest resident memory of this process so far, pages of memory maps included."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024


if __name__ == "__main__":
    main()
