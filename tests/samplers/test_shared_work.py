from __future__ import annotations

import contextlib
import multiprocessing
import threading
from typing import Any

import pytest

from graphcond.samplers.shared_work import Spare, in_parts


@pytest.mark.parametrize("threads", [1, 3])
def test_every_part_is_worked_on_once(threads: int) -> None:
    done: list[int] = []
    in_parts(lambda part: done.extend(range(part.start, part.stop)), 23, part=4, threads=threads)
    assert sorted(done) == list(range(23))


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_in_a_part_is_raised(threads: int) -> None:
    def work(part: slice) -> None:
        if part.start == 8:
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_parts(work, 20, part=4, threads=threads)


def test_threads_work_at_the_same_time() -> None:
    together = threading.Barrier(2, timeout=30)
    met: list[int] = []
    in_parts(lambda part: met.append(together.wait()), 2, part=1, threads=2)
    assert sorted(met) == [0, 1]


def test_work_within_work_ends() -> None:
    done: list[int] = []

    def inner(part: slice) -> None:
        in_parts(lambda _: done.append(part.start), 2, part=1, threads=2)

    in_parts(inner, 4, part=1, threads=2)
    assert sorted(done) == [0, 0, 1, 1, 2, 2, 3, 3]


def _in_a_child(answer: Any) -> None:
    done: list[int] = []
    in_parts(lambda part: done.append(part.start), 4, part=1, threads=2)
    answer.put(sorted(done))


@pytest.mark.filterwarnings("ignore:This process")
def test_a_forked_process_has_threads_of_its_own() -> None:
    in_parts(lambda part: None, 4, part=1, threads=2)
    context = multiprocessing.get_context("fork")
    answer = context.Queue()
    child = context.Process(target=_in_a_child, args=(answer,))
    child.start()
    try:
        assert answer.get(timeout=30) == [0, 1, 2, 3]
    finally:
        child.kill()
        child.join()


def test_scratch_is_lent_to_one_at_a_time_and_used_again() -> None:
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    spare = Spare(make)
    with spare.lent() as one, spare.lent() as other:
        assert one is not other
    with spare.lent() as again:
        assert again in (one, other)
    assert len(made) == 2


def test_scratch_of_failed_work_is_thrown_away() -> None:
    spare = Spare(object)
    with spare.lent() as kept:
        pass
    with contextlib.suppress(ValueError), spare.lent() as spoilt:
        raise ValueError
    assert spoilt is kept
    with spare.lent() as fresh:
        assert fresh is not spoilt
