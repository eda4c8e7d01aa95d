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
    """What is added to the logits of a sequence of context, picture and references, in this order.

    None where everything has its full weight. References see a context token as the picture does on average.

    Args:
        inputs: of a call in which one latent is one token of the picture.

    Raises:
        InputError: weights for places are not as many as the latents have.
    """
    references, (height, width) = inputs.references, inputs.sample.shape[2:]
    all_shown = references is None or bool((references.weight == 1).all())
    if inputs.context_weight is None and all_shown:
        return None
    weight = inputs.weights().float()
    shares = weight.new_zeros(len(weight), 0)
    if references is not None:
        each = references.latents.shape[3] * references.latents.shape[4]
        shares = references.weight.to(weight).repeat_interleave(each, dim=1)
    if weight.ndim == 2:
        seen = weight[:, None]
    else:
        check_places(inputs)
        at_places = weight.flatten(2)
        on_average = at_places.mean(2)[:, None].expand(-1, shares.shape[1], -1)
        seen = torch.cat([among_tokens(at_places), at_places.transpose(1, 2), on_average], dim=1)
    picture = seen.new_ones(*seen.shape[:2], height * width)
    looked_at = shares[:, None].expand(-1, seen.shape[1], -1)
    return bias_of_shares(torch.cat([seen, picture, looked_at], dim=2))[:, None]


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
