"""Places for the nodes of a drawn graph: forces between them, then room for their labels.

The forces are Fruchterman and Reingold's (1991). Relations that name a direction pull their ends that way, so
that "left of" is drawn to the left. Nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64

from graphcond.scene_graph import Relationship, SceneGraph

DIRECTIONS = {"left of": (-1, 0), "right of": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Direction from the object of a relation to its subject; y points down."""

STEPS, APART_STEPS = 250, 400
GRAVITY = 1.0
"""Pull to the middle; without it parts that are not connected would drift apart."""

DIRECTED = 2.0
"""Weight of directions relative to the other forces."""


def lay_out_graph(
    scene: SceneGraph, sizes: Float64[np.ndarray, "nodes 2"], room: tuple[float, float], gap: float
) -> Float64[np.ndarray, "nodes 2"]:
    """The middle of every node, in pixels from the upper left corner of ``room``.

    Args:
        scene: its objects are the nodes.
        sizes: width and height of each node in pixels.
        room: width and height to fill.
        gap: least distance between nodes, where there is room for it.
    """
    related = {end for relation in scene.relationships for end in (relation.subject, relation.object)}
    alone = [n for n in range(len(scene)) if n not in related]
    others = [n for n in range(len(scene)) if n in related] or alone
    places = np.zeros((len(scene), 2))
    shelf, height = _shelf(sizes, alone if related else [], room, gap)
    for n, place in shelf.items():
        places[n] = place
    if not others:
        return places
    at = {old: new for new, old in enumerate(others)}
    relations = [r._replace(subject=at[r.subject], object=at[r.object]) for r in scene.relationships]
    settled = _settle(len(others), relations)
    # Stretch the places over the room; an axis along which they hardly differ stays near its middle.
    low, high = settled.min(axis=0), settled.max(axis=0)
    longest = max((high - low).max(), 1e-9)
    reach = np.where(high - low > 0.12 * longest, high - low, longest)
    spread = np.asarray((settled - (low + high) / 2) / reach + 0.5)
    lowest, highest = sizes[others] / 2, np.array((room[0], room[1] - height)) - sizes[others] / 2
    middles = lowest + spread * np.maximum(highest - lowest, 0)
    padded = np.add(sizes[others], (gap * 2.4, gap))
    places[others] = _push_apart(middles, padded, lowest, np.maximum(highest, lowest))
    return places


def _shelf(
    sizes: Float64[np.ndarray, "nodes 2"], nodes: list[int], room: tuple[float, float], gap: float
) -> tuple[dict[int, tuple[float, float]], float]:
    """Places in rows at the bottom for nodes without relations, and the height of these rows together."""
    rows: list[list[int]] = []
    for n in nodes:
        filled = sum(sizes[m, 0] + gap / 2 for m in rows[-1]) if rows else 0
        if rows and filled + sizes[n, 0] <= room[0]:
            rows[-1].append(n)
        else:
            rows.append([n])
    places, bottom = {}, room[1]
    for row in reversed(rows):
        tallest = max(sizes[n, 1] for n in row)
        space = (room[0] - sum(sizes[n, 0] for n in row)) / (len(row) + 1)
        x = space
        for n in row:
            places[n] = (float(x + sizes[n, 0] / 2), float(bottom - tallest / 2))
            x += sizes[n, 0] + space
        bottom -= tallest + gap / 3
    return places, room[1] - bottom + (gap if rows else 0)


def _settle(count: int, relations: Sequence[Relationship]) -> Float64[np.ndarray, "nodes 2"]:
    """Let the forces move ``count`` nodes from a circle until they have cooled down."""
    between = [r for r in relations if r.subject != r.object]
    edges = dict.fromkeys((r.subject, r.object) for r in between)  # a repeated relation pulls once
    pairs = np.array(list(edges), np.int64).reshape(-1, 2)
    directed = [r for r in between if r.predicate in DIRECTIONS]
    ends = np.array([(r.subject, r.object) for r in directed], np.int64).reshape(-1, 2)
    wanted = np.array([DIRECTIONS[r.predicate] for r in directed], np.float64).reshape(-1, 2)
    angles = 2 * np.pi * np.arange(count) / count - np.pi / 2
    # Radii that differ a little: on a regular circle opposite forces could cancel.
    radii = 0.5 + 1e-3 * np.arange(count)[:, None]
    places = np.stack([np.cos(angles), np.sin(angles)], axis=1) * radii
    ideal = 1.5 / np.sqrt(count)
    for step in range(STEPS):
        away = places[:, None] - places[None]
        distance = np.maximum(np.linalg.norm(away, axis=-1), 1e-3)
        force = (away * (ideal**2 / distance**2)[..., None]).sum(axis=1) - GRAVITY * places
        if len(pairs):
            along = places[pairs[:, 1]] - places[pairs[:, 0]]
            pull = along * np.linalg.norm(along, axis=1, keepdims=True) / ideal
            np.add.at(force, pairs[:, 0], pull)
            np.add.at(force, pairs[:, 1], -pull)
        if len(ends):
            lacking = DIRECTED * (wanted * 2 * ideal - (places[ends[:, 0]] - places[ends[:, 1]]))
            np.add.at(force, ends[:, 0], lacking)
            np.add.at(force, ends[:, 1], -lacking)
        # Steps shrink as the layout cools, so that it comes to rest.
        length = np.maximum(np.linalg.norm(force, axis=1, keepdims=True), 1e-9)
        heat = 0.1 * (1 - step / STEPS)
        places = places + force / length * np.minimum(length, heat)
    return places


def _push_apart(
    places: Float64[np.ndarray, "nodes 2"],
    sizes: Float64[np.ndarray, "nodes 2"],
    lowest: Float64[np.ndarray, "nodes 2"],
    highest: Float64[np.ndarray, "nodes 2"],
) -> Float64[np.ndarray, "nodes 2"]:
    """Push nodes that overlap apart, along the axis on which they overlap least."""
    need = (sizes[:, None] + sizes[None]) / 2
    np.einsum("iik->ik", need)[:] = 0
    # Nodes in the same place have no direction between them; they part by their order.
    order = np.sign(np.arange(len(places))[:, None] - np.arange(len(places))[None]).astype(np.float64)
    for _ in range(APART_STEPS):
        away = places[:, None] - places[None]
        overlap = need - np.abs(away)
        clash = (overlap > 0.5).all(axis=-1)
        if not clash.any():
            break
        sideways = clash & (overlap[..., 0] < overlap[..., 1])
        mask = np.stack([sideways, clash & ~sideways], axis=-1)
        sign = np.where(away == 0, order[..., None], np.sign(away))
        places = places + np.where(mask, sign * overlap * 0.3, 0).sum(axis=1)
        places = np.clip(places, lowest, highest)
    return places
