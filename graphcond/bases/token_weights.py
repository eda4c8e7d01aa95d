"""Weighted context tokens: how a diffusers denoiser learns what `DenoiserInputs.context_weight` means.

The denoiser takes a 0/1 mask of context tokens and adds ``(1 - mask) * -10000`` to the attention logits.
A hook at each cross-attention reads the weight back from that bias and puts ``log(weight)`` there, so
that a token of weight w counts w times in the softmax. For weights of 0 and 1 the bias stays what
diffusers makes it. The weight travels as an argument, so gradient checkpointing and any attention
processor (SDPA, xformers, LoRA on top) work unchanged.

Weights for each place of the picture do not fit that mask. They are averaged over the cells of each site
(EliGen's mask, arXiv 2501.01097, with shares in place of 0 and 1), and the hooks read them from a slot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from graphcond.bases.base import Site
from graphcond.denoiser_inputs import DenoiserInputs, Slot
from graphcond.errors import InputError

MASKED = -10000.0
"""The bias that diffusers gives to a hidden token."""

_ROUNDED = {
    dtype: torch.tensor(MASKED, dtype=dtype).item()
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)
}
"""`MASKED` as a number format has it."""


@dataclass(frozen=True)
class PlaceBias:
    """Weights for each place as the cross-attentions of one grid read them.

    Args:
        bias: what is added to the logits, log(weight), at least `MASKED`.
        sees: True for cells to which at least one token is shown.
    """

    bias: Float[Tensor, "b v l"]
    sees: Bool[Tensor, "b v 1"]


PLACES: Slot[Mapping[int, PlaceBias]] = Slot()
"""Weights for each place, by the stride of sites, in calls that have them."""


def install_token_weights(sites: Iterable[Site]) -> list[RemovableHandle]:
    """Let cross-attentions read fractional masks as token weights, and the weights of places.

    Calls without weights are not affected. The handles take this back; there are none for sites that can
    do it already, as those of another base with the same denoiser.
    """
    handles = []
    for site in sites:
        if any(
            getattr(hook, "func", None) is _weigh_tokens for hook in site.module._forward_pre_hooks.values()
        ):
            continue
        hook = partial(_weigh_tokens, site.stride)
        handles.append(site.module.register_forward_pre_hook(hook, with_kwargs=True))
        handles.append(site.module.register_forward_hook(partial(_leave_unseeing, site.stride)))
    return handles


def shown_places(inputs: DenoiserInputs, sites: Iterable[Site]) -> dict[Slot[Any], Mapping[int, PlaceBias]]:
    """What `PLACES` holds during a call; nothing where weights have no places.

    Args:
        inputs: of the call.
        sites: those whose hooks read it.

    Raises:
        InputError: the weights are not as large as the latents.
    """
    weight = inputs.context_weight
    if weight is None or weight.ndim == 2:
        return {}
    check_places(inputs)
    size = inputs.sample.shape[2:]
    found: dict[int, PlaceBias] = {}
    for site in sites:
        if site.stride not in found:
            shares = F.adaptive_avg_pool2d(weight.float(), site.grid(*size)).flatten(2).transpose(1, 2)
            found[site.stride] = PlaceBias(bias_of_shares(shares), (shares > 0).any(-1, keepdim=True))
    return {PLACES: found}


def check_places(inputs: DenoiserInputs) -> None:
    """Check that weights for places are as many as the latents.

    Raises:
        InputError: they are not.
    """
    weight, size = inputs.weights(), inputs.sample.shape[2:]
    if weight.shape[2:] != size:
        raise InputError(
            f"expected weights for {size[0]} x {size[1]} places, as the latents have, "
            f"got {weight.shape[2]} x {weight.shape[3]}",
            place="context_weight",
            remedy="make them for the picture that is drawn",
        )


def bias_of_shares(shares: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """What is added to logits for weights of at least 0: ``log(weight)``, at least `MASKED`."""
    here = shares > 0
    # Not the logarithm of 0, whose gradient is not a number.
    return torch.where(here, shares, 1.0).log().clamp(min=MASKED).masked_fill(~here, MASKED)


def bias_of_weight(bias: Float[Tensor, "b 1 l"]) -> Float[Tensor, "b 1 l"]:
    """Turn diffusers' ``(1 - weight) * -10000`` into ``log(weight)``, at least `MASKED`."""
    weight = 1.0 - bias.float() / _ROUNDED[bias.dtype]
    return torch.log(weight.clamp(min=0.0)).clamp(min=MASKED).to(bias.dtype)


def _weigh_tokens(
    stride: int, module: nn.Module, args: tuple[Tensor, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Tensor, ...], dict[str, Any]] | None:
    places = PLACES.value
    if places is not None:
        features = args[0] if args else kwargs["hidden_states"]
        return args, {**kwargs, "attention_mask": places[stride].bias.to(features.dtype)}
    bias = kwargs.get("attention_mask")
    if bias is None:
        return None
    return args, {**kwargs, "attention_mask": bias_of_weight(bias)}


def _leave_unseeing(stride: int, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
    places = PLACES.value
    # Where all logits are lowered alike, the softmax would show every token.
    return None if places is None else output * places[stride].sees
