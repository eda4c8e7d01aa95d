"""Weighted context tokens: how a diffusers UNet learns what `DenoiserInputs.context_weight` means.

The UNet takes a 0/1 mask of context tokens and adds ``(1 - mask) * -10000`` to the attention logits.
A hook at each cross-attention reads the weight back from that bias and puts ``log(weight)`` there, so
that a token of weight w counts w times in the softmax. For weights of 0 and 1 the bias stays what
diffusers makes it. The weight travels as an argument, so gradient checkpointing and any attention
processor (SDPA, xformers, LoRA on top) work unchanged.
"""

from __future__ import annotations

from typing import Any

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from jaxtyping import Float
from torch import Tensor, nn

MASKED = -10000.0
"""The bias that diffusers gives to a hidden token."""


def cross_attentions(unet: nn.Module) -> dict[str, Attention]:
    """The cross-attention layer of every transformer block of ``unet``, by module name."""
    return {
        f"{name}.attn2": block.attn2
        for name, block in unet.named_modules()
        if isinstance(block, BasicTransformerBlock) and block.attn2 is not None
    }


def install_token_weights(unet: nn.Module) -> None:
    """Let ``unet`` read fractional masks as token weights; calls without a mask are not affected."""
    for attention in cross_attentions(unet).values():
        attention.register_forward_pre_hook(_weigh_tokens, with_kwargs=True)


def bias_of_weight(bias: Float[Tensor, "b 1 l"]) -> Float[Tensor, "b 1 l"]:
    """Turn diffusers' ``(1 - weight) * -10000`` into ``log(weight)``, at least `MASKED`."""
    weight = (
        1.0 - bias.float() / torch.tensor(MASKED, dtype=bias.dtype).item()
    )  # as rounded in half precision
    return torch.log(weight.clamp(min=0.0)).clamp(min=MASKED).to(bias.dtype)


def _weigh_tokens(
    module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    bias = kwargs.get("attention_mask")
    if bias is None:
        return None
    return args, {**kwargs, "attention_mask": bias_of_weight(bias)}
