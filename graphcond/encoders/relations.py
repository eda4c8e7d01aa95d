"""The relation between a target and its neighbor as a learned vector."""

from __future__ import annotations

import warnings

import torch
from jaxtyping import Float
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
        """The vector of each neighbor's relation.

        Relations are known by name, since every graph numbers its own. One that is not among ``names``
        counts as none, and a warning says so.
        """
        names = context.relation_names
        unknown = [name for name in names if name not in self.names]
        if unknown:
            warnings.warn(
                f"relations of the graph that the encoder does not know count as none: {', '.join(unknown)} "
                f"(it knows {', '.join(self.names)})",
                stacklevel=2,
            )
        # The table's row for each relation of the graph; the first is for none.
        rows = [0, *(1 + self.names.index(name) if name in self.names else 0 for name in names)]
        known = torch.zeros_like(context.present, dtype=torch.long)
        if context.relations is not None:
            known = torch.tensor(rows, device=known.device)[context.relations]
        return self.table(known)
