"""Previews: the same targets and noise, drawn without graph, with the right one and with a wrong one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from graphcond.files import atomic_file
from graphcond.model import GraphModel
from graphcond.pictures import open_picture, to_square
from graphcond.pipeline import GraphPipeline
from graphcond.sheets import contact_sheet
from graphcond.training.examples import Examples
from graphcond.training.randomness import Purpose, generator_of
from graphcond.training.validation import shuffled_neighbors
from graphcond.types import AttributedGraph, NeighborFeatures

COLUMNS = ("true picture", "no graph", "right graph", "shuffled graph")


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
        config = model.recipe.training
        wrong = shuffled_neighbors(self._examples, config.seed)
        model.train(False)
        right, other = (
            self._examples.features(self._rows, model.device, neighbors)
            for neighbors in (self._examples.neighbors, wrong)
        )
        columns = [self._draw(model, neighbors) for neighbors in (None, right, other)]
        model.train()
        sheet = contact_sheet(
            list(zip(self._truth(), *columns, strict=True)), row_labels=self._texts(), column_labels=COLUMNS
        )
        with atomic_file(file) as temporary:
            sheet.save(temporary, "PNG")

    def _draw(self, model: GraphModel, neighbors: dict[str, NeighborFeatures] | None) -> list[Image.Image]:
        config = model.recipe.training
        noise = [generator_of(config.seed, Purpose.PREVIEW, number) for number in range(len(self._rows))]
        return GraphPipeline(model)(
            self._texts(),
            neighbors=neighbors,
            num_inference_steps=config.preview_steps,
            height=self._resolution,
            width=self._resolution,
            generator=noise,
        ).images

    def _texts(self) -> list[str]:
        nodes = self._graph.nodes
        return [nodes.texts[target] for target in self._targets]

    def _truth(self) -> list[Image.Image]:
        paths = [self._graph.picture_path(target) for target in self._targets]
        size = self._resolution
        return [to_square(open_picture(path, longest=2 * size), size) for path in paths if path is not None]

    @property
    def _targets(self) -> list[int]:
        return self._examples.targets[self._rows].tolist()

    @property
    def _graph(self) -> AttributedGraph:
        return next(iter(self._examples.graphs.values())).graph
