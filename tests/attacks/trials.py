"""One attack: a command on one input, within limits of time and memory, and its verdict."""

from __future__ import annotations

import io
import os
import re
import resource
import shutil
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random

from graphcond.cli import main
from tests.attacks.conftest import Tally
from tests.typecheck import unchecked

SECONDS = 20
"""A command that takes longer hangs; each of them takes well under one."""

MOST_KIB = 700 * 1024
"""More memory than this may no input take, on top of what the process had."""

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

TEMPORARY = re.compile(r"\.(new|old)\.\w+-\d+\.")
"""Part of the names of files that are being written."""

Prepare = Callable[[Random, Path], list[str]]
"""Writes an input into an empty folder, and gives the arguments of the command to try on it."""


class Hang(BaseException):
    """The command was not done in time. It is no Exception, so that nothing catches it."""


def attack(tally: Tally, prepare: Prepare, count: int, folder: Path, *, forked: bool = False) -> None:
    """Try ``count`` inputs and count what happens; every fault is shown with the number of its input.

    Args:
        tally: counts.
        prepare: makes an input; the same number gives the same input.
        count: the number of inputs.
        folder: empty; the input of the last fault stays in it.
        forked: run each command in a child process, for what may crash the interpreter.
    """
    faults, codes = [], set()
    for number in range(count):
        place = folder / "input"
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        arguments = prepare(Random(f"{prepare.__name__} {number}"), place)
        before = _listing(place)
        verdict = _in_child(arguments) if forked else _in_time(arguments)
        tally.inputs += 1
        tally.hangs += verdict.startswith("hang")
        tally.tracebacks += not verdict.startswith(("hang", "0", "2"))
        codes.add(verdict[0])
        left = _listing(place) - before
        half = [name for name in left if verdict.startswith("2") or TEMPORARY.search(name)]
        tally.half_written += bool(half)
        if not verdict.startswith(("0", "2")) or half:
            faults.append(f"{prepare.__name__} {number}: {verdict}; left {half}; {arguments}"[:1500])
            shutil.copytree(
                place,
                folder / f"{prepare.__name__}-{number}",
                symlinks=True,
                ignore=shutil.ignore_patterns("pipe"),
            )
    assert not faults, "\n".join([f"{len(faults)} faults", *faults[:15]])
    assert count < 10 or codes == {"0", "2"}, "the changes are too small, or so large that all look alike"


def _tried(arguments: list[str]) -> str:
    """The verdict: the exit code and the last words."""
    out, err = io.StringIO(), io.StringIO()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    argv, sys.argv = sys.argv, ["graphcond", *arguments]
    code: object = None
    try:
        with unchecked(), redirect_stdout(out), redirect_stderr(err):
            main()
    except SystemExit as end:
        code = end.code or 0
    except Exception as error:
        return f"raised {type(error).__name__}: {error}"
    finally:
        sys.argv = argv
    said = err.getvalue().strip()
    if resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak > MOST_KIB:
        return f"took memory; {said[-300:]}"
    if found := CONTROLS.search(out.getvalue() + err.getvalue()):
        return f"printed the control code {found[0]!r}"
    if "Traceback" in said or code not in (0, 2):
        return f"failed with {code}: {said[-600:]}"
    if code == 2 and not said:
        return "failed without a word"
    return f"{code} {said[-300:]}"


def _in_child(arguments: list[str]) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)  # kernels do not return to Python
            signal.alarm(SECONDS)
            os.write(writer, _tried(arguments).encode("utf-8", "replace")[:4000])
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as answer:
        verdict = answer.read().decode("utf-8", "replace")
    _, status = os.waitpid(child, 0)
    if not verdict and os.WTERMSIG(status) == signal.SIGALRM:
        return "hang"
    return verdict or f"died of signal {os.WTERMSIG(status)}"


def _in_time(arguments: list[str]) -> str:
    def ring(*_: object) -> None:
        raise Hang

    before = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        return _tried(arguments)
    except Hang:
        return "hang"
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _listing(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
