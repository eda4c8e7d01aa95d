"""The most memory that a run took."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
import torch

RESET = Path("/proc/self/clear_refs")


@dataclass(frozen=True)
class Memory:
    """``bytes`` of the memory of the GPU or of the whole process."""

    of: Literal["GPU", "process"]
    bytes: int


class PeakMemory:
    """The peak since this object was made: of the GPU's allocations, elsewhere of the process.

    The process's peak (resident set size) is counted from its start where the kernel cannot reset it,
    which Linux can.

    Args:
        device: where the run computes.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        else:
            with suppress(OSError):
                RESET.write_text("5")

    def now(self) -> Memory:
        """The peak until now."""
        if self._device.type == "cuda":
            return Memory("GPU", torch.cuda.max_memory_allocated(self._device))
        return Memory("process", process_peak())


def process_peak() -> int:
    """Bytes of memory that this process held at most."""
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # Windows has no such module

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
