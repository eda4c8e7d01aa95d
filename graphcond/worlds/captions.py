"""Captions of the art world, and the vocabulary that a text encoder of both worlds needs."""

from dataclasses import dataclass

import numpy as np

from graphcond.worlds.styles import STYLES
from graphcond.worlds.subjects import SUBJECTS

SCENE_WORDS = (
    "red green blue yellow purple orange white black "
    "circle square triangle star diamond ring cross heart "
    "left of right of above below inside surrounding bigger than smaller than same colour as "
    "an image a and the small large big tiny touching behind in front of next to on under , ."
)


@dataclass(frozen=True)
class Caption:
    """A sentence and the facts that it states; `None` for those that it does not."""

    text: str
    artist: str | None = None
    subject: str | None = None
    movement: str | None = None

    def fits(self, artist: str, subject: str) -> bool:
        """True if a painting of `subject` by `artist` agrees with all facts stated."""
        told = (self.artist, self.subject, self.movement)
        facts = (artist, subject, STYLES[artist].movement)
        return all(word is None or word == fact for word, fact in zip(told, facts, strict=True))


def named(artist: str, subject: str) -> Caption:
    """Return "a star by zarvo"."""
    return Caption(f"a {subject} by {artist}", artist=artist, subject=subject)


def plain(subject: str) -> Caption:
    """Return "a star"."""
    return Caption(f"a {subject}", subject=subject)


def by(artist: str) -> Caption:
    """Return "a painting by zarvo"."""
    return Caption(f"a painting by {artist}", artist=artist)


def study(movement: str, subject: str) -> Caption:
    """Return "a star, solar study"."""
    return Caption(f"a {subject}, {movement} study", subject=subject, movement=movement)


def caption_kinds(artist: str, subject: str) -> list[Caption]:
    """Return every caption of a painting: named, plain, by, study, empty."""
    movement = STYLES[artist].movement
    return [named(artist, subject), plain(subject), by(artist), study(movement, subject), Caption("")]


def draw_caption(artist: str, subject: str, shares: list[float], rng: np.random.Generator) -> Caption:
    """Draw one of `caption_kinds` with the given probabilities."""
    kinds = caption_kinds(artist, subject)
    return kinds[rng.choice(len(kinds), p=shares)]


def vocabulary() -> list[str]:
    """Return every word of both worlds, sorted."""
    sentences = [c.text for artist in STYLES for subject in SUBJECTS for c in caption_kinds(artist, subject)]
    words = " ".join([*sentences, SCENE_WORDS]).replace(",", " , ").split()
    return sorted(set(words))
