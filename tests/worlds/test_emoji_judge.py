"""The judge of emoji: what it tells of real pictures, and that it reads colors and outlines alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from graphcond.worlds import EmojiWorld
from graphcond.worlds.emoji.judge import WEIGHTS, EmojiJudge
from graphcond.worlds.emoji.looks import manner, outlines


@pytest.fixture(scope="module")
def judge() -> EmojiJudge:
    return EmojiJudge.load()


@pytest.fixture(scope="module")
def world() -> EmojiWorld:
    return EmojiWorld()


def pictures(world: EmojiWorld, split: str) -> tuple[Tensor, dict[str, np.ndarray]]:
    nodes = world.nodes()
    rows = [row for row in range(len(world)) if nodes.splits[row] == split]
    bytes_ = np.stack([np.asarray(world.draw(row)) for row in rows])
    facts = {fact: np.array(nodes.attributes[fact])[rows] for fact in ("studio", "subject")}
    return torch.from_numpy(bytes_).permute(0, 3, 1, 2).float() / 127.5 - 1, facts


def test_it_knows_the_world_and_is_small(judge: EmojiJudge, world: EmojiWorld) -> None:
    facts = world.nodes().attributes
    assert set(judge.subjects) == set(facts["subject"])
    assert set(judge.compared) == set(facts["studio"])
    assert set(judge.compared) - set(judge.studios) == {"fxemoji"}
    assert WEIGHTS.stat().st_size < 1_500_000


def test_it_tells_held_out_pictures(judge: EmojiJudge, world: EmojiWorld) -> None:
    pixels, facts = pictures(world, "test")
    told = judge.classify(pixels)
    assert len(pixels) >= 120
    assert np.mean(np.array(judge.studios)[told.studio] == facts["studio"]) >= 0.9
    assert np.mean(np.array(judge.subjects)[told.subject] == facts["subject"]) >= 0.84
    assert np.mean(np.array(judge.compared)[told.nearest] == "fxemoji") <= 0.02


def test_the_unseen_studio_is_nearest_to_itself(judge: EmojiJudge, world: EmojiWorld) -> None:
    pixels, _ = pictures(world, "unseen")
    assert np.mean(np.array(judge.compared)[judge.classify(pixels).nearest] == "fxemoji") >= 0.8


def test_what_it_looks_at_does_not_depend_on_the_batch(world: EmojiWorld) -> None:
    pixels, _ = pictures(world, "val")
    for look in (manner, outlines):
        assert torch.allclose(look(pixels[:3])[1], look(pixels[1:2])[0], atol=1e-5)


def test_an_empty_picture_is_looked_at_too(judge: EmojiJudge) -> None:
    told = judge.classify(torch.ones(1, 3, 64, 64))
    assert 0 <= int(told.studio) < len(judge.studios)
    assert torch.isfinite(judge.features(torch.ones(1, 3, 64, 64))).all()
