"""Graphs in CLIP's space: losses against plain loops, and a game in which each side has its own loss."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from graphcond.encoders import ClipGraph, build_graph_network
from graphcond.errors import InputError
from graphcond.objectives import OBJECTIVES, ClipAlignmentConfig, ClipGanConfig, PretrainBatch
from graphcond.objectives.clip_space import (
    BANDWIDTHS,
    TEMPERATURE,
    clip_loss,
    discriminator_loss,
    generator_loss,
    mmd,
    spread,
)
from graphcond.scene_graph import SceneGraph
from tests.scene_batches import WORD_WIDTH, features_of

SHAPES = ("circle", "square", "star", "tree")


def rows(seed: int, count: int, width: int = 3, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)) + shift


def slow_mmd(one: np.ndarray, other: np.ndarray) -> float:
    both = [*one, *other]
    pairs = [(i, j) for i in range(len(both)) for j in range(len(both)) if i != j]
    distance = {(i, j): float(((both[i] - both[j]) ** 2).sum()) for i, j in pairs}
    ordered = sorted(distance.values())
    median = ordered[(len(ordered) - 1) // 2]

    def mean(places: list[tuple[int, int]]) -> float:
        return float(
            np.mean(
                [np.mean([np.exp(-distance[pair] / (s * median)) for s in BANDWIDTHS]) for pair in places]
            )
        )

    n, m = len(one), len(one) + len(other)
    within = [[(i, j) for i, j in pairs if lo <= min(i, j) and max(i, j) < hi] for lo, hi in ((0, n), (n, m))]
    return mean(within[0]) + mean(within[1]) - 2 * mean([(i, j) for i in range(n) for j in range(n, m)])


@given(n=st.integers(2, 7), m=st.integers(2, 7), seed=st.integers(0, 99), shift=st.floats(-2, 2))
@settings(max_examples=25, deadline=None)
def test_mmd_is_that_of_a_double_loop(n: int, m: int, seed: int, shift: float) -> None:
    one, other = rows(seed, n).double(), rows(seed + 100, m, shift=shift).double()
    assert mmd(one, other).item() == pytest.approx(slow_mmd(one.numpy(), other.numpy()), abs=1e-9)


@given(seed=st.integers(0, 99), scale=st.sampled_from([1e-4, 1.0, 1e3]))
@settings(max_examples=20, deadline=None)
def test_mmd_is_symmetric_and_knows_no_unit(seed: int, scale: float) -> None:
    one, other = rows(seed, 5).double(), rows(seed + 1, 6, shift=1).double()
    assert mmd(one, other).item() == pytest.approx(mmd(other, one).item(), abs=1e-12)
    assert mmd(one * scale, other * scale).item() == pytest.approx(mmd(one, other).item(), rel=1e-6)


def test_mmd_is_unbiased_and_grows_with_the_distance() -> None:
    found = [np.mean([mmd(rows(n, 8), rows(n + 500, 8, shift=s)).item() for n in range(150)]) for s in (0, 1)]
    assert abs(found[0]) < 0.01
    assert found[1] > 0.1


@pytest.mark.parametrize("equal", [False, True])
def test_mmd_has_finite_gradients(equal: bool) -> None:
    one = torch.ones(4, 3, requires_grad=True) if equal else rows(0, 4).requires_grad_()
    loss = mmd(one, torch.ones(5, 3))
    loss.backward()
    assert loss.isfinite()
    assert one.grad.isfinite().all()


def test_mmd_of_too_few_is_zero() -> None:
    one = rows(0, 1).requires_grad_()
    loss = mmd(one, rows(1, 4))
    loss.backward()
    assert loss.item() == 0
    assert bool((one.grad == 0).all())


def test_mmd_is_in_float32_at_least() -> None:
    one, other = rows(0, 6), rows(1, 6, shift=1)
    half = mmd(one.bfloat16(), other.bfloat16())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(mmd(one, other).item(), abs=0.02)


def test_losses_by_hand() -> None:
    graphs, pictures = F.normalize(rows(0, 4), dim=-1), F.normalize(rows(1, 4), dim=-1)
    table = np.exp((graphs @ pictures.T).double().numpy() / TEMPERATURE)
    found = [
        -np.log(table[i, i] / table[i].sum()) - np.log(table[i, i] / table[:, i].sum()) for i in range(4)
    ]
    assert clip_loss(graphs, pictures).item() == pytest.approx(np.mean(found) / 2, rel=1e-4)
    real, made = rows(2, 5)[:, 0], rows(3, 6)[:, 0]
    sure = [1 / (1 + np.exp(-x.double().numpy())) for x in (real, made)]
    by_hand = -np.log(sure[0]).mean() - np.log(1 - sure[1]).mean()
    assert discriminator_loss(real, made).item() == pytest.approx(by_hand, rel=1e-5)
    assert generator_loss(made).item() == pytest.approx(-np.log(sure[1]).mean(), rel=1e-5)
    assert spread(torch.tensor([[0.0, 1.0], [0.0, -1.0]])).item() == pytest.approx(1)


def encoder() -> ClipGraph:
    torch.manual_seed(0)
    network = build_graph_network("triple_gcn", WORD_WIDTH, width=16, layers=2)
    return ClipGraph(network, feature_width=WORD_WIDTH, token_width=8)


def batch() -> PretrainBatch:
    """Pictures know who is left."""
    pairs = [(a, b) for a in SHAPES for b in SHAPES if a != b]
    words = {shape: rows(n, 2, WORD_WIDTH) for n, shape in enumerate(SHAPES)}
    return PretrainBatch(
        features_of([SceneGraph(pair, ((0, "left of", 1),)) for pair in pairs]),
        pictures=torch.stack([words[a][0] + words[b][1] for a, b in pairs]),
    )


def objective(kind: str, **chosen):
    torch.manual_seed(1)
    return OBJECTIVES[kind](**chosen).build(encoder=encoder(), picture_width=WORD_WIDTH)


def trained(kind: str, steps: int, **chosen) -> list[dict[str, float]]:
    """The figures before and after."""
    reader, rule, given_batch = encoder(), objective(kind, **chosen), batch()
    found = [dict(rule(reader, given_batch).figures)]
    optimizer = torch.optim.AdamW([*reader.parameters(), *rule.parameters()], lr=3e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        rule(reader, given_batch).loss.backward()
        optimizer.step()
    return [*found, dict(rule(reader, given_batch).figures)]


@pytest.mark.parametrize("kind", ["clip_gan", "clip_alignment"])
def test_graphs_find_their_pictures(kind: str) -> None:
    before, after = trained(kind, 60)
    assert before["own_of_batch"] < 0.5
    assert after["own_of_batch"] > 0.9
    assert after["mmd"] < before["mmd"]


@pytest.mark.parametrize(("kind", "chosen"), [("clip_gan", {"pair": 0.0}), ("clip_alignment", {"beta": 0.0})])
def test_alone_they_bring_all_graphs_to_all_pictures_and_none_to_its_own(kind: str, chosen) -> None:
    """And graphs do not collapse into one, which deceives a discriminator that sees them one by one."""
    before, after = trained(kind, 160, **chosen)
    assert after["mmd"] < 0.7 * before["mmd"]
    assert after["spread"] > 0.7
    assert after["own_of_batch"] < 0.5


def test_each_side_of_the_game_learns_from_its_own_loss() -> None:
    """The discriminator's gradient is that of its loss alone, and the encoder's that of passing for real."""
    reader, rule, given_batch = encoder(), objective("clip_gan", pair=0), batch()
    rule.train(False)  # or spectral normalization moves on with every call
    rule(reader, given_batch).loss.backward()
    of_game = [p.grad.clone() for p in [*reader.parameters(), *rule.parameters()] if p.grad is not None]
    reader.zero_grad(), rule.zero_grad()
    graphs = F.normalize(reader.embed_scenes(given_batch.context), dim=-1)
    pictures = F.normalize(given_batch.pictures, dim=-1)
    read = [p for p in reader.parameters() if p.requires_grad]
    passing = generator_loss(rule.discriminator(graphs))
    of_encoder = torch.autograd.grad(passing, read, retain_graph=True, allow_unused=True)
    logits = [rule.discriminator(one) for one in (pictures, graphs)]
    of_discriminator = torch.autograd.grad(discriminator_loss(*logits), list(rule.parameters()))
    wanted = [g for g in [*of_encoder, *of_discriminator] if g is not None]
    assert len(of_game) == len(wanted)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(of_game, wanted, strict=True))
    assert all(p.requires_grad for p in rule.parameters())


@pytest.mark.parametrize("kind", ["clip_gan", "clip_alignment"])
def test_a_collapse_is_said(kind: str) -> None:
    class Deaf(nn.Module):
        embedding_width = WORD_WIDTH

        def embed_scenes(self, context):
            return torch.ones(len(context.present), WORD_WIDTH)

    rule = objective(kind)
    said = rule.failure(rule(Deaf(), batch()).figures)
    assert said is not None
    assert "nearly one embedding" in said
    assert rule.failure(rule(encoder(), batch()).figures | {"spread": 0.5}) is None


def test_a_loss_that_is_no_number_names_its_parts() -> None:
    given_batch = batch()
    broken = replace(given_batch, pictures=given_batch.pictures * float("nan"))
    result = objective("clip_gan")(encoder(), broken)
    assert result.fault() == "nan (not finite: discriminator, clip, mmd, spread)"
    assert objective("clip_gan")(encoder(), given_batch).fault() is None


@pytest.mark.parametrize("beta", [-0.1, 1.1, float("nan")])
def test_beta_is_a_share(beta: float) -> None:
    with pytest.raises(ValueError, match="beta"):
        ClipAlignmentConfig(beta=beta)


def test_embeddings_must_be_as_wide_as_those_of_pictures() -> None:
    with pytest.raises(InputError, match=f"width 7.*got {WORD_WIDTH}"):
        ClipGanConfig().build(encoder=encoder(), picture_width=7)
    with pytest.raises(ValueError, match="lacks pictures"):
        objective("clip_gan")(encoder(), replace(batch(), pictures=None))
