"""Gathering examples: contexts sampled, pictures and texts encoded, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from graphcond import samplers
from graphcond.bases import StableDiffusionBase
from graphcond.context import NeighborContext
from graphcond.data.contexts import AnySource, GraphContexts, Sampled
from graphcond.data.open import Source, columns_of
from graphcond.errors import InputError
from graphcond.io.array_cache import Arrays, Layout, cached_arrays
from graphcond.io.fingerprint import file_digest, fingerprint, source_version
from graphcond.progress import Progress
from graphcond.recipe import ConditionConfig, Recipe
from graphcond.scene_graph import SceneSet
from graphcond.training.examples import Examples
from graphcond.training.latents import cached_latents, cached_prompts
from graphcond.training.report import Report

BATCH = 256
"""Targets of one call of the sampler."""


def sampled_context(
    config: ConditionConfig,
    source: AnySource,
    targets: Int64[np.ndarray, " n"],
    forbidden: Int64[np.ndarray, " f"],
    progress: Progress | None = None,
) -> Sampled:
    """What a condition's sampler chooses for ``targets``: neighbors from the cache, scenes at once.

    Arguments and errors as `cached_neighbors`.
    """
    if isinstance(source, GraphContexts):
        return cached_neighbors(config, source, targets, forbidden, progress)
    context: Sampled = source.sample(targets)
    return context


def cached_neighbors(
    config: ConditionConfig,
    contexts: GraphContexts,
    targets: Int64[np.ndarray, " n"],
    forbidden: Int64[np.ndarray, " f"],
    progress: Progress | None = None,
) -> NeighborContext:
    """The neighbors that a condition's sampler chooses for ``targets``.

    Sampled anew when the graph, the embeddings, the sampler or what is forbidden changes.

    Raises:
        InputError: the sampler needs what a target lacks, or the cache cannot be written.
    """
    shape = (len(targets), config.sampler.neighbors)
    layouts = {"neighbors": Layout(shape, np.int64), "scores": Layout(shape, np.float32)}
    if contexts.graph.edge_types is not None:
        layouts["relations"] = Layout(shape, np.int16)

    def fill(arrays: Arrays) -> None:
        for start in range(0, len(targets), BATCH):
            found = contexts.sample(targets[start : start + BATCH])
            end = start + len(found.targets)
            for name, array in arrays.items():
                array[start:end] = getattr(found, name)
            if progress is not None:
                progress(end, len(targets))

    what = (*config.sampler.identity(), source_version(samplers))
    key = f"neighbors-{fingerprint(*what, *contexts.identity(), targets, forbidden)}"
    arrays = cached_arrays(key, layouts, fill)
    return NeighborContext(targets, **arrays)


Contexts = Mapping[str, Sampled]
"""The contexts of the same targets, by condition."""


@dataclass(frozen=True)
class Gatherer:
    """Makes examples from targets.

    Args:
        recipe: names samplers and resolution.
        data: where targets lie.
        sources: the data as each condition reads them.
        forbidden: rows that are never neighbors.
        report: shows the stages.
    """

    recipe: Recipe
    data: Source
    sources: Mapping[str, AnySource]
    forbidden: Int64[np.ndarray, " f"]
    report: Report

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read.

        Raises:
            InputError: no picture of the graph is embedded.
        """
        return next(iter(self.sources.values())).feature_width

    def contexts(self, targets: Int64[np.ndarray, " n"], what: str) -> dict[str, Sampled]:
        """The contexts of ``targets`` for each condition."""
        chosen = "scenes" if isinstance(self.data, SceneSet) else "neighbors"
        with self.report.stage(chosen, f"Sampling {chosen} ({what})") as progress:
            return {
                c.name: sampled_context(c, self.sources[c.name], targets, self.forbidden, progress)
                for c in self.recipe.conditions
            }

    def examples(
        self,
        base: StableDiffusionBase,
        targets: Int64[np.ndarray, " n"],
        contexts: Contexts,
        what: str,
        *,
        mirrored: bool = False,
    ) -> Examples:
        """Examples of ``targets`` with their ``contexts``.

        Raises:
            InputError: a picture cannot be read, or its size does not suit the base.
        """
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
        chosen = [part for context in contexts.values() for part in _contents(context)]
        identity = fingerprint(targets, digests, texts, *chosen, *self._relations(contexts))
        return Examples(self.data, targets, latents, prompts, self.sources, contexts, identity)

    def _relations(self, contexts: Contexts) -> list[object]:
        """The relations that encoders read, which are part of what a run is trained on."""
        read = [c for c in self.recipe.conditions if getattr(c.encoder, "relations", False)]
        return [p for c in read for p in (c.encoder.relations, getattr(contexts[c.name], "relations", None))]

    def _texts(self, targets: Int64[np.ndarray, " n"]) -> list[str]:
        texts = columns_of(self.data).texts
        return [texts[target] for target in targets.tolist()]

    def _pictures(self, targets: Int64[np.ndarray, " n"]) -> list[tuple[Path, str]]:
        paths = [self.data.picture_path(target) for target in targets.tolist()]
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


def has_graph(contexts: Contexts) -> Bool[np.ndarray, " n"]:
    """The targets for which some condition has a graph."""
    return np.any([context.has_graph for context in contexts.values()], axis=0)


def taken(contexts: Contexts, rows: Int64[np.ndarray, " m"]) -> Contexts:
    """The contexts of some of the targets."""
    return {name: context.take(rows) for name, context in contexts.items()}


def _contents(context: Sampled) -> list[object]:
    if isinstance(context, NeighborContext):
        return [context.neighbors]
    masks = [scene.masks for scene in context.scenes if scene.masks is not None]
    return [context.scenes, *([np.concatenate(masks)] if masks else [])]
