"""Two graphs at once, with a scale for each: a square of pictures between two artists.

Run it after `make demo`:

    python examples/mix_two_artists.py --targets painting-000007 painting-000021 --prompt "a star"

You see mixed.png: the neighbors of both paintings, and below the square. Down, the first graph's scale
grows; across, the second's. Top left no graph steers, so the base draws as it likes.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from graphcond import AttributedGraph, GraphDataset, GraphPipeline, load_graph
from graphcond.attributed_graph import ABSENT
from graphcond.drawing.sheets import contact_sheet
from graphcond.io.pictures import open_picture

SCALES = (0.0, 1.0, 2.0, 3.0)


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    pipe = GraphPipeline.from_pretrained(options.model)
    graph = load_graph(options.graph)
    (contexts,) = GraphDataset(graph).views(pipe.model.recipe, pipe.model.extractors).values()
    sampled = [contexts.sample(contexts.rows_of(node)) for node in options.targets]
    graphs = [contexts.features(context) for context in sampled]

    def draw(first: float, second: float) -> Image.Image:
        generator = torch.Generator().manual_seed(options.seed)  # the same noise everywhere
        return pipe(
            options.prompt,
            graphs,
            graph_guidance_scale=[first, second],
            num_inference_steps=options.steps,
            generator=generator,
        ).images[0]

    neighbors = [[picture_of(graph, row) for row in context.neighbors[0][:4].tolist()] for context in sampled]
    square = [[draw(down, across) for across in SCALES] for down in SCALES]
    sheet = contact_sheet(
        [*neighbors, *square],
        row_labels=[*(f"near {node}" for node in options.targets), *(f"first {s:g}" for s in SCALES)],
        title=options.prompt,
        subtitle=f"Two rows of neighbors, then the square; across, the second scale: {SCALES}",
    )
    sheet.save(options.out)
    print(f"look at {options.out}")


def picture_of(graph: AttributedGraph, row: int) -> Image.Image | None:
    """The picture of a node; None where a row of neighbors is padded."""
    path = None if row == ABSENT else graph.picture_path(row)
    return None if path is None else open_picture(path)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--model", default="outputs/demo/model")
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--targets", nargs=2, default=["painting-000007", "painting-000021"])
    parser.add_argument("--prompt", default="a star")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("mixed.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
