"""Options that several commands share, and how they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from graphcond.errors import InputError, did_you_mean

if TYPE_CHECKING:
    import torch


MAX_SEED = 2**63 - 1
"""What torch's generators take."""


def base_name(base: str | None) -> Literal["tiny"] | None:
    """The base that ``--base`` names.

    Raises:
        InputError: there is no such base.
    """
    if base is None:
        return None
    if base == "tiny":
        return "tiny"
    raise InputError(f"there is no base '{base}'", place="--base", remedy=did_you_mean(base, ["tiny"]))


def pick_device(device: str | None) -> torch.device:
    """The device that ``--device`` names; CUDA or Apple's where there is one, else the CPU.

    Raises:
        InputError: unknown, or not on this machine.
    """
    import torch

    if device is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.zeros(1, device=chosen).item()
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(
            f"the device '{device}' is not available here",
            place="--device",
            remedy="leave it out, or use 'cpu'",
        ) from None
    return chosen
