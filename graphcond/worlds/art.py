"""The art world: a museum graph of procedural paintings whose artist and subject are known.

Twelve artists paint ten subjects. A painting's title names its subject and sometimes hints at the movement,
but never at the artist: only its neighbours show who painted it, and some of its neighbours mislead.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.worlds.captions import plain, study
from graphcond.worlds.links import Links, check_world, join, members
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

SERIES_SHARE = 0.8
YEAR_SHARE = 0.7
HUBS_PER_MUSEUM = 8


def movement_of(artist: str) -> str:
    """Return the movement of an artist."""
    return STYLES[artist].movement


def draw_painting(artist: str, subject: str, seed: int | Sequence[int], resolution: int = 64) -> Image.Image:
    """Draw a painting of a subject by an artist, (resolution, resolution) RGB; `seed` fixes all details."""
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
        seed: determines truth, edges and pictures.
        paintings_per_artist: a twelfth of the number of nodes.
        noise: share of edges between paintings of different artists; `NOISE_LEVELS` names three.
        resolution: side of the pictures in pixels.
        series_length: number of paintings in a series of an artist.
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
        check_world(noise=self.noise, seed=self.seed)
        if self.paintings_per_artist < 2:
            raise ValueError(f"an artist needs at least two paintings, got {self.paintings_per_artist}")

    def __len__(self) -> int:
        return len(ARTISTS) * self.paintings_per_artist

    @cached_property
    def paintings(self) -> tuple[Painting, ...]:
        """The truth about every node, in the order of the nodes (artists are shuffled)."""
        rng = np.random.default_rng([self.seed, 1])
        order = rng.permutation(len(self))
        count = self.paintings_per_artist
        splits = {}
        for artist in ARTISTS:
            if artist in HELD_OUT_ARTISTS:
                splits[artist] = ["unseen"] * count
                continue
            kept = set(rng.permutation(count)[: round(self.test_share * count)].tolist())
            splits[artist] = ["test" if work in kept else "train" for work in range(count)]
        paintings = []
        for place in order:
            number, work = divmod(int(place), count)
            artist, subject = ARTISTS[number], SUBJECTS[rng.integers(len(SUBJECTS))]
            movement = movement_of(artist)
            hinted = rng.random() < self.hint_share
            paintings.append(
                Painting(
                    artist=artist,
                    subject=subject,
                    movement=movement,
                    year=YEARS[rng.integers(len(YEARS))],
                    museum=MUSEUMS[rng.integers(len(MUSEUMS))],
                    series=number * count + work // self.series_length,
                    title=(study(movement, subject) if hinted else plain(subject)).text,
                    split=splits[artist][work],
                )
            )
        return tuple(paintings)

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
        """Return undirected edges, each once, source below target, typed by why they exist.

        True edges stay with an artist; noise joins what has a year or a museum in common.
        """
        artist, series, year, museum = (
            np.unique([getattr(p, name) for p in self.paintings], return_inverse=True)[1]
            for name in ("artist", "series", "year", "museum")
        )
        rng = np.random.default_rng([self.seed, 2])
        links: Links = {}
        true_edges = round(self.degree * len(self) / 2)
        noisy_edges = round(true_edges * self.noise / (1 - self.noise))
        join(links, series, members(series), round(SERIES_SHARE * true_edges), "same_series", rng)
        join(links, artist, members(artist), true_edges, "same_artist", rng)
        goal = len(links) + noisy_edges
        some = len(links) + round(YEAR_SHARE * noisy_edges)
        join(links, year, members(year), some, "same_year", rng, apart=artist)
        # A museum is known for few of its paintings. They become hubs, which PageRank finds again and again.
        hubs = {house: rng.permutation(works)[:HUBS_PER_MUSEUM] for house, works in members(museum).items()}
        join(links, museum, hubs, goal, "same_museum", rng, apart=artist)
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
