"""Which part of the work one of several processes does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from graphcond.errors import InputError


@dataclass(frozen=True)
class Share:
    """This process is number ``index`` (from 0) of ``count``."""

    index: int = 0
    count: int = 1


def share_of(shard: str | None, environment: Mapping[str, str]) -> Share:
    """``shard`` (``i/n``) if given, else what accelerate or torchrun say in RANK and WORLD_SIZE, else all.

    Raises:
        InputError: it is no ``i/n``, or i is not below n.
    """
    if shard is not None:
        return _checked(*shard.partition("/")[::2], place="--shard")
    if "RANK" in environment and "WORLD_SIZE" in environment:
        return _checked(environment["RANK"], environment["WORLD_SIZE"], place="RANK and WORLD_SIZE")
    return Share()


def _checked(index: str, count: str, place: str) -> Share:
    if not all(part.isascii() and part.isdigit() and len(part) < 10 for part in (index, count)):
        raise InputError(f"'{index}' of '{count}' is no share", place=place, remedy="write i/n, such as 0/2")
    share = Share(int(index), int(count))
    if share.index >= share.count:
        raise InputError(
            f"there is no share {share.index} of {share.count}",
            place=place,
            remedy=f"count from 0 to {share.count - 1}" if share.count else "give at least one share",
        )
    return share
