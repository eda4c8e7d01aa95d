"""The relation between a target and its neighbor as a learned vector."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from graphcond.context import NeighborFeatures


class RelationEmbedding(nn.Module):
    """A learned vector for each relation, zero until it is trained; no relation adds nothing.

    Args:
        names: the relations that it tells apart, as graphs call them.
        width: w, of the vectors.
    """

    def __init__(self, names: tuple[str, ...], width: int) -> None:
        super().__init__()
        self.names = names
        zeros = torch.zeros(len(names) + 1, width)
        self.table = nn.Embedding.from_pretrained(zeros, freeze=False, padding_idx=0)

    def forward(self, context: NeighborFeatures) -> Float[Tensor, "b k w"]:
        """The vector of each neighbor's relation; see `numbered`."""
        relations = context.relations
        if relations is None:
            relations = torch.zeros_like(context.present, dtype=torch.long)
        return self.table(numbered(relations, context.relation_names, self.names))


def numbered(
    relations: Int64[Tensor, "*rows"], names: tuple[str, ...], known: tuple[str, ...]
) -> Int64[Tensor, "*rows"]:
    """Relations of a graph in the numbers of an encoder, from 1 on, by their names: every graph has its own.

    One that is not among ``known`` counts as none, which is 0, and a warning says so.

    Args:
        relations: numbers of the graph's relations, 0 for none.
        names: what they are called, from 1 on.
        known: the relations that the encoder tells apart.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        warnings.warn(
            f"relations of the graph that the encoder does not know count as none: {', '.join(unknown)} "
            f"(it knows {', '.join(known)})",
            stacklevel=2,
        )
    rows = [0, *(1 + known.index(name) if name in known else 0 for name in names)]
    return torch.tensor(rows, device=relations.device)[relations]
