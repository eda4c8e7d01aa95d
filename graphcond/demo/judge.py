"""The art world's oracle as judge: whose style, which subject, how far from the true picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.evaluation import PictureSet
from graphcond.evaluation.targets import FACTS, art_oracle


@dataclass(frozen=True)
class Verdict:
    """The oracle's verdicts on pictures of known targets, picture by picture."""

    style: Float[np.ndarray, " n"]
    subject: Float[np.ndarray, " n"]


class ArtJudge:
    """Scores pictures of an art-world graph.

    Args:
        graph: its nodes carry the attributes ``artist`` and ``subject``.

    Raises:
        InputError: they do not.
    """

    def __init__(self, graph: AttributedGraph) -> None:
        missing = [fact for fact in FACTS if fact not in graph.nodes.attributes]
        if missing:
            raise InputError(
                f"its nodes do not say their {' and '.join(missing)}",
                place=graph.root,
                remedy="use a graph of the art world: graphcond data build art --out DIR",
            )
        self.graph = graph
        self.reader = art_oracle()

    def verdict(self, rows: Int64[np.ndarray, " n"], pictures: Sequence[Image.Image]) -> Verdict:
        """True for pictures in the style of their node's artist, and for those that show their subject."""
        seen = PictureSet(pictures)
        right = {
            fact: np.array(self.reader.tell(seen, fact)) == np.array(self.facts(rows)[fact]) for fact in FACTS
        }
        return Verdict(right["artist"].astype(float), right["subject"].astype(float))

    def facts(self, rows: Int64[np.ndarray, " n"]) -> Mapping[str, Sequence[str]]:
        """Artist and subject of nodes."""
        return {fact: [self.graph.nodes.attributes[fact][row] for row in rows.tolist()] for fact in FACTS}
