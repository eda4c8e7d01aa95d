"""Procedural pictures whose truth is known, and emoji; importing this loads no torch (the oracles do)."""

from graphcond.worlds.art import ARTISTS as ARTISTS
from graphcond.worlds.art import HELD_OUT_ARTISTS as HELD_OUT_ARTISTS
from graphcond.worlds.art import MOVEMENTS as MOVEMENTS
from graphcond.worlds.art import NOISE_LEVELS as NOISE_LEVELS
from graphcond.worlds.art import SUBJECTS as SUBJECTS
from graphcond.worlds.art import ArtWorld as ArtWorld
from graphcond.worlds.art import Painting as Painting
from graphcond.worlds.art import draw_painting as draw_painting
from graphcond.worlds.art import movement_of as movement_of
from graphcond.worlds.emoji.world import EmojiWorld as EmojiWorld
from graphcond.worlds.scene_captions import ANY_SCENE as ANY_SCENE
from graphcond.worlds.scene_relations import PREDICATES as PREDICATES
from graphcond.worlds.scene_relations import relation_holds as relation_holds
from graphcond.worlds.scenes import SceneWorld as SceneWorld
from graphcond.worlds.scenes import draw_scene as draw_scene
from graphcond.worlds.scenes import swap_pairs as swap_pairs
from graphcond.worlds.shapes import COLORS as COLORS
from graphcond.worlds.shapes import SHAPES as SHAPES

GRAPH_WORLDS = {"art": ArtWorld, "emoji": EmojiWorld}
"""The worlds of neighbors, by name."""
