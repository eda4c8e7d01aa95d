"""Condition on any embedding of your nodes in place of CLIP's: a graph network's, an audio model's, a user's.

Run it after `make demo`:

    python examples/your_own_embeddings.py --steps 600

It makes an embedding that knows only the graph (the smallest eigenvectors of its Laplacian), saves it as
one array with a row per node, and trains on it. You see a training run and its graph gap: what these
embeddings take off the validation loss. Put your own array in place of `laplacian`.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphcond import AttributedGraph, load_graph, load_recipe, train


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    graph = load_graph(options.graph)
    options.out.mkdir(parents=True, exist_ok=True)
    np.save(options.out / "embedding.npy", laplacian(graph, width=options.width))
    recipe = load_recipe(
        "instructg2i",
        base="tiny",
        overrides=[
            f"data.path={options.graph}",
            f"features={{kind: file, path: {options.out / 'embedding.npy'}}}",
            "conditions.neighbors.sampler.similarity.kind=embedding",
            "conditions.neighbors.encoder.normalize_embeddings=true",
            f"training.steps={options.steps}",
            *options.set,
        ],
    )
    run = train(recipe, out=options.out / "run")
    gap = run.metrics["validation"]["graph_gap"]
    print(f"graph gap {gap:.4f}, model: {run.folder / 'final'}")


def laplacian(graph: AttributedGraph, *, width: int) -> np.ndarray:
    """Where each node lies in the graph: the smoothest functions on it, (nodes, width) in float32."""
    nodes = len(graph)
    adjacency = np.zeros((nodes, nodes))
    for node in range(nodes):
        adjacency[node, graph.neighbors(node)] = 1
    roots = 1 / np.sqrt(np.maximum(adjacency.sum(axis=1), 1))
    _, vectors = np.linalg.eigh(np.eye(nodes) - roots[:, None] * adjacency * roots)
    return vectors[:, 1 : width + 1].astype(np.float32)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], help="further settings of the recipe, a.b=c")
    parser.add_argument("--out", type=Path, default=Path("outputs/embeddings"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
