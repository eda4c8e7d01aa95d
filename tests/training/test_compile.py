from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from graphcond.attributed_graph import AttributedGraph
from graphcond.training import device
from tests.training.toys import Toy, run_toy, trained_weights
from tests.typecheck import unchecked


@pytest.fixture(autouse=True)
def _traced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Trace everything, without the checks of shapes, and generate no code, which takes minutes."""
    monkeypatch.setattr(device, "BACKEND", "eager")
    torch.compiler.reset()
    with unchecked():
        yield


def test_a_compiled_training_ends_as_another(
    toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"validate_every": 1, "preview_every": 1, "steps": 3, "batch_size": 6}
    drop = {"text": 0.1, "graph": 0.3, "both": 0.1}  # so passes have different numbers of samples
    plain = run_toy(toy(**settings, drop=drop), toy_graph, tmp_path / "plain")
    graphs: list[int] = []
    reset = torch.compiler.reset

    def counted() -> None:
        graphs.append(torch._dynamo.utils.counters["stats"]["unique_graphs"])
        reset()

    torch._dynamo.utils.counters.clear()
    monkeypatch.setattr(torch.compiler, "reset", counted)
    run = run_toy(toy(**settings, drop=drop, compile=True), toy_graph, tmp_path / "compiled")
    # The check that torch compiles; the denoiser for a first number of samples, and for any. No validation.
    assert graphs == [3]
    assert run.model.base.unet is run.model.base.denoiser
    wanted = trained_weights(plain)
    for name, found in trained_weights(run).items():
        torch.testing.assert_close(found, wanted[name], atol=1e-5, rtol=1e-4)
    assert run.metrics["validation"]["loss"] == pytest.approx(plain.metrics["validation"]["loss"], rel=1e-4)
