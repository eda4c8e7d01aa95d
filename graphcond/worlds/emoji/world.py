"""The emoji world: a graph of real pictures, the same subjects drawn by several studios.

A node's text names its subject and sometimes hints at the studio. Edges join pictures by one studio; others
mislead: they join what has a Unicode group or a word of the name in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from PIL import Image

from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.errors import InputError
from graphcond.worlds.links import Links, check_world, join, members

PICTURES = Path(__file__).with_name("pictures.parquet")
"""The pictures in the package, of the subjects that the emoji base draws; CREDITS.md names their makers."""

FACTS = ("subject", "studio", "group", "license", "credit")
COLUMNS = ("id", "hint", "split", "picture", *FACTS)

SERIES_SHARE = 0.8
GROUP_SHARE = 0.7


@dataclass(frozen=True)
class EmojiWorld:
    """A graph of emoji; equal arguments give equal graphs.

    Args:
        table: a parquet file with a row for each picture and the columns of `COLUMNS`.
        seed: determines edges and which texts hint.
        noise: share of edges between pictures of different studios.
        series_length: number of pictures in a series by one studio.
        degree: average number of edges of a node that stay with its studio.
        hint_share: share of the training nodes whose text names the studio too.

    Raises:
        InputError: the table is missing or not of that kind.
    """

    table: Path = PICTURES
    seed: int = 0
    noise: float = 0.5
    series_length: int = 20
    degree: float = 6.0
    hint_share: float = 0.1

    def __post_init__(self) -> None:
        check_world(noise=self.noise, seed=self.seed)

    def __len__(self) -> int:
        return len(self._rows["id"])

    @cached_property
    def _rows(self) -> dict[str, list]:
        try:
            return pq.read_table(self.table, columns=list(COLUMNS)).to_pydict()
        except (OSError, ValueError) as error:
            raise InputError(
                f"it is not a table of emoji with the columns {', '.join(COLUMNS)}",
                place=self.table,
                remedy="reinstall graphcond, or make it anew by scripts/emoji/graph.py",
            ) from error

    def nodes(self) -> NodeTable:
        """Return the pictures; splits "train", "val", "test" (held-out pairs) and "unseen" (one studio)."""
        rows, rng = self._rows, np.random.default_rng([self.seed, 1])
        hinted = (rng.random(len(self)) < self.hint_share) & (np.array(rows["split"]) == "train")
        return NodeTable(
            ids=rows["id"],
            texts=np.where(hinted, rows["hint"], rows["subject"]).tolist(),
            pictures=[f"pictures/{name}.png" for name in rows["id"]],
            types=["emoji"] * len(self),
            splits=rows["split"],
            attributes={fact: rows[fact] for fact in FACTS},
        )

    def edges(self) -> EdgeList:
        """Return undirected edges, each once, source below target, typed by why they exist."""
        rng = np.random.default_rng([self.seed, 2])
        studio, group = (_numbers(self._rows[fact]) for fact in ("studio", "group"))
        series = self._series(studio, rng)
        tag = _numbers([rng.choice(subject.split()) for subject in self._rows["subject"]])
        links: Links = {}
        true_edges = round(self.degree * len(self) / 2)
        join(links, series, members(series), round(SERIES_SHARE * true_edges), "same_series", rng)
        join(links, studio, members(studio), true_edges, "same_studio", rng)
        noisy_edges = round(len(links) * self.noise / (1 - self.noise))
        goal = len(links) + noisy_edges
        some = len(links) + round(GROUP_SHARE * noisy_edges)
        join(links, group, members(group), some, "same_group", rng, apart=studio)
        join(links, tag, members(tag), goal, "same_tag", rng, apart=studio)
        pairs = np.array(list(links), np.int64).reshape(-1, 2)
        return EdgeList(pairs[:, 0], pairs[:, 1], np.ones(len(pairs), np.float32), list(links.values()))

    def draw(self, index: int) -> Image.Image:
        """Return the picture of a node, in RGB."""
        return Image.open(BytesIO(self._rows["picture"][index])).convert("RGB")

    def _series(self, studio: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.int64]:
        """A number for each node, shared by `series_length` random pictures of a studio."""
        series = np.zeros(len(self), np.int64)
        for number, rows in members(studio).items():
            series[rng.permutation(rows)] = number * len(self) + np.arange(len(rows)) // self.series_length
        return series


def _numbers(names: Sequence[str]) -> NDArray[np.int64]:
    return np.unique(names, return_inverse=True)[1].astype(np.int64)
