"""Work that other processes import."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from graphcond.errors import InputError


def squares(place: Path) -> Callable[[int], tuple[int, int]]:
    """Squares, and how many parts this worker has done before; the file says who has loaded."""
    with (place / "loaded").open("a") as file:
        file.write(f"{os.getpid()}\n")
    done: list[int] = []

    def square(part: int) -> tuple[int, int]:
        done.append(part)
        return part**2, len(done)

    return square


def dying(place: Path, times: int) -> Callable[[int], int]:
    """Part 2 kills its worker some times, before it is done."""

    def work(part: int) -> int:
        tries = place / "tries"
        if part == 2 and (len(tries.read_text()) if tries.exists() else 0) < times:
            with tries.open("a") as file:
                file.write("x")
            os.kill(os.getpid(), 9)
        return part

    return work


def refused() -> Callable[[int], int]:
    """Nothing can be done."""
    raise InputError("is broken", place="the model", remedy="mend it")


def memory() -> Callable[[int], int]:
    """Another library's error."""
    import torch  # slow, and other workers need none

    def work(part: int) -> int:
        raise torch.OutOfMemoryError("CUDA out of memory")

    return work


def killed_once(make: Callable[[], Callable[[int], object]], marker: Path) -> Callable[[int], object]:
    """Kills the first worker that has its latents, before it encodes prompts."""
    from graphcond.training import gather

    encode = gather.cached_prompts

    def encode_or_die(*arguments: object) -> object:
        with suppress(FileExistsError):
            marker.touch(exist_ok=False)
            os.kill(os.getpid(), 9)
        return encode(*arguments)

    gather.cached_prompts = encode_or_die
    return make()
