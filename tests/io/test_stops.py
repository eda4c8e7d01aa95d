"""Signals that ask to stop: noted in the middle of steps, raised elsewhere, and left alone where ignored."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from graphcond.io.stops import Stopped, held_stops, raised_stops

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1]


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    """A suite that runs in the background may be started with some of them ignored."""
    handlers = {one: signal.signal(one, signal.SIG_DFL) for one in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for one, handler in handlers.items():
        signal.signal(one, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_noted(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with held_stops() as stop:
        assert stop.signal == 0
        signal.raise_signal(number)
        assert stop.signal == number
    assert signal.getsignal(number) is before


def test_a_second_ctrl_c_does_not_wait() -> None:
    with held_stops() as stop:
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(Stopped):
            signal.raise_signal(signal.SIGINT)
    assert stop.signal == signal.SIGINT


def test_other_signals_may_come_in_pairs() -> None:
    with held_stops() as stop:
        signal.raise_signal(signal.SIGUSR1)
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    assert stop.signal == signal.SIGUSR1


def test_an_ignored_hangup_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with raised_stops(), held_stops() as stop:
        signal.raise_signal(signal.SIGHUP)
        assert stop.signal == 0
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize("number", SIGNALS[1:])
def test_a_signal_that_would_kill_is_raised(number: signal.Signals) -> None:
    with pytest.raises(Stopped) as stopped, raised_stops():
        signal.raise_signal(number)
    assert stopped.value.number == number
    assert signal.getsignal(number) == signal.SIG_DFL


def test_other_threads_are_left_alone() -> None:
    seen: list[int] = []

    def work() -> None:
        with raised_stops(), held_stops() as stop:
            seen.append(stop.signal)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [0]
