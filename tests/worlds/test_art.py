"""The art world: determinism, splits, titles and graph."""

import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from graphcond.worlds import (
    ARTISTS,
    HELD_OUT_ARTISTS,
    MOVEMENTS,
    NOISE_LEVELS,
    SUBJECTS,
    ArtWorld,
    draw_painting,
)


@pytest.fixture(scope="module")
def world() -> ArtWorld:
    return ArtWorld()


def artist_rows(world: ArtWorld) -> np.ndarray:
    return np.array([ARTISTS.index(painting.artist) for painting in world.paintings])


def test_importing_worlds_loads_no_torch():
    code = "import sys, graphcond.worlds; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pictures_are_deterministic_and_differ_between_nodes_and_seeds(world):
    first = np.asarray(world.draw(5))
    assert first.shape == (64, 64, 3)
    assert np.array_equal(first, np.asarray(ArtWorld().draw(5)))
    assert not np.array_equal(first, np.asarray(ArtWorld(seed=1).draw(5)))
    same = [i for i, p in enumerate(world.paintings) if p.artist == "zarvo" and p.subject == "star"][:2]
    assert not np.array_equal(*(np.asarray(world.draw(i)) for i in same))


def test_resolution_only_changes_the_size():
    small, large = (draw_painting("quadri", "cat", 3, resolution) for resolution in (32, 64))
    assert small.size == (32, 32)
    difference = np.asarray(large.reduce(2), float) - np.asarray(small, float)
    assert np.abs(difference).mean() < 4


def test_every_artist_is_told_apart_by_mean_color():
    means = [np.mean([np.asarray(draw_painting(a, s, 0)) for s in SUBJECTS], axis=(0, 1, 2)) for a in ARTISTS]
    distances = np.linalg.norm(np.array(means)[:, None] - np.array(means)[None], axis=-1)
    assert distances[~np.eye(len(ARTISTS), dtype=bool)].min() > 8


def test_four_movements_of_three(world):
    pairs = {(p.artist, p.movement) for p in world.paintings}
    assert Counter(movement for _, movement in pairs) == dict.fromkeys(MOVEMENTS, 3)


def test_splits(world):
    splits = Counter(p.split for p in world.paintings)
    assert splits == {"train": 800, "test": 200, "unseen": 200}
    for painting in world.paintings:
        assert (painting.split == "unseen") == (painting.artist in HELD_OUT_ARTISTS)
    tested = Counter(p.artist for p in world.paintings if p.split == "test")
    assert tested == {artist: 20 for artist in ARTISTS if artist not in HELD_OUT_ARTISTS}


def test_titles_name_the_subject_and_never_the_artist(world):
    nodes = world.nodes()
    for title, subject in zip(nodes.texts, nodes.attributes["subject"], strict=True):
        assert subject in title.replace(",", "").split()
        assert not any(artist in title for artist in ARTISTS)
    hinted = [p for p in world.paintings if p.movement in p.title]
    assert 0.2 < len(hinted) / len(world) < 0.3
    assert sum("study" in title for title in nodes.texts) == len(hinted)


def test_caption_may_name_the_artist(world):
    painting = world.paintings[0]
    assert world.caption(0) == painting.title
    assert world.caption(0, named=True) == f"a {painting.subject} by {painting.artist}"


def test_nodes_are_complete(world):
    nodes = world.nodes()
    assert len(set(nodes.ids)) == len(set(nodes.pictures)) == len(nodes.texts) == len(world) == 1200
    assert all(len(column) == len(world) for column in nodes.attributes.values())
    assert set(nodes.attributes) == {"artist", "subject", "movement", "year", "museum", "series"}


def test_edges_have_no_loops_and_no_repeats(world):
    edges = world.edges()
    assert (edges.sources < edges.targets).all()
    assert len(set(zip(edges.sources.tolist(), edges.targets.tolist(), strict=True))) == len(edges.sources)
    assert edges.targets.max() < len(world)


def test_edges_mean_what_their_type_says(world):
    attributes, edges = world.nodes().attributes, world.edges()
    for kind in ("series", "artist", "year", "museum"):
        chosen = [row for row, reason in enumerate(edges.types) if reason == f"same_{kind}"]
        assert chosen
        assert all(
            attributes[kind][edges.sources[row]] == attributes[kind][edges.targets[row]] for row in chosen
        )


@pytest.mark.parametrize("noise", NOISE_LEVELS.values())
def test_noise_is_the_share_of_edges_between_artists(noise):
    world = ArtWorld(noise=noise)
    artist, edges = artist_rows(world), world.edges()
    across = artist[edges.sources] != artist[edges.targets]
    assert across.mean() == pytest.approx(noise, abs=0.005)
    assert set(np.array(edges.types)[across]) == {"same_year", "same_museum"}
    within = np.bincount(
        np.concatenate([edges.sources[~across], edges.targets[~across]]), minlength=len(world)
    )
    assert within.mean() == pytest.approx(6, abs=0.1)
    assert within.min() >= 1


def personalized_pagerank(adjacency: np.ndarray, targets: list[int], alpha: float = 0.15) -> np.ndarray:
    walk = (adjacency / adjacency.sum(1, keepdims=True)).astype(np.float32).T
    start = np.eye(len(adjacency), dtype=np.float32)[:, targets]
    rank = start
    for _ in range(40):
        rank = (1 - alpha) * walk @ rank + alpha * start
    rank[targets, range(len(targets))] = 0
    return rank.T


def same_artist_shares(world: ArtWorld, targets: list[int]) -> dict[str, float]:
    artist, edges = artist_rows(world), world.edges()
    adjacency = np.zeros((len(world), len(world)))
    adjacency[edges.sources, edges.targets] = adjacency[edges.targets, edges.sources] = 1
    shares: dict[str, list[float]] = {"random": [], "khop": [], "ppr": []}
    for target, rank in zip(targets, personalized_pagerank(adjacency, targets), strict=True):
        same = artist == artist[target]
        shares["random"].append((same.sum() - 1) / (len(world) - 1))
        shares["khop"].append(same[adjacency[target] > 0].mean())
        shares["ppr"].append(same[np.argsort(-rank)[:5]].mean())
    return {name: float(np.mean(values)) for name, values in shares.items()}


@pytest.mark.parametrize(("level", "low", "high"), [("easy", 0.8, 0.97), ("medium", 0.6, 0.8)])
def test_pagerank_beats_one_hop_beats_random_without_saturating(level, low, high):
    world = ArtWorld(noise=NOISE_LEVELS[level])
    targets = [i for i, p in enumerate(world.paintings) if p.split == "test"][:60]
    shares = same_artist_shares(world, targets)
    assert shares["random"] < 0.1
    assert shares["random"] + 0.2 < shares["khop"] < shares["ppr"] - 0.05
    assert low < shares["ppr"] < high


@pytest.mark.parametrize("arguments", [{"noise": 1.0}, {"noise": -0.1}, {"paintings_per_artist": 1}])
def test_impossible_worlds_are_refused(arguments):
    with pytest.raises(ValueError, match=r"noise|two paintings"):
        ArtWorld(**arguments)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="0 or more"):
        ArtWorld(seed=-1)
