"""A graph of plain pictures and a recipe small enough to train in a moment."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from accelerate import Accelerator
from PIL import Image
from rich.console import Console

from graphcond.attributed_graph import AttributedGraph, EdgeList, NodeTable
from graphcond.data.dataset import as_dataset
from graphcond.graphs import build_graph
from graphcond.recipe import Recipe, parse_recipe
from graphcond.training import TrainedRun, train
from graphcond.training.device import build_accelerator
from graphcond.training.prepare import Prepared, prepare
from graphcond.training.report import Report

COLORS = ((200, 40, 40), (40, 60, 200))
SECTIONS = ("lora", "adapters", "conditions", "data", "base", "features", "stages", "guidance", "start_from")
NODES, TEST_NODES = 14, 3
"""The last nodes are held out, so 11 are trained on, which no even batch divides."""


def write_graph(folder: Path, *, splits: bool = True) -> AttributedGraph:
    """Two colors of paintings; each node is joined to the two before and after it of its own color."""
    for node in range(NODES):
        _picture(node).save(_made(folder / f"{node:02d}.png"))
    nodes = NodeTable(
        ids=[f"node-{node}" for node in range(NODES)],
        texts=[("a star", "a fish", "a cup")[node % 3] for node in range(NODES)],
        pictures=[f"{node:02d}.png" for node in range(NODES)],
        splits=["test" if node >= NODES - TEST_NODES else "train" for node in range(NODES)]
        if splits
        else None,
    )
    pairs = np.array([(a, a + step) for a in range(NODES) for step in (2, 4) if a + step < NODES], np.int64)
    edges = EdgeList(pairs[:, 0], pairs[:, 1])
    return build_graph(nodes, edges, root=folder)


def toy_recipe(sd_folder: Path, clip_folder: Path, **changes: Any) -> Recipe:
    """InstructG2I on random networks; ``changes`` are ``training`` settings, or sections by name."""
    sections = {name: changes.pop(name) for name in SECTIONS if name in changes}
    training = {
        "steps": 3,
        "batch_size": 4,
        "learning_rate": 1e-3,
        "validation_samples": 4,
        "previews": 2,
        "preview_steps": 1,
        "log_every": 1,
        "validate_every": None,
        "preview_every": None,
        "checkpoint_every": None,
    }
    values = {
        "name": "toy",
        "base": {"kind": "stable_diffusion", "model": str(sd_folder)},
        "data": {"kind": "mmag", "resolution": 64},
        "features": {"kind": "clip", "model": str(clip_folder)},
        "conditions": [toy_condition()],
        "training": training | changes,
    }
    return parse_recipe(values | sections)


Toy: TypeAlias = Callable[..., Recipe]
"""`toy_recipe` on the folders of random networks: the fixture ``toy``."""


def toy_condition(name: str = "neighbors", without_graph: str = "absent") -> dict[str, Any]:
    """A condition of a recipe."""
    return {
        "name": name,
        "sampler": {"kind": "khop", "neighbors": 3},
        "encoder": {"kind": "graph_qformer", "zero_start": False},
        "injector": {"kind": "prompt_tokens"},
        "without_graph": without_graph,
    }


def quiet() -> Console:
    """A console that nobody sees."""
    return Console(file=StringIO())


def run_toy(recipe: Recipe, graph: AttributedGraph, out: Path | None = None, **options: Any) -> TrainedRun:
    """Train quietly on the CPU."""
    return train(recipe, graph=graph, out=out, device="cpu", console=quiet(), **options)


class LastTwo(torch.optim.SGD):
    """Gradient descent that is used at the mean of its last two points, with numbers for each group."""

    def __init__(self, params: Any, lr: float = 0.1, weight_decay: float = 0.0) -> None:
        super().__init__(params, lr=lr, weight_decay=weight_decay)
        self.defaults |= {"steps": 0, "training": False}
        for group in self.param_groups:
            group |= {"steps": 0, "training": False}

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Remember where it is, and go on."""
        for group in self.param_groups:
            assert group["training"]
            group["steps"] += 1
            for parameter in group["params"]:
                if parameter.grad is not None:
                    self.state[parameter] |= {"before": parameter.clone(), "count": group["steps"]}
                    parameter.sub_(parameter.grad, alpha=group["lr"] / group["steps"])

    def train(self) -> None:
        """The newest point."""
        self._switch(True, 2.0)

    def eval(self) -> None:
        """The mean."""
        self._switch(False, 0.5)

    @torch.no_grad()
    def _switch(self, training: bool, weight: float) -> None:
        for group in self.param_groups:
            if group["training"] != training:
                group["training"] = training
                for parameter in group["params"]:
                    if "before" in self.state[parameter]:
                        parameter.copy_(torch.lerp(self.state[parameter]["before"], parameter, weight))


def prepare_toy(recipe: Recipe, graph: AttributedGraph) -> tuple[Prepared, Accelerator]:
    """What a trainer starts from."""
    accelerator = build_accelerator(recipe.training, "cpu")
    return prepare(recipe, torch.device("cpu"), Report(quiet()), data=as_dataset(graph)), accelerator


def trained_weights(run: TrainedRun) -> dict[str, torch.Tensor]:
    """All trained weights, by group and name."""
    groups = run.model.trainable_parameters()
    return {f"{name}/{key}": p.detach().clone() for name, group in groups.items() for key, p in group.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Whether all tensors are equal bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def _picture(node: int) -> Image.Image:
    noise = np.random.default_rng(node).integers(-30, 30, (64, 64, 3))
    return Image.fromarray((np.array(COLORS[node % 2]) + noise).clip(0, 255).astype(np.uint8))


def _made(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    return file
