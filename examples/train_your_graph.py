"""From your own folder of pictures and links to a trained model and a picture that it draws.

    python examples/train_your_graph.py paintings/ --steps 600

The folder holds pictures and either metadata.jsonl or nodes.csv and edges.csv (docs/formats.md). You see
what is in the graph, a training run, and <out>/drawn.png: a few targets beside what the base draws for
their text alone and what the model draws with their neighbors. It trains on the base inside the package,
64 px; take `base=None` and a GPU for Stable Diffusion 1.5.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphcond import GraphDataset, GraphPipeline, load_recipe, open_graph, save_graph, train
from graphcond.drawing.sheets import contact_sheet
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.graphs import inspect_graph, read_source
from graphcond.io.pictures import open_picture, to_square


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    save_graph(read_source(options.source).graph(), options.out / "graph")
    report = inspect_graph(options.out / "graph")
    print(f"{report.nodes} nodes, {report.edges} edges, {report.isolated} nodes without any edge")

    recipe = load_recipe(
        "instructg2i",
        base="tiny",
        overrides=[f"data.path={options.out / 'graph'}", f"training.steps={options.steps}", *options.set],
    )
    run = train(recipe, out=options.out / "run")

    data = GraphDataset(open_graph(options.out / "graph"))
    contexts = data.views(recipe, forbidden=data.forbidden(*recipe.data.forbidden_splits))
    held_out = data.held_out(recipe.data)
    rows = (held_out if len(held_out) else np.array([run.example]))[:6]
    maker = ModelPictures(GraphPipeline(run.model), contexts, rows, DrawSettings(steps=8))
    truth = [to_square(open_picture(path), 64) for path in map(data.picture_path, rows.tolist()) if path]
    sheet = contact_sheet(
        [truth, maker.make(rows, "no_graph", 0), maker.make(rows, "graph", 0)],
        row_labels=["true picture", "no graph", "graph"],
        column_labels=[data.texts[row] for row in rows.tolist()],
    )
    sheet.save(options.out / "drawn.png")
    print(f"model: {run.folder / 'final'}, pictures: {options.out / 'drawn.png'}")


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--set", action="append", default=[], help="further settings of the recipe, a.b=c")
    parser.add_argument("--out", type=Path, default=Path("outputs/yours"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
