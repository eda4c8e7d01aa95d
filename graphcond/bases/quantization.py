"""The frozen weights of a denoiser in 8 or 4 bits, by diffusers' quantizers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, cast

import torch
from diffusers import BitsAndBytesConfig, TorchAoConfig
from torch import Tensor, nn

from graphcond.bases.config import Quantize
from graphcond.errors import InputError, did_you_mean
from graphcond.io.optional import optional

LIBRARIES: dict[Quantize, str] = {"int8": "torchao", "nf4": "bitsandbytes"}
"""The libraries that hold the weights."""

_CHOSEN: ContextVar[tuple[str, Quantize] | None] = ContextVar("chosen", default=None)


def check_quantizer(quantize: Quantize | None) -> None:
    """Check that weights can be quantized so on this machine.

    Raises:
        InputError: there is no such way; or its library is not installed, or needs a GPU.
    """
    if quantize is None:
        return
    if quantize not in LIBRARIES:
        remedy = did_you_mean(str(quantize), LIBRARIES)
        raise InputError(f"there is no '{quantize}'", place="base.quantize", remedy=remedy)
    place = f"base.quantize: {quantize}"
    optional(LIBRARIES[quantize], LIBRARIES[quantize], place=place, otherwise=", or leave the setting out")
    # As the check of diffusers' quantizer; bitsandbytes itself would run on a CPU.
    if quantize == "nf4" and not any(one.is_available() for one in (torch.cuda, torch.xpu, torch.mps)):
        raise InputError("it needs a GPU, and there is none", place=place, remedy="use int8")


@contextmanager
def quantized(part: str, quantize: Quantize | None) -> Iterator[None]:
    """Quantize the weights of the linear layers of ``part`` where it is loaded in the block.

    Args:
        part: the name of its folder.
        quantize: how; None leaves it as it was outside of the block.

    Raises:
        InputError: as `check_quantizer`.
    """
    check_quantizer(quantize)
    if quantize is None:
        yield
        return
    token = _CHOSEN.set((part, quantize))
    try:
        yield
    finally:
        _CHOSEN.reset(token)


def loading_options(part: str, dtype: torch.dtype) -> dict[str, Any]:
    """What to tell diffusers of the quantization of ``part``, which computes in ``dtype``."""
    match _CHOSEN.get():
        case (chosen, "int8") if chosen == part:
            from torchao.quantization import Int8WeightOnlyConfig

            return {"quantization_config": TorchAoConfig(Int8WeightOnlyConfig())}
        case (chosen, "nf4") if chosen == part:
            settings = {"bnb_4bit_quant_type": "nf4", "bnb_4bit_compute_dtype": dtype}
            return {"quantization_config": BitsAndBytesConfig(load_in_4bit=True, **settings)}
    return {}


def is_quantized(weight: Tensor) -> bool:
    """Whether a weight is that of a quantizer: packed integers, or a tensor class of its own."""
    return type(weight) not in (Tensor, nn.Parameter) or weight.dtype in (torch.int8, torch.uint8)


def dequantized(weight: Any) -> Tensor:
    """A weight in the number format that it is computed with; one that is not quantized is given back."""
    if not is_quantized(weight):
        return cast(Tensor, weight)
    if hasattr(weight, "quant_state"):
        from bitsandbytes.functional import dequantize_4bit

        return dequantize_4bit(weight.data, weight.quant_state)
    return cast(Tensor, weight.dequantize())


def unquantized(module: nn.Module) -> nn.Module:
    """``module`` with plain linear layers in place of those with quantized weights, which may be itself."""
    if isinstance(module, nn.Linear) and is_quantized(module.weight):
        plain = nn.Linear(module.in_features, module.out_features, module.bias is not None, device="meta")
        plain.weight = nn.Parameter(dequantized(module.weight))
        plain.bias = module.bias
        return plain
    for name, child in list(module.named_children()):
        module.add_module(name, unquantized(child))
    return module
