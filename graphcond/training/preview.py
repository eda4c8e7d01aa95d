"""Previews: the same targets and noise, drawn without graph, with the right one and with a wrong one.

Where the data give boxes and an encoder predicts them, also with the right graph without its boxes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from graphcond.drawing.sheets import contact_sheet
from graphcond.io.pictures import open_picture, to_square, write_picture
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline, graph_arguments
from graphcond.progress import silent
from graphcond.scenes import draw_graph
from graphcond.training.examples import Examples
from graphcond.training.gather import Contexts
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

    def write(self, model: GraphModel, file: Path) -> None:
        """Draw the sheet of ``model`` as it is now."""
        data = self._examples.data
        wrong = shuffled_contexts(self._examples, model.recipe.training.seed)
        hidden = contexts_without_boxes(self._examples, model)
        model.train(False)
        drawn: list[Contexts | None] = [None, self._examples.contexts, wrong]
        columns = [self._draw(model, one) for one in (*drawn, *([] if hidden is None else [hidden]))]
        train_mode(model)
        paths, size = [data.picture_path(target) for target in self._targets], self._resolution
        truth = [to_square(open_picture(path, longest=2 * size), size) for path in paths if path is not None]
        scenes = data.scene_graphs(self._examples.targets[self._rows])
        graphs = [[draw_graph(scene, GRAPH_SIDE) for scene in scenes]] if scenes else []
        sheet = contact_sheet(
            list(zip(*graphs, truth, *columns, strict=True)),
            row_labels=self._texts(),
            column_labels=(
                *([GRAPH_COLUMN] if graphs else []),
                *COLUMNS,
                *([] if hidden is None else [HIDDEN_COLUMN]),
            ),
        )
        write_picture(file, sheet)

    def _draw(self, model: GraphModel, contexts: Contexts | None) -> list[Image.Image]:
        config = model.recipe.training
        examples = self._examples
        features = None if contexts is None else examples.features(self._rows, model.device, contexts)
        noise = [generator_of(config.seed, Purpose.PREVIEW, number) for number in range(len(self._rows))]
        return GraphPipeline(model)(
            self._texts(),
            **graph_arguments(features),
            num_inference_steps=config.preview_steps,
            height=self._resolution,
            width=self._resolution,
            generator=noise,
            on_step=silent("previews"),
        ).images

    def _texts(self) -> list[str]:
        texts = self._examples.data.texts
        return [texts[target] for target in self._targets]

    @property
    def _targets(self) -> list[int]:
        return self._examples.targets[self._rows].tolist()
