"""Procedural pictures whose truth is known; importing this loads no torch (the oracles do)."""

from graphcond.worlds.art import (
    ARTISTS as ARTISTS,
    HELD_OUT_ARTISTS as HELD_OUT_ARTISTS,
    MOVEMENTS as MOVEMENTS,
    NOISE_LEVELS as NOISE_LEVELS,
    SUBJECTS as SUBJECTS,
    ArtWorld as ArtWorld,
    Painting as Painting,
    draw_painting as draw_painting,
    movement_of as movement_of,
)
