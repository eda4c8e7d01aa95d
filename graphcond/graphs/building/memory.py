"""How much of the memory each part of a build may take."""

from __future__ import annotations

import re
from dataclasses import dataclass

import psutil
from pydantic import ByteSize, TypeAdapter

from graphcond.errors import InputError

LEAST = 1 << 26
"""Bytes that a build needs besides its nodes."""
ARC = 64
"""Bytes that an arc with weight and type takes while it is sorted and merged: copies, order, sums."""
TEXT = 64
"""Bytes that a byte of text takes while it is parsed, and the next is read."""


@dataclass(frozen=True)
class Room:
    """What is held at once.

    Args:
        block: bytes of text parsed at once.
        arcs: arcs sorted or merged at once.
    """

    block: int
    arcs: int

    def arcs_beside(self, nodes: int) -> int:
        """The arcs that are held beside nodes met meanwhile; each takes the room of two, up to 3/4 of it."""
        return max(self.arcs - 2 * nodes, self.arcs // 4, 1)


def room_within(memory: int) -> Room:
    """Divide what is left of ``memory`` bytes for the whole process, half for text and half for arcs.

    Raises:
        InputError: too little is left.
    """
    used = psutil.Process().memory_info().rss
    left = memory - used
    if left < LEAST:
        raise InputError(
            f"{memory / 2**20:,.0f} MiB of memory are too little",
            place="--memory",
            remedy=f"give at least {(used + LEAST) / 2**20 + 1:.0f}MiB: the program and the nodes need it",
        )
    return Room(block=min(left // 2 // TEXT, 2**28), arcs=left // 2 // ARC)


def default_memory() -> int:
    """Half of the memory that is free, in bytes."""
    return int(psutil.virtual_memory().available // 2)


def parse_memory(text: str) -> int:
    """The bytes that ``text`` means, such as ``2GiB``, ``512 MB`` or ``1.5g``.

    Raises:
        InputError: it is no number with a unit of bytes.
    """
    try:
        if not re.fullmatch(r"\d+(\.\d+)? *[kmgt](i?b)?", text.strip(), re.IGNORECASE):
            raise ValueError
        return int(TypeAdapter(ByteSize).validate_python(text.strip()))
    except ValueError:
        raise InputError(
            f"'{text}' is no size", place="--memory", remedy="write a number and a unit, such as 2GiB"
        ) from None
