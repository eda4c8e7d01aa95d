"""Losses between embeddings of graphs and CLIP's embeddings of their pictures."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Of the kernels of `mmd`, in medians of the squared distances."""

TEMPERATURE = 0.07
"""Divides the cosines in `clip_loss`; CLIP's own at the start of its training."""


def mmd(one: Float[Tensor, "n d"], other: Float[Tensor, "m d"]) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy of two samples, unbiased (Gretton et al., JMLR 13, 2012).

    The kernel is the mean of exp(-distance^2 / (s * median)) over `BANDWIDTHS` s. The median is that of the
    squared distances within and between the samples, and gets no gradient. The estimate is in float32 or
    finer, may be below 0, and is 0 where a sample has fewer than two rows.
    """
    both = torch.cat([one, other])
    both = both.to(torch.promote_types(both.dtype, torch.float32))
    if min(len(one), len(other)) < 2:
        return both.sum() * 0
    squares = both.square().sum(1)
    # Not cdist: the gradient of a root is not finite at a distance of 0.
    distances = (squares[:, None] + squares - 2 * both @ both.T).clamp(min=0)
    apart = ~torch.eye(len(both), dtype=torch.bool, device=both.device)
    median = distances.detach()[apart].median().clamp(min=1e-12)
    kernel = torch.stack([(-distances / (s * median)).exp() for s in BANDWIDTHS]).mean(0)
    n = len(one)
    ones, others = kernel[:n, :n][apart[:n, :n]], kernel[n:, n:][apart[n:, n:]]
    return ones.mean() + others.mean() - 2 * kernel[:n, n:].mean()


def clip_loss(graphs: Float[Tensor, "b d"], pictures: Float[Tensor, "b d"]) -> Float[Tensor, ""]:
    """CLIP's loss (arXiv 2103.00020): find each graph's picture in the batch, and each picture's graph.

    Args:
        graphs: of length 1.
        pictures: of length 1, in the same order.
    """
    cosines = graphs @ pictures.T / TEMPERATURE
    own = torch.arange(len(cosines), device=cosines.device)
    return (F.cross_entropy(cosines, own) + F.cross_entropy(cosines.T, own)) / 2


def discriminator_loss(real: Float[Tensor, " n"], made: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """The cross-entropy of telling real from made by their logits (Goodfellow et al., arXiv 1406.2661)."""
    return F.softplus(-real).mean() + F.softplus(made).mean()


def generator_loss(made: Float[Tensor, " m"]) -> Float[Tensor, ""]:
    """The cross-entropy of passing for real, which does not saturate where the discriminator is sure."""
    return F.softplus(-made).mean()


def spread(rows: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """The root of the mean squared distance to the mean."""
    return (rows - rows.mean(0)).square().sum(1).mean().sqrt()
