"""Weighted context tokens in joint attention, where text and picture are one sequence.

A token of weight w counts w times as a key: log w is added to its logits. Every token of the sequence reads
it, so that weights for each place of the picture also say which context tokens read each other.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.bases.token_weights import bias_of_shares, check_places
from graphcond.denoiser_inputs import DenoiserInputs


def joint_bias(inputs: DenoiserInputs) -> Float[Tensor, "b 1 _ s"] | None:
    """What is added to the logits of a sequence of context and picture, in this order; None without weights.

    Args:
        inputs: of a call in which one latent is one token of the picture.

    Raises:
        InputError: weights for places are not as many as the latents have.
    """
    weight, (height, width) = inputs.context_weight, inputs.sample.shape[2:]
    if weight is None:
        return None
    weight = weight.float()
    if weight.ndim == 2:
        seen = weight[:, None]
    else:
        check_places(inputs)
        at_places = weight.flatten(2)
        seen = torch.cat([among_tokens(at_places), at_places.transpose(1, 2)], dim=1)
    picture = seen.new_ones(*seen.shape[:2], height * width)
    return bias_of_shares(torch.cat([seen, picture], dim=2))[:, None]


def among_tokens(at_places: Float[Tensor, "b l p"]) -> Float[Tensor, "b l l"]:
    """How much each context token reads the others: j counts for i as on average at the places where i shows.

    It counts nothing where i shows at a place at which j is hidden. So nothing of a token reaches places from
    which it is hidden by way of another token, as objects do not see each other in EliGen's mask
    (arXiv 2501.01097).
    """
    shows = (at_places > 0).to(at_places)
    apart = shows @ (1 - shows).transpose(1, 2) > 0
    mean = shows @ at_places.transpose(1, 2) / shows.sum(-1, keepdim=True).clamp(min=1)
    return mean.masked_fill(apart, 0)
