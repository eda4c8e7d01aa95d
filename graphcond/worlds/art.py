"""The art world: a museum graph of procedural paintings whose artist and subject are known.

Twelve artists paint ten subjects. A painting's title names its subject and at times hints at the movement,
never at the artist: who painted it is told by its neighbours alone, and some of its neighbours mislead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.worlds.captions import plain, study
from graphcond.worlds.museum import Links, link_paintings
from graphcond.worlds.styles import STYLES, paint
from graphcond.worlds.subjects import SUBJECTS as _PARTS

ARTISTS: tuple[str, ...] = tuple(STYLES)
SUBJECTS: tuple[str, ...] = tuple(_PARTS)
MOVEMENTS: tuple[str, ...] = tuple(dict.fromkeys(style.movement for style in STYLES.values()))
HELD_OUT_ARTISTS: tuple[str, ...] = ("vesperi", "halvor")
MUSEUMS: tuple[str, ...] = (
    "northgate",
    "riverside",
    "oldtown",
    "harbour",
    "hillcrest",
    "lakeview",
    "station",
    "abbey",
)
YEARS: tuple[int, ...] = tuple(range(1900, 1925))
NOISE_LEVELS: dict[str, float] = {"easy": 0.3, "medium": 0.5, "hard": 0.6}


def movement_of(artist: str) -> str:
    """Return the movement of an artist."""
    return STYLES[artist].movement


def draw_painting(artist: str, subject: str, seed: int | Sequence[int], resolution: int = 64) -> Image.Image:
    """Draw a painting of a subject by an artist, (resolution, resolution) RGB; `seed` settles all details."""
    rng = np.random.default_rng(seed)
    return paint(STYLES[artist], _PARTS[subject](), rng, resolution).finish()


@dataclass(frozen=True)
class Painting:
    """The truth about one node."""

    artist: str
    subject: str
    movement: str
    year: int
    museum: str
    series: int
    title: str
    split: str


@dataclass(frozen=True)
class ArtWorld:
    """A graph of paintings; equal arguments give equal graphs and pictures.

    Args:
        seed: settles truth, edges and pictures.
        paintings_per_artist: nodes are twelve times as many.
        noise: share of edges that join paintings of different artists; `NOISE_LEVELS` names three.
        resolution: side of the pictures in pixels.
        series_length: an artist's paintings come in series of this many.
        degree: average number of edges of a node that stay with its artist.
        hint_share: share of titles that hint at the movement.
        test_share: share of the nodes of seen artists that are kept for testing.
    """

    seed: int = 0
    paintings_per_artist: int = 100
    noise: float = NOISE_LEVELS["medium"]
    resolution: int = 64
    series_length: int = 20
    degree: float = 6.0
    hint_share: float = 0.25
    test_share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 <= self.noise < 1:
            raise ValueError(f"noise is a share of all edges, at least 0 and below 1, not {self.noise}")
        if self.seed < 0:
            raise ValueError(f"a seed is 0 or more, not {self.seed}")
        if self.paintings_per_artist < 2:
            raise ValueError("an artist needs at least two paintings")

    def __len__(self) -> int:
        return len(ARTISTS) * self.paintings_per_artist

    @cached_property
    def paintings(self) -> tuple[Painting, ...]:
        """The truth about every node, in the order of the nodes (artists are shuffled)."""
        rng = np.random.default_rng([self.seed, 1])
        order = rng.permutation(len(self))
        splits = {artist: self._splits(artist, rng) for artist in ARTISTS}
        return tuple(
            self._painting(*divmod(int(place), self.paintings_per_artist), splits, rng) for place in order
        )

    def _splits(self, artist: str, rng: np.random.Generator) -> list[str]:
        count = self.paintings_per_artist
        if artist in HELD_OUT_ARTISTS:
            return ["unseen"] * count
        kept = set(rng.permutation(count)[: round(self.test_share * count)].tolist())
        return ["test" if work in kept else "train" for work in range(count)]

    def _painting(
        self, artist: int, work: int, splits: dict[str, list[str]], rng: np.random.Generator
    ) -> Painting:
        name, subject = ARTISTS[artist], SUBJECTS[rng.integers(len(SUBJECTS))]
        movement = movement_of(name)
        hinted = rng.random() < self.hint_share
        return Painting(
            artist=name,
            subject=subject,
            movement=movement,
            year=YEARS[rng.integers(len(YEARS))],
            museum=MUSEUMS[rng.integers(len(MUSEUMS))],
            series=artist * self.paintings_per_artist + work // self.series_length,
            title=(study(movement, subject) if hinted else plain(subject)).text,
            split=splits[name][work],
        )

    def nodes(self) -> NodeTable:
        """Return the paintings: titles as texts, truth as attributes, splits "train", "test" and "unseen"."""
        facts = ("artist", "subject", "movement", "year", "museum", "series")
        return NodeTable(
            ids=[f"painting-{index:06d}" for index in range(len(self))],
            texts=[painting.title for painting in self.paintings],
            pictures=[f"pictures/{index:06d}.png" for index in range(len(self))],
            types=["painting"] * len(self),
            splits=[painting.split for painting in self.paintings],
            attributes={fact: [str(getattr(p, fact)) for p in self.paintings] for fact in facts},
        )

    def edges(self) -> EdgeList:
        """Return undirected edges, each once, source below target, typed by why they exist."""
        columns = {
            name: np.unique([getattr(p, name) for p in self.paintings], return_inverse=True)[1]
            for name in ("artist", "series", "year", "museum")
        }
        links: Links = link_paintings(
            **columns, degree=self.degree, noise=self.noise, rng=np.random.default_rng([self.seed, 2])
        )
        pairs = np.array(list(links), np.int64).reshape(-1, 2)
        return EdgeList(pairs[:, 0], pairs[:, 1], np.ones(len(pairs), np.float32), list(links.values()))

    def draw(self, index: int) -> Image.Image:
        """Draw the picture of a node."""
        painting = self.paintings[index]
        return draw_painting(painting.artist, painting.subject, [self.seed, 3, index], self.resolution)

    def caption(self, index: int, *, named: bool = False) -> str:
        """Return a node's title, or the caption that names its artist too, as the base was trained with."""
        painting = self.paintings[index]
        return f"a {painting.subject} by {painting.artist}" if named else painting.title
