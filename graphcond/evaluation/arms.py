"""The same targets drawn without graph, with their own, with another's, and without the model's updates."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import torch
from jaxtyping import Int64
from PIL import Image

from graphcond.data.contexts import AnySource, Sampled
from graphcond.errors import Notice, out_of_memory
from graphcond.pipeline import GraphPipeline, graph_arguments
from graphcond.progress import silent

Arm: TypeAlias = Literal["no_graph", "graph", "shuffled_graph", "no_update"]
"""``no_update`` is ``graph`` without the updates of the base, such as a LoRA, that the model has beside its
conditions."""


@dataclass(frozen=True)
class DrawSettings:
    """Settings for drawing; None takes the recipe's scales and mode, and the base's size.

    Args:
        steps: denoising steps.
        text_scale: s_T.
        graph_scale: s_G of every graph.
        mode: ``separate`` or ``joint`` guidance.
        resolution: side of the pictures in pixels.
        negative_prompt: what to keep away from.
        guidance: further settings of guidance, by their names in a recipe.
    """

    steps: int = 50
    text_scale: float | None = None
    graph_scale: float | None = None
    mode: Literal["separate", "joint"] | None = "separate"
    resolution: int | None = None
    negative_prompt: str | None = None
    guidance: Mapping[str, Any] | None = None

    def options(self) -> dict[str, Any]:
        """As arguments of `GraphPipeline`."""
        return {
            "num_inference_steps": self.steps,
            "guidance_scale": self.text_scale,
            "graph_guidance_scale": self.graph_scale,
            "guidance_mode": self.mode,
            "height": self.resolution,
            "width": self.resolution,
            "negative_prompt": self.negative_prompt,
            **{f"guidance_{name}": value for name, value in (self.guidance or {}).items()},
        }


class ModelPictures:
    """Draws the nodes of a graph, or scenes; what `graphcond.evaluation.evaluate` asks for pictures.

    A picture depends on its row, the arm and the seed alone; its noise is the same in every arm. If a batch
    does not fit into memory, it and those after it are halved, and a `Notice` says so.

    Args:
        pipeline: the model.
        contexts: the graph or the scenes as each condition reads them.
        targets: all rows that may be drawn; among them graphs are shuffled.
        settings: how to draw.
        shuffle_seed: decides who gets whose graph.
        sampled: whether the graphs of all targets are sampled now; else those of a batch as it is drawn, and
            there is no ``shuffled_graph``.
    """

    def __init__(
        self,
        pipeline: GraphPipeline,
        contexts: Mapping[str, AnySource],
        targets: Int64[np.ndarray, " n"],
        settings: DrawSettings | None = None,
        *,
        shuffle_seed: int = 0,
        sampled: bool = True,
    ) -> None:
        self.pipeline, self.contexts, self.settings = pipeline, contexts, settings or DrawSettings()
        self._most: int | None = None  # pictures at once, after a batch that did not fit into memory
        texts = next(iter(contexts.values())).texts
        pipeline.warn_of_cut([texts[row] for row in targets.tolist()])  # all at once, not batch by batch
        self._shuffle_seed, self._place = shuffle_seed, dict[int, int]()
        self._chosen: dict[Arm, dict[str, Sampled]] = {}
        if sampled:
            self._sample(targets)

    def _sample(self, targets: Int64[np.ndarray, " n"]) -> None:
        self._place = {row: place for place, row in enumerate(targets.tolist())}
        own = {name: source.sample(targets) for name, source in self.contexts.items()}
        wrong = {
            name: self.contexts[name].shuffled(context, self._shuffle_seed) for name, context in own.items()
        }
        self._chosen = {"graph": own, "no_update": own, "shuffled_graph": wrong}

    def among(self, targets: Int64[np.ndarray, " n"]) -> ModelPictures:
        """Other targets, sampled now, drawn with the same settings."""
        other = copy(self)
        other._sample(targets)
        return other

    def with_settings(self, settings: DrawSettings) -> ModelPictures:
        """The same targets and graphs, drawn with other settings."""
        other = copy(self)
        other.settings = settings
        return other

    def make(self, rows: Int64[np.ndarray, " b"], arm: Arm, seed: int) -> Sequence[Image.Image]:
        """One picture for each row."""
        made: list[Image.Image] = []
        while len(made) < len(rows):
            some = rows[len(made) :][: self._most]
            try:
                made += self._drawn(some, arm, seed)
                continue
            except Exception as error:
                if len(some) == 1 or not out_of_memory(error):
                    raise
            # Not within `except`, where the error still holds the memory of the calls that failed.
            torch.cuda.empty_cache()
            self._most = len(some) // 2
            note = f"{len(some)} pictures at once do not fit into memory; going on with {self._most}"
            warnings.warn(note, Notice, stacklevel=2)
        return made

    def _drawn(self, rows: Int64[np.ndarray, " b"], arm: Arm, seed: int) -> Sequence[Image.Image]:
        texts = next(iter(self.contexts.values())).texts
        graphs = (
            None if arm == "no_graph" else {name: self.features(rows, arm, name) for name in self.contexts}
        )
        pipeline = self._without_updates if arm == "no_update" else self.pipeline
        return pipeline(
            [texts[row] for row in rows.tolist()],
            **graph_arguments(graphs),
            generator=noise_of(rows, seed),
            on_step=silent(arm),
            **self.settings.options(),
        ).images

    @property
    def _without_updates(self) -> GraphPipeline:
        model = copy(self.pipeline.model)
        model.adapters = {}
        pipeline = GraphPipeline(model)
        pipeline.scheduler = self.pipeline.scheduler
        return pipeline

    def context(self, arm: Arm, name: str) -> Any:
        """The contexts of all targets in ``arm``, as the condition ``name`` samples them."""
        return self._chosen[arm][name]

    def features(self, rows: Int64[np.ndarray, " b"], arm: Arm, name: str) -> Any:
        """The contexts of ``rows`` as the encoder of the condition ``name`` reads them."""
        if not self._chosen and arm != "shuffled_graph":
            return self.contexts[name].features(self.contexts[name].sample(rows))
        places = np.array([self._place[row] for row in rows.tolist()], np.int64)
        return self.contexts[name].features(self._chosen[arm][name].take(places))


def noise_of(rows: Int64[np.ndarray, " b"], seed: int) -> list[torch.Generator]:
    """A generator of initial noise for each row, from the row and the seed alone."""
    seeds = [int(np.random.SeedSequence([seed, row]).generate_state(1)[0]) for row in rows.tolist()]
    return [torch.Generator("cpu").manual_seed(one) for one in seeds]
