"""Previews: the same targets and noise, drawn without graph, with the right one and with a wrong one.

Where the data give boxes and an encoder predicts them, also with the right graph without its boxes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from graphcond.data.contexts import Sampled
from graphcond.drawing.sheets import contact_sheet
from graphcond.io.pictures import write_picture
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
        resolution: side in pixels of pictures that are padded to squares.
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
        truth, columns = self._examples.shown(self._rows, self._resolution), []
        for contexts in ({}, self._examples.contexts, wrong, *([] if hidden is None else [hidden])):
            columns.append(self._drawn(model, texts, truth, contexts))
        train_mode(model)
        if file is None:
            return
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

    def _drawn(
        self,
        model: GraphModel,
        texts: Sequence[str],
        truth: Sequence[Image.Image],
        contexts: Mapping[str, Sampled],
    ) -> list[Image.Image]:
        """A picture for each row, as large as the true one; those of one size are drawn together."""
        drawn: dict[int, Image.Image] = {}
        for width, height in dict.fromkeys(picture.size for picture in truth):
            places = [place for place, picture in enumerate(truth) if picture.size == (width, height)]
            features = self._examples.features(self._rows[places], model.device, contexts)
            config = model.recipe.training
            made = GraphPipeline(model)(
                [texts[place] for place in places],
                **graph_arguments(features),
                num_inference_steps=config.preview_steps,
                height=height,
                width=width,
                generator=[generator_of(config.seed, Purpose.PREVIEW, place) for place in places],
                on_step=silent("previews"),
            )
            drawn |= dict(zip(places, made.images, strict=True))
        return [drawn[place] for place in range(len(truth))]
