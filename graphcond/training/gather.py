"""Gathering examples: neighbors sampled, pictures and texts encoded, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from graphcond.contexts import GraphContexts
from graphcond.errors import InputError
from graphcond.fingerprint import file_digest, fingerprint
from graphcond.models import StableDiffusionBase
from graphcond.recipe import Recipe
from graphcond.training.examples import Examples, taken
from graphcond.training.latents import cached_latents
from graphcond.training.neighborhoods import cached_neighbors
from graphcond.training.prompts import cached_prompts
from graphcond.training.report import Report
from graphcond.types import AttributedGraph, NeighborContext

Neighbors = Mapping[str, NeighborContext]


@dataclass(frozen=True)
class Gatherer:
    """Makes examples from targets.

    Args:
        recipe: names samplers and resolution.
        graph: where targets lie.
        contexts: the graph as each condition reads it.
        forbidden: rows that are never neighbors.
        report: shows the stages.
    """

    recipe: Recipe
    graph: AttributedGraph
    contexts: Mapping[str, GraphContexts]
    forbidden: Int64[np.ndarray, " f"]
    report: Report

    @property
    def feature_width(self) -> int:
        """d, width of the neighbor embeddings.

        Raises:
            InputError: no picture of the graph is embedded.
        """
        return next(iter(self.contexts.values())).feature_width

    def neighbors(self, targets: Int64[np.ndarray, " n"], what: str) -> dict[str, NeighborContext]:
        """The neighbors of ``targets`` for each condition."""
        with self.report.stage("neighbors", f"Sampling neighbors ({what})") as progress:
            return {
                c.name: cached_neighbors(c, self.contexts[c.name], targets, self.forbidden, progress)
                for c in self.recipe.conditions
            }

    def examples(
        self,
        base: StableDiffusionBase,
        neighbors: Neighbors,
        kept: Bool[np.ndarray, " n"],
        what: str,
        *,
        mirrored: bool = False,
    ) -> Examples:
        """Examples of the ``kept`` targets of ``neighbors``.

        Raises:
            InputError: a picture cannot be read, or its size does not suit the base.
        """
        rows = np.flatnonzero(kept)
        chosen = {name: taken(context, rows) for name, context in neighbors.items()}
        targets = next(iter(chosen.values())).targets
        texts, pictures = self._texts(targets), self._pictures(targets)
        with self.report.stage("latents", f"Encoding pictures ({what})") as progress:
            latents = cached_latents(
                base,
                pictures,
                resolution=self._resolution(base),
                mirrored=mirrored,
                progress=progress,
            )
        with self.report.stage("texts", f"Encoding texts ({what})") as progress:
            prompts = cached_prompts(base, texts, progress)
        digests = [digest for _, digest in pictures]
        identity = fingerprint(targets, digests, texts, *(context.neighbors for context in chosen.values()))
        return Examples(targets, latents, prompts, self.contexts, chosen, identity)

    def _texts(self, targets: Int64[np.ndarray, " n"]) -> list[str]:
        return [self.graph.nodes.texts[target] for target in targets.tolist()]

    def _pictures(self, targets: Int64[np.ndarray, " n"]) -> list[tuple[Path, str]]:
        paths = [self.graph.picture_path(target) for target in targets.tolist()]
        return [(path, file_digest(path)) for path in paths if path is not None]

    def _resolution(self, base: StableDiffusionBase) -> int:
        resolution, side = self.recipe.data.resolution, base.pixels_per_latent
        if resolution % side:
            raise InputError(
                f"{resolution} is not a multiple of {side}",
                place="data.resolution",
                remedy=f"use a multiple of {side}",
            )
        return resolution


def has_graph(neighbors: Neighbors) -> Bool[np.ndarray, " n"]:
    """The targets for which some condition has a neighbor."""
    return np.any([context.present.any(axis=1) for context in neighbors.values()], axis=0)
