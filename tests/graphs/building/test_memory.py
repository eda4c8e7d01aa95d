from __future__ import annotations

import pytest

from graphcond.errors import InputError
from graphcond.graphs.building.on_disk import Room, default_memory, parse_memory, room_within


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GiB", 2**31), ("512MiB", 2**29), ("2GB", 2 * 10**9), ("1.5 gib", 3 * 2**29), ("800m", 8 * 10**8)],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_memory(text) == size


@pytest.mark.parametrize(
    "text", ["", "2", "much", "-2GiB", "2GiB or so", "1.2.3GB", "2XB", "2Gbit", "nan", "1e9"]
)
def test_nonsense(text: str) -> None:
    with pytest.raises(InputError, match=r"--memory: expected a size, got '.*'. Write a number and a unit"):
        parse_memory(text)


def test_more_memory_is_more_room() -> None:
    little, much = room_within(2**33), room_within(2**36)
    assert 0 < little.arcs < much.arcs
    assert 0 < little.block < much.block < 2**31
    assert little.arcs_beside(10**12) == little.arcs // 4
    assert 0 < default_memory() < 2**50
    assert Room(block=1, arcs=100).arcs_beside(20) == 60
    assert Room(block=1, arcs=1).arcs_beside(20) == 1
