from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from graphcond.training.trainer import held_interrupts


@pytest.fixture(autouse=True)
def _as_in_a_terminal() -> Iterator[None]:
    """A suite that runs in the background may be started with Ctrl-C ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_the_first_ctrl_c_waits_and_the_second_does_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with held_interrupts() as interrupt:
        assert not interrupt.asked
        signal.raise_signal(signal.SIGINT)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_are_left_alone() -> None:
    seen: list[bool] = []

    def work() -> None:
        with held_interrupts() as interrupt:
            seen.append(interrupt.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [False]
