"""The worlds that the demo can show: what differs between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from graphcond.evaluation.metrics.oracle import OracleReader
from graphcond.evaluation.targets import art_oracle
from graphcond.worlds import ArtWorld, EmojiWorld


@dataclass(frozen=True)
class DemoSize:
    """Size of the demo; None trains as many steps as the recipe says."""

    training_steps: int | None = None
    paintings_per_artist: int = 100
    held_out: int = 160
    unseen: int = 60
    swept: int = 60


@dataclass(frozen=True)
class DemoWorld:
    """A world of neighbors as the demo shows it.

    Args:
        base: the kind of the base in the package that draws it.
        maker: the attribute of its nodes that their neighbors tell: artist or studio.
        makers: plural of it.
        things: what its pictures are called.
        build: the world of a seed and a size.
        judge: loads what recognizes the facts ``maker``, ``unseen`` and ``subject`` in a picture.
        unseen: the fact that is asked of pictures by makers that were never targets.
        prompt: the example in the demo's last words.
        title: of the grid.
        subtitle: of the grid.
        settings: overrides of the recipe ``instructg2i``.
        full: size of the demo.
        rows: of the grid.
        scales: s_G of the row of growing scales.
        steps: denoising steps.
        mixes: whether two makers are mixed by two scales.
    """

    base: str
    maker: str
    makers: str
    things: str
    build: Callable[[int, DemoSize], Any]
    judge: Callable[[], OracleReader]
    unseen: str
    prompt: str
    title: str
    subtitle: str
    settings: Sequence[str] = ()
    full: DemoSize = field(default_factory=DemoSize)
    rows: int = 8
    scales: Sequence[float] = (0.0, 0.5, 1.0, 2.0, 4.0)
    steps: int = 8
    mixes: bool = True


def _art(seed: int, size: DemoSize) -> ArtWorld:
    return ArtWorld(seed=seed, paintings_per_artist=size.paintings_per_artist)


def _emoji(seed: int, size: DemoSize) -> EmojiWorld:
    del size  # the pictures are real: there are as many as there are
    return EmojiWorld(seed=seed)


def _emoji_judge() -> OracleReader:
    from graphcond.worlds.emoji.judge import EmojiJudge

    judge = EmojiJudge.load()
    names = {"studio": judge.studios, "nearest": judge.compared, "subject": judge.subjects}
    return OracleReader(judge, names)


WORLDS = MappingProxyType(
    {
        "art": DemoWorld(
            base="tiny",
            maker="artist",
            makers="artists",
            things="paintings",
            build=_art,
            judge=art_oracle,
            unseen="artist",
            prompt="a boat",
            title="A graph decides the style, the prompt decides the subject",
            subtitle="Held-out paintings whose wrong graph is another artist's. The prompt never names the "
            "artist; a tick means that the oracle sees the right artist's style.",
        ),
        "emoji": DemoWorld(
            base="emoji",
            maker="studio",
            makers="studios",
            things="emoji",
            build=_emoji,
            judge=_emoji_judge,
            unseen="nearest",
            prompt="tractor",
            title="The prompt names a subject, the graph tells who draws it",
            subtitle="Emoji that the model never saw from their studio. The prompt is the subject alone; the "
            "wrong graph is another studio's. A tick: the judge sees the right studio.",
            settings=(
                # PageRank alone: the base's CLIP tells subjects better than studios.
                "conditions.neighbors.sampler={kind: ppr}",
                "conditions.neighbors.encoder.tokens_per_neighbor=3",
                "training.learning_rate=1.0e-3",
                "guidance={text: 2.5, graph: {neighbors: 5.0}}",
            ),
            full=DemoSize(held_out=163, unseen=120),
            rows=12,
            scales=(0.0, 1.0, 2.0, 5.0, 8.0),
            steps=12,
            mixes=False,
        ),
    }
)

DEFAULT = "art"
"""The world that is shown unless another is named."""
