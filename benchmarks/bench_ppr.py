"""Personalized PageRank, 50 best nodes, alpha 0.15: graphcond and other libraries, in one run.

    pip install -c constraints.txt -r benchmarks/requirements.txt
    python benchmarks/bench_ppr.py --citeseer citeseer_edges.csv --out outputs/bench_ppr.md

Prints a markdown table for citeseer and for the seeded graphs S, M and L of graphs.py, and what became of
the aims. Each method runs in a process of its own that opens the graph folder by memory map. Times are
medians over targets drawn by a seed, after a warm-up and without preparation (the column "ready"); where a
method takes many targets at once, medians over its blocks. Precision@50 leaves the target out and counts a
node that ties with the 50th as right; the truth is power iteration in float64 to 1e-10, computed in this
run. Peers have a few settings, from cheap to dear: the row is the first with a precision of at least 0.99,
or the most precise that was tried.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from graphs import SIZES, Size, folder_of, generate
from ours import OURS
from peers import PEERS
from report import GraphResult, Row, table, verdicts

from graphcond.graphs import load_graph, open_graph, save_graph

HERE = Path(__file__).parent
CITESEER = Path("../shared/data/graphs/citeseer_edges.csv")
EXACT = {"M": 40, "L": 20}
"""Targets whose truth is computed, where not for all."""
SECONDS = 6.0
"""Time for one setting of a peer, unless even three targets take longer."""
LIMIT = 600.0
"""Seconds after which a peer is stopped, its preparation included."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graphs", default="citeseer,S,M,L", help="which, separated by commas")
    parser.add_argument("--citeseer", type=Path, default=CITESEER, help="csv with the columns src,dst")
    parser.add_argument("--methods", default="", help="only rows whose name contains one of these words")
    parser.add_argument("--targets", type=int, default=100, help="on each graph; slow peers get fewer")
    parser.add_argument("--out", type=Path, help="write the markdown there too")
    options = parser.parse_args()
    words = options.methods.split(",")
    names = [name for name in OURS | PEERS if any(word in name for word in words)]
    results = []
    with tempfile.TemporaryDirectory() as scratch:
        compile_ours([name for name in names if name in OURS], Path(scratch))
        for name in options.graphs.split(","):
            if name == "citeseer" and not options.citeseer.exists():
                say(f"{options.citeseer} is not there: citeseer is left out")
                continue
            task = Task.of(name, options, Path(scratch))
            results.append(GraphResult(name, open_graph(task.folder), list(task.rows(names))))
    report = "\n\n".join([*map(table, results), verdicts(results)])
    print(report)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(report + "\n")


def compile_ours(names: list[str], scratch: Path) -> None:
    """Run ours once on a small graph, so that no measured process compiles."""
    folder = scratch / "small"
    save_graph(generate(Size(1000, 5000, 5)), folder)
    task = Task.on("small", folder, 20, scratch)
    list(task.rows(names))


@dataclass(frozen=True)
class Task:
    """What the methods are to do on one graph."""

    name: str
    folder: Path
    targets: Path
    right: Path

    @classmethod
    def of(cls, name: str, options: argparse.Namespace, scratch: Path) -> Task:
        if name in SIZES:
            folder = folder_of(name)
        else:
            folder = scratch / name
            save_graph(load_graph(options.citeseer), folder)
        return cls.on(name, folder, options.targets, scratch)

    @classmethod
    def on(cls, name: str, folder: Path, count: int, scratch: Path) -> Task:
        """Draw the targets among nodes with edges, and compute the truth."""
        able = np.flatnonzero(open_graph(folder).degrees)
        targets = np.random.default_rng(0).choice(able, min(count, len(able)), replace=False)
        files = [scratch / f"{name}-{part}" for part in ("targets.npy", "exact.npy", "right.npz")]
        np.save(files[0], targets)
        np.save(files[1], targets[: EXACT.get(name, len(targets))])
        say(f"{name}: exact power iteration")
        subprocess.run([sys.executable, HERE / "truth.py", folder, files[1], files[2]], check=True)
        return cls(name, folder, files[0], files[2])

    def rows(self, names: list[str]) -> Iterator[Row]:
        for name in names:
            method = (OURS | PEERS)[name]
            if not method.graphs or self.name in method.graphs:
                row = self.row(name, method.threads)
                say(f"{self.name}: {row}")
                yield row

    def row(self, name: str, threads: int) -> Row:
        """Measure in a new process."""
        files = [str(file) for file in (self.folder, name, self.targets, self.right)]
        limit = None if name in OURS else LIMIT
        done = run([sys.executable, str(HERE / "measure.py"), *files, str(SECONDS)], threads, limit)
        tried = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if not tried:
            return Row(name, note=done.note, threads=threads)
        last = tried[-1]
        chosen = last if last["precision"] is None else max(tried, key=preference)
        return Row(name, threads=threads, **chosen)


def preference(tried: dict[str, Any]) -> tuple[float, float]:
    """The most precise, and of those that are precise enough the last, which may know more."""
    return min(tried["precision"], 0.99), tried.get("beside", 0)


@dataclass(frozen=True)
class Done:
    stdout: str
    note: str


def run(command: list[str], threads: int, limit: float | None) -> Done:
    """What the command printed, also if it was stopped, and why it printed nothing."""
    libraries = ("OMP", "MKL", "OPENBLAS", "NUMBA")
    environment = os.environ | {f"{library}_NUM_THREADS": str(threads) for library in libraries}
    try:
        with tempfile.TemporaryDirectory() as cache:  # an empty one, so that ours is calibrated anew
            environment["GRAPHCOND_CACHE"] = cache
            done = subprocess.run(command, capture_output=True, text=True, timeout=limit, env=environment)
    except subprocess.TimeoutExpired as error:
        return Done((error.stdout or b"").decode(), f"none in {limit:.0f} s")
    if done.returncode:
        say(done.stderr)
    return Done(done.stdout, (done.stderr.splitlines() or ["no answer"])[-1])


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
