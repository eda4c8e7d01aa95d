"""Choice of the base's attention kernel, and a check that it can run."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Literal, get_args

import torch

from graphcond.bases.config import AttentionChoice
from graphcond.errors import InputError, did_you_mean
from graphcond.io.optional import why_missing

Attention = Literal["sdpa", "xformers"]

XFORMERS_KEY_MULTIPLE = 8
"""xformers refuses an additive mask whose number of keys is not a multiple of this."""


def why_not_xformers(device: torch.device) -> str | None:
    """Why xformers cannot serve ``device``, or None if it can.

    Importing it proves little: beside a torch that it was not built for, xformers imports with a warning and
    has no kernels. So one small call is made.
    """
    try:
        version("xformers")
    except PackageNotFoundError:
        return "xformers is not installed"
    reason = why_missing("xformers.ops")
    if reason is not None:
        return f"xformers {version('xformers')} cannot be imported ({reason})"
    if device.type != "cuda":
        return f"xformers has no kernels for the device '{device.type}'"
    try:
        call_xformers(device)
    except Exception as error:  # whatever its dispatcher and its kernels raise
        first = str(error).strip().partition("\n")[0].rstrip(":.") or type(error).__name__
        beside = f"xformers {version('xformers')} has no kernel that runs beside torch {torch.__version__}"
        return f"{beside} ({first})"
    return None


def call_xformers(device: torch.device) -> None:
    """Run one small attention with the features that bases need: float32 and an additive mask."""
    from xformers.ops import memory_efficient_attention

    tokens = torch.zeros(1, XFORMERS_KEY_MULTIPLE, 1, 32, device=device)
    mask = torch.zeros(1, 1, XFORMERS_KEY_MULTIPLE, XFORMERS_KEY_MULTIPLE, device=device)
    memory_efficient_attention(tokens, tokens, tokens, attn_bias=mask)


def choose_attention(choice: AttentionChoice, device: torch.device) -> Attention:
    """The kernel that ``choice`` means on ``device``; ``auto`` takes xformers where it runs.

    Raises:
        InputError: xformers was requested and cannot run, or there is no such kernel.
    """
    if choice not in get_args(AttentionChoice):
        remedy = did_you_mean(str(choice), get_args(AttentionChoice))
        raise InputError(f"there is no '{choice}'", place="base.attention", remedy=remedy)
    if choice == "sdpa":
        return "sdpa"
    reason = why_not_xformers(device)
    if reason is None:
        return "xformers"
    if choice == "auto":
        return "sdpa"
    raise InputError(
        reason,
        place="base.attention: xformers",
        remedy="set base.attention to 'auto' or 'sdpa', or install graphcond[xformers] on a CUDA machine",
    )
