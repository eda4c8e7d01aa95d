"""The context of every target, sampled once."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int64

from graphcond import samplers
from graphcond.contexts import AnySource, GraphContexts, Sampled
from graphcond.fingerprint import fingerprint, source_version
from graphcond.progress import Progress
from graphcond.recipe import ConditionConfig
from graphcond.training.cache import Arrays, Layout, cached_arrays
from graphcond.types import NeighborContext

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
