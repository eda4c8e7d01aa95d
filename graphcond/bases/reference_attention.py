"""Reference attention: the self-attentions of a UNet also read the features that other pictures have there.

The references, noised to the timestep of the picture, run through the UNet first. A hook at each
self-attention keeps the features that it reads then; for the picture the keys and values are made of them,
too. This is "reference only" of Zhang's sd-webui-controlnet (2023), and what diffusers' community pipeline
``stable_diffusion_reference`` does with ``reference_attn``. The hooks are in place all the time, and do
nothing in calls without references.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from diffusers.models.attention import BasicTransformerBlock
from einops import rearrange, repeat
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from graphcond.bases.attention import XFORMERS_KEY_MULTIPLE
from graphcond.bases.sites import transformer_blocks
from graphcond.bases.token_weights import MASKED, bias_of_shares
from graphcond.denoiser_inputs import Slot


@dataclass
class Bank:
    """The features of references, between their pass through the UNet and that of the picture.

    Args:
        weight: of each reference of each picture.
        shown: whose weight is not 0; only these run through the UNet.
        reading: whether the pass is that of the picture.
        features: of those that are shown, by the name of the block.
    """

    weight: Float[Tensor, "b k"]
    shown: Bool[Tensor, "b k"]
    reading: bool = False
    features: dict[str, Tensor] = field(default_factory=dict)

    @property
    def rows(self) -> Int64[Tensor, " n"]:
        """The pictures, by number, to which the references that run through the UNet belong."""
        return self.shown.nonzero()[:, 0]

    def keys(self, name: str, features: Float[Tensor, "b v w"]) -> Float[Tensor, "b kv w"]:
        """The features of all references of each picture at a block; zeros for those that are hidden."""
        found = self.features[name].to(features)
        whole = found.new_zeros(*self.shown.shape, *found.shape[1:])
        whole[self.shown] = found
        return rearrange(whole, "b k v w -> b (k v) w")


BANK: Slot[Bank] = Slot()
"""What the hooks write to and read from, in calls with references."""


def install_reference_attention(unet: nn.Module) -> list[RemovableHandle]:
    """Let the self-attentions of ``unet`` fill and read `BANK`; the handles take this back.

    There are none for blocks that do it already, as those of another base with the same denoiser.
    """
    handles = []
    for name, block in transformer_blocks(unet).items():
        known = block.attn1._forward_pre_hooks.values()
        if not any(getattr(hook, "func", None) is _look for hook in known):
            hook = partial(_look, name, block)
            handles.append(block.attn1.register_forward_pre_hook(hook, with_kwargs=True))
    return handles


def _look(
    name: str,
    block: BasicTransformerBlock,
    attention: nn.Module,
    args: tuple[Tensor, ...],
    kwargs: dict[str, Any],
) -> tuple[tuple[Tensor, ...], dict[str, Any]] | None:
    bank = BANK.value
    if bank is None or block.only_cross_attention:
        return None
    features = args[0] if args else kwargs["hidden_states"]
    if not bank.reading:
        bank.features.setdefault(name, features)  # the first, not one that checkpointing computes again
        return None
    keys = torch.cat([features, bank.keys(name, features)], dim=1)
    bias = None
    if not bool((bank.weight == 1).all()):
        share = repeat(bank.weight, "b k -> b 1 (k v)", v=bank.features[name].shape[1])
        share = F.pad(share, (features.shape[1], 0), value=1.0)
        missing = -keys.shape[1] % XFORMERS_KEY_MULTIPLE
        keys = F.pad(keys, (0, 0, 0, missing))
        bias = F.pad(bias_of_shares(share), (0, missing), value=MASKED).to(features.dtype)
    return args, {**kwargs, "encoder_hidden_states": keys, "attention_mask": bias}
