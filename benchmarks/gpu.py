"""Measures graphcond on a GPU within a time limit and writes a section for RESULTS.md; gpu.sh starts it.

Each part of `gpu_parts` runs in a process of its own, item by item. An item that fails, or takes the process
down, is reported with its last lines, and the next one goes on. What is measured is kept as it comes, so that
``--resume`` goes on where an earlier call stopped.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
SHOWN = ("torch", "triton", "xformers", "diffusers", "transformers", "accelerate", "peft", "numpy")
LAST_LINES = 6
MACHINE = "machine.json"

Record = dict[str, Any]


@dataclass(frozen=True)
class Table:
    """Columns by the key of their figure; of a row's name, or of those of a list within the figures."""

    columns: Mapping[str, str]
    rows: str | None = None
    note: str = ""


@dataclass(frozen=True)
class Part:
    """A part of `gpu_parts`: how it is shown, and the seconds that its items may take together."""

    title: str
    seconds: int
    tables: tuple[Table, ...]


PARTS = {
    "prepare": Part("Random checkpoints", 90, (Table({"gb": "GB", "seconds": "s"}),)),
    "tests": Part("Tests marked gpu", 100, (Table({"outcome": "outcome"}),)),
    "injectors": Part(
        "Injectors",
        150,
        (
            Table(
                {
                    "dtype": "dtype",
                    "kernel": "kernel",
                    "to_fp32": "difference to fp32 SDPA",
                    "to_sdpa": "difference to SDPA",
                    "forward_ms": "forward ms",
                    "both_ms": "forward + backward ms",
                    "peak_gib": "peak GiB",
                },
                "kernels",
                "Batch 2, a mask over the graph's tokens. A difference is relative: its norm over the norm.",
            ),
            Table(
                {
                    "dtype": "dtype",
                    "kernel": "kernel",
                    "of": "of",
                    "cosine": "cosine",
                    "norm_ratio": "norm ratio",
                    "zeros": "zeros",
                    "finite": "finite",
                },
                "gradients",
                "Gradients of the trainer's loss, divided as over the effective batch of the recipes,\n"
                "against those in fp32 with SDPA. `x 2^16` scales the loss as training in fp16 begins.\n"
                "Zeros: the share that is lost to zero.",
            ),
        ),
    ),
    "drawing": Part(
        "Drawing",
        80,
        (
            Table(
                {
                    "recipe": "recipe",
                    "pixels": "px",
                    "attention": "attention",
                    "finite": "finite",
                    "to_fp32": "mean difference to fp32, of 255",
                    "steps_per_second": "steps/s",
                    "seconds": "s a picture",
                    "peak_gib": "peak GiB",
                }
            ),
        ),
    ),
    "recipes": Part(
        "Shipped recipes, a few training steps each",
        300,
        (
            Table(
                {
                    "pixels": "px",
                    "batch": "batch x accumulate",
                    "at_once": "at once",
                    "precision": "base, mixed precision",
                    "attention": "attention",
                    "trained_millions": "trained M",
                    "loss": "loss",
                    "steps_per_second": "steps/s",
                    "samples_per_second": "samples/s",
                    "peak_gib": "peak GiB",
                    "seconds": "all s",
                },
                note="At once: samples in a pass, fewer than the batch where that did not fit.",
            ),
        ),
    ),
    "compile": Part(
        "torch.compile of the frozen denoiser, bf16, no gradient",
        90,
        (
            Table(
                {
                    "compile_seconds": "first call s",
                    "eager_ms": "eager ms",
                    "compiled_ms": "compiled ms",
                    "to_eager": "difference",
                }
            ),
        ),
    ),
    "steps": Part(
        "Training steps of InstructG2I over SD 1.5, bf16, in turns",
        240,
        (
            Table(
                {
                    "arm": "step",
                    "steps_per_second": "steps/s",
                    "ratio": "times graphcond's",
                    "spread": "low .. high",
                    "peak_gib": "peak GiB",
                    "first": "first step s",
                },
                "arms",
            ),
        ),
    ),
}


def main(arguments: list[str] | None = None) -> int:
    """Measure, write the section, and return 0 if every item that ran was measured."""
    options = _options().parse_args(arguments)
    options.work = options.work.resolve()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    missing = list(unmet(["graphcond", *project["dependencies"]]))
    if missing:
        print(f"graphcond needs, and this Python lacks: {', '.join(missing)}", file=sys.stderr)
        print("See the header of benchmarks/gpu.sh for a machine without a network.", file=sys.stderr)
        return 2
    if options.device == "cuda" and not _has_gpu():
        print("torch finds no CUDA device here; --dry-run goes through every part on a CPU", file=sys.stderr)
        return 2
    if options.worker:
        return work(options.worker, options)
    parts = options.parts.split(",") if options.parts else list(PARTS)
    unknown = sorted(set(parts) - set(PARTS))
    if unknown:
        print(f"--parts: there is no '{unknown[0]}'; choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    missing = list(unmet(project["optional-dependencies"]["test"]))
    if missing:
        print(f"the tests need, and this Python lacks: {', '.join(missing)}", file=sys.stderr)
    start = time.monotonic()
    if not options.resume:
        for name in PARTS:
            _log(options.work, name).unlink(missing_ok=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    for name in parts:
        begun = time.monotonic()
        run_part(name, options, min(60 * options.minutes - (begun - start), PARTS[name].seconds))
        results = {name: outcomes(_log(options.work, name)) for name in parts}
        minutes = (time.monotonic() - start) / 60
        section = report(results, options, minutes)
        options.out.write_text(section, encoding="utf-8")  # now already: the machine may be taken away
        good = sum("figures" in one for one in results[name].values())
        print(f"{name}: {good} of {len(results[name])}, {time.monotonic() - begun:.0f} s", flush=True)
    print(section)
    failed = [
        f"{part}: {item}" for part, items in results.items() for item, one in items.items() if "error" in one
    ]
    print(f"{minutes:.1f} minutes; written to {options.out}; failed: {', '.join(failed) or 'none'}")
    return 1 if failed else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="gpu.sh", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=ROOT / "outputs" / "gpu" / "RESULTS.md", help="the section"
    )
    parser.add_argument("--work", type=Path, default=ROOT / "outputs" / "gpu", help="checkpoints and records")
    parser.add_argument(
        "--minutes", type=float, default=14, help="no part runs longer than this after the start"
    )
    parser.add_argument("--parts", help=f"some of {','.join(PARTS)}; all unless given")
    parser.add_argument("--quick", action="store_true", help="SD 1.5 in bf16 alone, two recipes")
    parser.add_argument("--resume", action="store_true", help="keep what an earlier call measured")
    parser.add_argument("--dry-run", dest="device", action="store_const", const="cpu", default="cuda")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser


def unmet(requirements: Iterable[str]) -> Iterator[str]:
    """Those of ``requirements`` that are missing here or of another version."""
    for text in requirements:
        wanted = Requirement(text)
        try:
            found = version(wanted.name)
        except PackageNotFoundError:
            yield text
            continue
        if not wanted.specifier.contains(found, prereleases=True):
            yield f"{text} (found {found})"


def _has_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


# One part, in a process of its own


def run_part(name: str, options: argparse.Namespace, seconds: float) -> None:
    """Run a part's items until they are done or the time is over; start again behind one that crashed."""
    log, deadline = _log(options.work, name), time.monotonic() + seconds
    log.parent.mkdir(parents=True, exist_ok=True)
    if options.resume:
        forget_failures(log)
    command = [sys.executable, "-m", "benchmarks.gpu", "--worker", name, "--work", str(options.work)]
    command += ["--dry-run"] * (options.device == "cpu") + ["--quick"] * options.quick
    environment = {
        **os.environ,
        "GRAPHCOND_CACHE": str(options.work / "cache"),
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }
    while time.monotonic() < deadline:
        before, printed = len(outcomes(log)), log.with_suffix(".txt")
        with printed.open("w", encoding="utf-8") as stream:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=stream, stderr=stream, start_new_session=True
            )
            try:
                code = process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                _note_unfinished(log, "stopped: the time of this part was over")
                return
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
                    process.wait()
        if code == 0:
            return
        last = printed.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        _note_unfinished(log, "\n".join([*last, f"the process ended with code {code}"]), item=f"({name})")
        if len(outcomes(log)) == before:
            return


def work(name: str, options: argparse.Namespace) -> int:
    """Measure what the records of a part lack; the process ends early where the GPU is lost."""
    import torch

    from benchmarks import gpu_parts

    if options.device == "cpu":
        torch.set_num_threads(1)  # shapes are tiny: more threads only wait for each other
    setup = gpu_parts.Setup(options.work, options.device, tiny=options.device == "cpu", quick=options.quick)
    (options.work / MACHINE).write_text(json.dumps(setup.machine()), encoding="utf-8")
    log = _log(options.work, name)
    done = set(outcomes(log))
    for item, measure in gpu_parts.PARTS[name](setup):
        if item in done:
            continue
        append(log, {"item": item})
        start = time.monotonic()
        try:
            figures = measure()
            append(log, {"item": item, "figures": figures, "took": round(time.monotonic() - start, 1)})
        except gpu_parts.SkippedError as reason:
            append(log, {"item": item, "skipped": str(reason)})
        except Exception as error:
            traceback.print_exc()
            lines = str(error).strip().splitlines() or [""]
            append(log, {"item": item, "error": "\n".join([type(error).__name__, *lines][-LAST_LINES:])})
            traceback.clear_frames(error.__traceback__)
        gpu_parts.free(setup)
    return 0


def append(log: Path, record: Record) -> None:
    """Add a record that no crash can take back."""
    with log.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def outcomes(log: Path) -> dict[str, Record]:
    """What became of each item that ended: its ``figures``, the ``error``, or why it was ``skipped``."""
    records = _records(log)
    return {one.pop("item"): one for one in records if len(one) > 1}


def forget_failures(log: Path) -> None:
    """Keep what was measured, so that the rest is tried again."""
    kept = [{"item": item, **one} for item, one in outcomes(log).items() if "figures" in one]
    log.write_text("".join(json.dumps(one) + "\n" for one in kept), encoding="utf-8")


def _note_unfinished(log: Path, error: str, item: str | None = None) -> None:
    """Write down why the items that began have no end; or, where none began, why ``item`` has none."""
    ended = outcomes(log)
    begun = [one["item"] for one in _records(log) if one["item"] not in ended]
    for name in dict.fromkeys(begun or ([] if item is None else [item])):
        append(log, {"item": name, "error": error})


def _records(log: Path) -> list[Record]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()] if log.exists() else []


def _log(work: Path, name: str) -> Path:
    return work / "records" / f"{name}.jsonl"


# The section


def report(results: Mapping[str, Mapping[str, Record]], options: argparse.Namespace, minutes: float) -> str:
    """The measurements as a section of Markdown."""
    file = options.work / MACHINE
    machine = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    without = machine.get("no_xformers")
    command = "bash benchmarks/gpu.sh" + " --quick" * options.quick + " --dry-run" * (options.device == "cpu")
    lines = [
        f"## {machine.get('gpu') or 'No GPU: a dry run with tiny shapes, whose figures mean nothing'}",
        "",
        f"{datetime.now(UTC):%Y-%m-%d}, {minutes:.1f} minutes, {', '.join(_versions())}.",
        "Random weights of the published shapes, procedural data."
        + (f" xformers was not measured: {without}." if without else ""),
        "",
        f"    {command}",
        "",
    ]
    for name, items in results.items():
        lines += [f"### {PARTS[name].title}", ""]
        measured = [(item, one["figures"]) for item, one in items.items() if "figures" in one]
        for one in PARTS[name].tables if measured else ():
            rows = (
                measured if one.rows is None else [(k, row) for k, all_ in measured for row in all_[one.rows]]
            )
            lines += [*([one.note, ""] if one.note else []), *table(one.columns, rows)]
        for item, one in items.items():
            if "skipped" in one:
                lines += [f"- {item}: skipped, {one['skipped']}", ""]
            if "error" in one:
                lines += [
                    f"- {item}: failed",
                    "",
                    *(f"      {line}" for line in one["error"].splitlines()),
                    "",
                ]
        if not items:
            lines += ["Not run: no time was left.", ""]
    return "\n".join(lines).rstrip() + "\n"


def table(columns: Mapping[str, str], rows: list[tuple[str, Mapping[str, Any]]]) -> list[str]:
    """A table of Markdown with a blank line behind it; what a row lacks stays empty."""
    lines = ["| | " + " | ".join(columns.values()) + " |", "|---|" + "---:|" * len(columns)]
    for name, row in rows:
        lines.append("| " + " | ".join([name, *(_cell(row.get(key)) for key in columns)]) + " |")
    return [*lines, ""]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "NO"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _versions() -> Iterator[str]:
    yield f"Python {sys.version.split()[0]}"
    for name in SHOWN:
        try:
            yield f"{name} {version(name)}"
        except PackageNotFoundError:
            yield f"no {name}"


if __name__ == "__main__":
    sys.exit(main())
