from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.training.validation import Validation, ValidationLoss, shuffled_contexts
from tests.training.toys import Toy, prepare_toy, run_toy


def test_the_same_weights_give_the_same_losses_in_batches_of_any_size(
    toy: Toy, toy_graph: AttributedGraph
) -> None:
    found = []
    for batch_size in (1, 2, 2):
        recipe = toy(batch_size=batch_size)
        prepared, accelerator = prepare_toy(recipe, toy_graph)
        validation = Validation(prepared.validation, recipe.training)
        found.append(validation(prepared.model, accelerator))
        assert validation(prepared.model, accelerator) == found[-1]
    assert found[1] == found[2]
    for name in ("graph", "no_graph", "shuffled"):
        assert getattr(found[0], name) == pytest.approx(getattr(found[1], name), rel=1e-5)
    assert found[0].graph_gap == found[0].no_graph - found[0].graph
    assert found[0].shuffled_gap == found[0].shuffled - found[0].graph


def test_a_model_that_reads_its_graph_has_positive_gaps(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path
) -> None:
    recipe = toy(steps=50, batch_size=8, learning_rate=3e-3, validate_every=50, flip=False)
    figures = run_toy(recipe, toy_graph, tmp_path / "run").metrics["validation"]
    assert figures["graph_gap"] > 0.01
    assert figures["shuffled_gap"] > 0


def test_the_gap_in_per_cent_is_resampled_in_pairs() -> None:
    # Losses that differ widely between samples, of each of which the graph takes exactly a quarter.
    no_graph = np.linspace(0.1, 9.0, 40)
    exact = ValidationLoss.of(np.stack([0.75 * no_graph, no_graph, no_graph]))
    assert exact.gap_percent.mean == pytest.approx(25.0)
    assert (exact.gap_percent.low, exact.gap_percent.high) == (pytest.approx(25.0), pytest.approx(25.0))
    assert exact.gap_percent.n == 40

    generator = np.random.default_rng(0)
    useless = ValidationLoss.of(np.stack([no_graph + generator.normal(0, 0.2, 40), no_graph, no_graph]))
    assert useless.gap_percent.low < 0 < useless.gap_percent.high
    assert useless.record()["gap_percent"] == {
        name: getattr(useless.gap_percent, name) for name in ("mean", "low", "high", "n")
    }
    assert 100 * useless.graph_gap / useless.no_graph == pytest.approx(useless.gap_percent.mean)


def test_the_control_gives_nobody_its_own_neighbors(toy: Toy, toy_graph: AttributedGraph) -> None:
    prepared, _ = prepare_toy(toy(), toy_graph)
    (own,) = prepared.train.contexts.values()
    (other,) = shuffled_contexts(prepared.train, 0).values()
    assert np.array_equal(own.targets, other.targets)
    assert not (own.neighbors == other.neighbors).all(axis=1).any()
    assert not (other.neighbors == other.targets[:, None]).any()
