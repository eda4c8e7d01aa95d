"""A world's oracle as judge: whose style, and which subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.demo.worlds import DemoWorld
from graphcond.errors import InputError
from graphcond.evaluation import PictureSet


@dataclass(frozen=True)
class Verdict:
    """The oracle's verdicts on pictures of known targets, picture by picture."""

    style: Float[np.ndarray, " n"]
    subject: Float[np.ndarray, " n"]


class WorldJudge:
    """Scores pictures of a graph of a world.

    Args:
        graph: its nodes carry the attributes of the world's maker and subject.
        world: the world that it is from.

    Raises:
        InputError: they do not.
    """

    def __init__(self, graph: AttributedGraph, world: DemoWorld) -> None:
        missing = [fact for fact in (world.maker, "subject") if fact not in graph.nodes.attributes]
        if missing:
            raise InputError(
                f"its nodes do not say their {' and '.join(missing)}",
                place=graph.root,
                remedy="use a graph of that world, as `graphcond data build` makes it",
            )
        self.graph, self.world = graph, world
        self.reader = world.judge()

    def verdict(
        self, rows: Int64[np.ndarray, " n"], pictures: Sequence[Image.Image], *, unseen: bool = False
    ) -> Verdict:
        """True for pictures in the style of their node's maker, and for those that show their subject.

        Args:
            rows: the nodes.
            pictures: one of each.
            unseen: whether their makers were never targets: they may need another question.
        """
        seen, facts = PictureSet(pictures), self.facts(rows)
        style = self.reader.tell(seen, self.world.unseen if unseen else self.world.maker)
        subject = self.reader.tell(seen, "subject")
        return Verdict(
            np.array(style == np.array(facts[self.world.maker]), float),
            np.array(subject == np.array(facts["subject"]), float),
        )

    def chance(self, *, unseen: bool = False) -> float:
        """The share of pictures whose style would be right by chance."""
        return 1 / len(self.reader.names[self.world.unseen if unseen else self.world.maker])

    def facts(self, rows: Int64[np.ndarray, " n"]) -> Mapping[str, Sequence[str]]:
        """Maker and subject of nodes."""
        known = self.graph.nodes.attributes
        return {fact: [known[fact][row] for row in rows.tolist()] for fact in (self.world.maker, "subject")}
