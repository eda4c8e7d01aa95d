"""The device and number format of a run, through accelerate, and the most memory that it took."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import psutil
import torch
from accelerate import Accelerator, cpu_offload_with_hook
from accelerate.state import AcceleratorState, PartialState
from accelerate.utils import InitProcessGroupKwargs

from graphcond.bases import Base
from graphcond.errors import InputError, did_you_mean, first_line
from graphcond.io.tensors import pick_device
from graphcond.recipe import TrainingConfig
from graphcond.recipe.sections import Compile
from graphcond.training.sharding import check_launch
from graphcond.training.trackers import check_trackers

DEVICES = ("cpu", "cuda", "mps")
PATIENCE = timedelta(days=1)
"""Time limit of processes that wait while the first one fills the cache."""


@contextmanager
def accelerated(config: TrainingConfig, device: str | None) -> Iterator[Accelerator]:
    """An accelerator for one run; a later run in this process may choose another precision or device.

    Arguments and errors as `build_accelerator`. An existing state of accelerate is kept.
    """
    foreign = bool(PartialState._shared_state)
    try:
        yield build_accelerator(config, device)
    finally:
        if not foreign and PartialState._shared_state.get("num_processes") == 1:
            AcceleratorState._reset_state(reset_partial_state=True)


def build_accelerator(config: TrainingConfig, device: str | None) -> Accelerator:
    """An accelerator for this process.

    Args:
        config: the recipe's training.
        device: ``cpu``, ``cuda`` or ``mps``; the best there is unless given.

    Raises:
        InputError: the device is not there, or cannot compute in that precision; a tracker is not
            installed; processes were started for DeepSpeed.
    """
    if device is not None and device not in DEVICES:
        raise InputError(
            f"there is no device '{device}'",
            place="device",
            remedy="choose one GPU by CUDA_VISIBLE_DEVICES"
            if device.startswith("cuda:")
            else did_you_mean(device, DEVICES),
        )
    chosen = pick_device(device)
    check_launch()
    check_trackers(config.trackers)
    try:
        accelerator = Accelerator(
            mixed_precision=config.mixed_precision,
            cpu=chosen.type == "cpu",  # without which launched processes would not find each other
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
    except ValueError as error:
        raise _imprecise(config.mixed_precision, str(error)) from error
    if config.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise _imprecise("fp16", "it needs a GPU")  # accelerate would pass over it without a word
    return accelerator


def generators_kept(device: torch.device) -> list[torch.device]:
    """The devices whose global random generators a run must leave as it found them."""
    return [device] if device.type == "cuda" else []


def _imprecise(precision: str, reason: str) -> InputError:
    return InputError(
        f"'{precision}' cannot run here ({reason})",
        place="training.mixed_precision",
        remedy="set it to 'no'",
    )


@contextmanager
def text_encoders_apart(base: Base, device: torch.device) -> Iterator[Callable[[], None]]:
    """Keep the text encoders of a base on the CPU in the block, since a training reads cached prompts.

    One that is called, for a preview or by an encoder that reads texts, moves to ``device``, and stays there
    until the function that is given is called. On the CPU there is nothing to gain.

    Args:
        base: loaded.
        device: where it computes.
    """
    networks = {} if device.type == "cpu" else base.components
    found = [
        part
        for name, part in networks.items()
        if name.startswith("text_encoder") and not hasattr(part, "_hf_hook")
    ]
    hooks = [cpu_offload_with_hook(network, device)[1] for network in found]

    def offload() -> None:
        for hook in hooks:
            hook.offload()

    offload()
    try:
        yield offload
    finally:
        for network, hook in zip(found, hooks, strict=True):
            hook.remove()
            network.to(device)


BACKEND = "inductor"
"""The backend of torch.compile."""


def compiled_by_torch(network: Callable[..., Any], choice: Compile) -> Any:
    """A network or a function as torch compiles it by ``choice``, which is not False."""
    return torch.compile(network, backend=BACKEND, mode=None if isinstance(choice, bool) else choice)


def check_compile(choice: Compile, device: torch.device) -> None:
    """Check, with a sum, that torch can compile for ``device`` what ``choice`` asks for.

    Raises:
        InputError: it cannot.
    """
    if not choice:
        return
    try:
        compiled_by_torch(lambda numbers: numbers + 1, choice)(torch.zeros(8, device=device))
    except Exception as error:  # whatever compilers raise, which dynamo wraps
        reason = first_line(getattr(error, "inner_exception", error))
        raise InputError(
            f"torch cannot compile here ({reason})",
            place="training.compile",
            remedy="set it to false, or install a C++ compiler, and on a GPU triton",
        ) from error


@contextmanager
def compiled(base: Base, choice: Compile) -> Iterator[None]:
    """Run the denoiser of a base as torch compiles it in the block, with what injectors attached before.

    What is attached or taken away later may be missed, since torch does not watch hooks. At the end all
    compiled code is forgotten.

    Args:
        base: with its injectors.
        choice: how to compile; False leaves the base alone.
    """
    if not choice:
        yield
        return
    base.replace(base.denoiser_name, compiled_by_torch(base.denoiser, choice))
    try:
        yield
    finally:
        base.replace(base.denoiser_name, base.denoiser)
        torch.compiler.reset()  # each training would count towards torch's limit of versions


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
        if sys.platform == "win32":
            return Memory("process", psutil.Process().memory_info().peak_wset)
        import resource  # Windows has no such module

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return Memory("process", peak if sys.platform == "darwin" else 1024 * peak)
