"""Warnings that are ignored in a block are heard after it, whatever other threads do."""

from __future__ import annotations

import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import diffusers
import pytest
from PIL import Image
from transformers.utils import logging

from graphcond.bases.loading import quiet_loading
from graphcond.io.pictures import open_picture
from graphcond.io.quiet import ignored


def test_blocks_that_overlap_leave_no_filter() -> None:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", FutureWarning)
        before = list(warnings.filters)
        first, second, third = ignored(UserWarning), ignored(UserWarning), ignored(Warning, "one")
        for block in (first, second, third):
            block.__enter__()
        first.__exit__(None, None, None)
        warnings.warn("ignored by the second block", UserWarning, stacklevel=1)
        warnings.warn("One of any category", RuntimeWarning, stacklevel=1)
        warnings.warn("another", RuntimeWarning, stacklevel=1)
        for block in (third, second):
            block.__exit__(None, None, None)
        assert warnings.filters == before
        warnings.warn("heard again", UserWarning, stacklevel=1)
    assert [str(one.message) for one in heard] == ["another", "heard again"]


@pytest.mark.parametrize("category", [UserWarning, Warning])
def test_the_same_filter_of_the_user_stays(category: type[Warning]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category)
        before = list(warnings.filters)
        with ignored(category):
            pass
        assert warnings.filters == before


def test_filters_that_others_restored_inside_are_not_touched() -> None:
    with warnings.catch_warnings():
        before = list(warnings.filters)
        with ignored(UserWarning):
            warnings.resetwarnings()
            warnings.filters[:] = before
        assert warnings.filters == before


def test_threads_that_load_and_open_leave_libraries_as_they_were(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    libraries, start = (logging, diffusers.utils.logging), Barrier(4)
    before = [one.get_verbosity() for one in libraries], list(warnings.filters)

    def work(number: int) -> None:
        start.wait()
        for _ in range(20):
            with quiet_loading():
                open_picture(tmp_path / "a.png")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert ([one.get_verbosity() for one in libraries], list(warnings.filters)) == before
