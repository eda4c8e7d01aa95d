"""Personalized PageRank, 50 best nodes: graphcond and other libraries, in one run.

    pip install -c constraints.txt -r benchmarks/requirements.txt
    python benchmarks/bench_ppr.py --citeseer citeseer_edges.csv --out outputs/bench_ppr.md
    python benchmarks/bench_ppr.py --graphs shapes --out outputs/bench_ppr_shapes.md

Prints a markdown table for citeseer and for the seeded graphs S, M and L of graphs.py, and what became of
the aims. With ``--graphs shapes`` the ten graphs of shapes.py get a line each: ours and the fastest precise
peer, measured in turns in one process.

alpha is 0.15 unless a shape has its own. Each method runs in a process of its own that opens the graph folder
by memory map. Times are medians over targets drawn by a seed, after a warm-up and without preparation (the
column "ready"), in processor seconds on one thread; where a method takes many targets at once, medians over
its blocks. Precision@50 leaves the target out and counts a node that ties with the 50th (within 1e-5 of its
value) as right; the truth is power iteration in float64 to 1e-10, computed in this run. Peers have a few
settings, from cheap to dear: the row is the first with a precision of at least 0.99, or the most precise that
was tried.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from graphs import SIZES, Size, folder_of, generate
from ours import OURS, OWN
from peers import PEERS
from report import GraphResult, Row, shapes_table, table, verdicts
from shapes import SHAPES, draw
from truth import ALPHA

from graphcond.attributed_graph import AttributedGraph
from graphcond.graphs import load_graph, open_graph, save_graph

HERE = Path(__file__).parent
CITESEER = Path("../shared/data/graphs/citeseer_edges.csv")
EXACT = {"M": 40, "L": 20}
"""Targets whose truth is computed, where not for all."""
SECONDS, SECONDS_OF_SHAPES = 6.0, 1.0
"""Time for one setting of a peer, unless even three targets take longer."""
LIMIT = 600.0
"""Seconds after which a peer is stopped, its preparation included."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--graphs",
        default="citeseer,S,M,L",
        help="which, separated by commas; shapes means the ten of shapes.py",
    )
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
        for name in options.graphs.replace("shapes", ",".join(SHAPES)).split(","):
            if name == "citeseer" and not options.citeseer.exists():
                say(f"{options.citeseer} is not there: citeseer is left out")
                continue
            task = Task.of(name, options, Path(scratch))
            results.append(task.result(names))
    shapes = [result for result in results if result.name in SHAPES]
    parts = [table(result) for result in results if result not in shapes]
    report = "\n\n".join([*parts, *([shapes_table(shapes)] if shapes else []), verdicts(results)])
    print(report)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(report + "\n")


def compile_ours(names: list[str], scratch: Path) -> None:
    """Run ours once on a small graph, so that no measured process compiles."""
    folder = scratch / "small"
    save_graph(generate(Size(1000, 5000, 5)), folder)
    task = Task.on("small", folder, 20, scratch)
    list(task.rows(names, open_graph(folder)))


@dataclass(frozen=True)
class Task:
    """What the methods are to do on one graph."""

    name: str
    folder: Path
    targets: Path
    right: Path
    alpha: float = ALPHA

    @classmethod
    def of(cls, name: str, options: argparse.Namespace, scratch: Path) -> Task:
        if name in SIZES:
            folder = folder_of(name)
        elif name in SHAPES:
            folder = scratch / name
            save_graph(draw(name), folder)
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
        alpha = SHAPES[name].alpha if name in SHAPES else ALPHA
        command = [sys.executable, HERE / "truth.py", folder, str(alpha), *files[1:]]
        subprocess.run(command, check=True)
        return cls(name, folder, files[0], files[2], alpha)

    def result(self, names: list[str]) -> GraphResult:
        """All rows; on one of the ten shapes, the fastest peer is measured once more, in turns with ours."""
        graph = open_graph(self.folder)
        if self.name in SHAPES:
            names = [name for name in names if name in PEERS or name == OWN]
        result = GraphResult(self.name, graph, list(self.rows(names, graph)))
        peer = result.fastest_peer()
        if self.name not in SHAPES or peer is None:
            return result
        return replace(result, in_turns=self.row(peer.method, 1, OWN))

    def rows(self, names: list[str], graph: AttributedGraph) -> Iterator[Row]:
        for name in names:
            method = (OURS | PEERS)[name]
            if method.takes(self.name, graph):
                row = self.row(name, method.threads)
                say(f"{self.name}: {row}")
                yield row

    def row(self, name: str, threads: int, *beside: str) -> Row:
        """Measure in a new process."""
        seconds = SECONDS_OF_SHAPES if self.name in SHAPES else SECONDS
        parts = [str(part) for part in (self.folder, name, self.alpha, self.targets, self.right, seconds)]
        limit = None if name in OURS else LIMIT
        done = run([sys.executable, str(HERE / "measure.py"), *parts, *beside], threads, limit)
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
