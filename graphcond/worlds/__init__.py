"""Procedural pictures whose truth is known; importing this loads no torch (the oracles do)."""

from graphcond.worlds.art import (
    ARTISTS as ARTISTS,
)
from graphcond.worlds.art import (
    HELD_OUT_ARTISTS as HELD_OUT_ARTISTS,
)
from graphcond.worlds.art import (
    MOVEMENTS as MOVEMENTS,
)
from graphcond.worlds.art import (
    NOISE_LEVELS as NOISE_LEVELS,
)
from graphcond.worlds.art import (
    SUBJECTS as SUBJECTS,
)
from graphcond.worlds.art import (
    ArtWorld as ArtWorld,
)
from graphcond.worlds.art import (
    Painting as Painting,
)
from graphcond.worlds.art import (
    draw_painting as draw_painting,
)
from graphcond.worlds.art import (
    movement_of as movement_of,
)
