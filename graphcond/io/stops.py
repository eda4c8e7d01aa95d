"""Signals that ask a process to end: Ctrl-C, and those of Slurm, docker, kubernetes and a closed terminal."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
"""SIGUSR1 is what Slurm's ``--signal=USR1`` sends before the time of a job is over."""


class Stopped(KeyboardInterrupt):
    """A signal asked the process to end, as Ctrl-C does.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        super().__init__(f"stopped by {signal.Signals(number).name}")


@dataclass
class Stop:
    """The signal that asked to stop, 0 before."""

    signal: int = 0


@contextmanager
def raised_stops() -> Iterator[None]:
    """Raise `Stopped` inside the block at a signal that would kill the process.

    Signals that are ignored (SIGHUP under ``nohup``) or handled stay so.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    with _handled(stop, [one for one in _known() if signal.getsignal(one) == signal.SIG_DFL]):
        yield


@contextmanager
def held_stops() -> Iterator[Stop]:
    """Note the first signal instead of stopping; a second Ctrl-C raises `Stopped`.

    Other signals may come in pairs (Slurm sends SIGTERM after SIGUSR1), so a second one is passed over.
    Ctrl-C is noted even where it is ignored: a shell does that to what it starts in the background. Outside
    the main thread, where signals cannot be caught, nothing changes.
    """
    stop = Stop()

    def note(number: int, frame: FrameType | None) -> None:
        if stop.signal == number == signal.SIGINT:
            raise Stopped(number)
        stop.signal = stop.signal or number

    noted = [one for one in _known() if one == signal.SIGINT or signal.getsignal(one) != signal.SIG_IGN]
    with _handled(note, noted):
        yield stop


def _known() -> list[signal.Signals]:
    """Those of this system."""
    return [getattr(signal, name) for name in NAMES if hasattr(signal, name)]


@contextmanager
def _handled(handler: object, numbers: list[signal.Signals]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}  # type: ignore[arg-type]
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was if was is not None else signal.SIG_DFL)
