"""A layer of PyG, or one of your own, as the encoder of a target's neighbors.

Run it after `make demo`, with `pip install 'graphcond[pyg]'`:

    python examples/pyg_encoder.py --module torch_geometric.nn.TransformerConv --steps 200

You see a training run and its graph gap: what the neighbors, read by two such layers, take off the validation
loss. Without `--module` the layer is `GatedSum` below. The same in a recipe:

    encoder: {kind: pyg, module: pyg_encoder.GatedSum, settings: {gate: 0.5}, relations: true}
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_geometric.nn import MessagePassing

from graphcond import load_recipe, train


class GatedSum(MessagePassing):
    """Sums what neighbors say, each as far as its edge lets it through.

    Every layer is made with ``in_channels`` and ``out_channels``, and called with ``x`` and ``edge_index``.
    This one names ``edge_attr`` too, so it gets a vector of that width for each edge, for its relation.

    Args:
        in_channels: width of the nodes and edges.
        out_channels: the same width.
        gate: how open gates are before training, 0 to 1.
    """

    def __init__(self, in_channels: int, out_channels: int, gate: float = 0.9) -> None:
        super().__init__(aggr="add")
        self.said = nn.Linear(in_channels, out_channels)
        self.gate = nn.Linear(in_channels, 1)
        nn.init.constant_(self.gate.bias, torch.tensor(gate).logit().item())

    def forward(self, x: Tensor, edge_index: Tensor, edge_attr: Tensor) -> Tensor:
        """New vectors (p, w) of the nodes."""
        return self.propagate(edge_index, x=self.said(x), gate=self.gate(edge_attr).sigmoid())

    def message(self, x_j: Tensor, gate: Tensor) -> Tensor:
        """What each edge lets through."""
        return x_j * gate


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    encoder = {"kind": "pyg", "module": options.module, "relations": True}
    recipe = load_recipe(
        "instructg2i",
        base="tiny",
        overrides=[
            ("data.path", str(options.graph)),
            ("conditions.neighbors.encoder", encoder),
            ("training.learning_rate", 1e-3),
            ("training.steps", options.steps),
            *options.set,
        ],
    )
    run = train(recipe, out=options.out / "run")
    gap = run.metrics["validation"]["graph_gap"]
    print(f"{options.module}: graph gap {gap:.4f}, model: {run.folder / 'final'}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--module", default="pyg_encoder.GatedSum", help="where the layer is imported from")
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--set", action="append", default=[], help="further settings of the recipe, a.b=c")
    parser.add_argument("--out", type=Path, default=Path("outputs/pyg"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
