"""Previews: the same targets and noise, drawn without graph, with the right one and with a wrong one.

Where the data give boxes and an encoder predicts them, also with the right graph without its boxes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphcond.drawing.sheets import contact_sheet
from graphcond.io.pictures import open_square, write_picture
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline, graph_arguments
from graphcond.progress import silent
from graphcond.scenes import draw_graph
from graphcond.training.examples import Examples
from graphcond.training.randomness import Purpose, generator_of
from graphcond.training.state import train_mode
from graphcond.training.validation import contexts_without_boxes, shuffled_contexts

COLUMNS = ("true picture", "no graph", "right graph", "shuffled graph")
GRAPH_COLUMN = "scene graph"
"""Stands before the others where a graph can be drawn."""
HIDDEN_COLUMN = "right graph, boxes hidden"
"""Stands behind the others where boxes can be hidden."""

GRAPH_SIDE = 256
"""Side of a drawn graph in pixels."""


class Previews:
    """Draws contact sheets of the same targets.

    Args:
        examples: among them graphs are shuffled; the first ones are drawn.
        count: how many to draw at most.
        resolution: side of the pictures in pixels.
    """

    def __init__(self, examples: Examples, count: int, resolution: int) -> None:
        self._examples, self._resolution = examples, resolution
        self._rows = np.arange(min(count, len(examples)))

    def write(self, model: GraphModel, file: Path | None) -> None:
        """Draw the sheet of ``model`` as it is now; None writes nothing, since another process does."""
        data, config = self._examples.data, model.recipe.training
        targets = self._examples.targets[self._rows].tolist()
        texts = [data.texts[target] for target in targets]
        wrong = shuffled_contexts(self._examples, config.seed)
        hidden = contexts_without_boxes(self._examples, model)
        model.train(False)
        noise, columns = range(len(self._rows)), []
        for contexts in ({}, self._examples.contexts, wrong, *([] if hidden is None else [hidden])):
            drawn = GraphPipeline(model)(
                texts,
                **graph_arguments(self._examples.features(self._rows, model.device, contexts)),
                num_inference_steps=config.preview_steps,
                height=self._resolution,
                width=self._resolution,
                generator=[generator_of(config.seed, Purpose.PREVIEW, number) for number in noise],
                on_step=silent("previews"),
            )
            columns.append(drawn.images)
        train_mode(model)
        if file is None:
            return
        paths = [data.picture_path(target) for target in targets]
        truth = [open_square(path, self._resolution) for path in paths if path is not None]
        scenes = data.scene_graphs(self._examples.targets[self._rows])
        graphs = [[draw_graph(scene, GRAPH_SIDE) for scene in scenes]] if scenes else []
        sheet = contact_sheet(
            list(zip(*graphs, truth, *columns, strict=True)),
            row_labels=texts,
            column_labels=(
                *([GRAPH_COLUMN] if graphs else []),
                *COLUMNS,
                *([] if hidden is None else [HIDDEN_COLUMN]),
            ),
        )
        write_picture(file, sheet)
