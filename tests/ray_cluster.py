"""A Ray cluster of two workers on this machine, for the tests of one module."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import psutil
import pytest


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Ray, connected to two workers; they see the environment of this moment."""
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install graphcond[ray]")
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}  # no token in the home folder
    try:
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            logging_level="ERROR",
            object_store_memory=100 * 2**20,
        )
    except (OSError, RuntimeError, TimeoutError) as error:  # its ports or its shared memory are not to be had
        pytest.skip(f"a Ray cluster cannot be started on this machine: {error}")
    yield ray
    ray.shutdown()


def actors() -> list[psutil.Process]:
    """The processes of actors that have begun and live."""
    found = []
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it has ended
            if child.cmdline() and child.cmdline()[0].startswith("ray::_Actor"):
                found.append(child)
    return found
