"""Build a graph folder from a gzipped csv of edges, out of memory and in it.

    python benchmarks/build_folder.py L --memory 1GiB --memory 2GiB
    python benchmarks/build_folder.py M --in-memory

Prints a markdown table: seconds from the start of the process to its end, those that it kept a processor
busy, edges of the csv a second, and the peak memory of the whole process. The graphs are those of graphs.py;
a csv that is not there is written first. Folders that differ in a byte are an error.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from graphs import FOLDER, SIZES, folder_of, write_csv

from graphcond.graphs import open_graph
from graphcond.graphs.store import Files, read_manifest

IN_MEMORY = """
import sys
from graphcond.graphs import read_source, save_graph
save_graph(read_source(sys.argv[1]).graph(), sys.argv[2])
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name", choices=SIZES, help="which graph")
    parser.add_argument("--memory", action="append", metavar="SIZE", help="as graphcond data build takes it")
    parser.add_argument("--in-memory", action="store_true", help="also build without a limit, from Python")
    options = parser.parse_args()
    file = FOLDER / f"{options.name.lower()}.csv.gz"
    if not file.exists():
        write_csv(open_graph(folder_of(options.name)), file)
    edges = SIZES[options.name].edges
    print(f"{file}: {edges:,} edges, {file.stat().st_size / 2**20:,.0f} MiB\n")
    print("| graph | memory | seconds | on the processor | edges/s | peak memory |")
    print("|---|---|---:|---:|---:|---:|")
    build = [sys.executable, "-m", "graphcond", "data", "build", str(file)]
    commands = {size: [*build, "--memory", size, "--out"] for size in options.memory or ["2GiB"]}
    if options.in_memory:
        commands["no limit (in memory)"] = [sys.executable, "-c", IN_MEMORY, str(file)]
    with TemporaryDirectory(dir=FOLDER) as folder:
        results: list[Files] = []
        for memory, command in commands.items():
            out = Path(folder) / str(len(results))
            seconds, busy, peak = measure([*command, str(out)])
            rate = f"{edges / seconds:,.0f}"
            print(f"| {options.name} | {memory} | {seconds:.1f} | {busy:.1f} | {rate} | {peak:,.0f} MiB |")
            results.append(read_manifest(out).files)
            if results[-1] != results[0]:
                sys.exit("the folders differ")


def measure(command: list[str]) -> tuple[float, float, float]:
    """Seconds, processor seconds and peak MiB of a command."""
    start = perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit("the build failed")
    return perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 2**10


if __name__ == "__main__":
    main()
