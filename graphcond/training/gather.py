"""Gathering examples: contexts sampled, pictures and texts encoded, each once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from jaxtyping import Bool, Int64

from graphcond.bases import Base
from graphcond.bases.cut_prompts import note_on_cut
from graphcond.context import NeighborContext
from graphcond.data.contexts import AnySource, Sampled
from graphcond.data.dataset import Dataset
from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.load import Extractors
from graphcond.io.fingerprint import file_digest, fingerprint
from graphcond.recipe import Recipe
from graphcond.recipe.sections import FileFeatures
from graphcond.training.buckets import note_on_buckets, table_of_pictures
from graphcond.training.examples import Examples
from graphcond.training.latents import cached_prompts
from graphcond.training.loss_weights import loss_weights
from graphcond.training.prior import Prior
from graphcond.training.report import Report

Contexts = Mapping[str, Sampled]
"""The contexts of the same targets, by condition."""


@dataclass(frozen=True)
class Gatherer:
    """Makes examples from targets.

    Args:
        recipe: names samplers and resolution.
        data: the dataset of the targets.
        extractors: of the recipe's features.
        sources: the data as each condition reads them.
        forbidden: rows that are never neighbors.
        report: shows the stages.
    """

    recipe: Recipe
    data: Dataset
    extractors: Extractors
    sources: Mapping[str, AnySource]
    forbidden: Int64[np.ndarray, " f"]
    report: Report

    @classmethod
    def of(
        cls, recipe: Recipe, data: Dataset, extractors: Extractors, report: Report, what: str = ""
    ) -> Gatherer:
        """Over ``data``, all of it embedded; ``what`` names the purpose in the report.

        Raises:
            InputError: the features cannot be computed, or a sampler does not read such data.
        """
        forbidden = data.forbidden(*recipe.data.forbidden_splits)
        with report.stage("features", f"Embedding {data.embedded}{what}") as progress:
            sources = data.views(recipe, extractors, forbidden=forbidden, whole=True, progress=progress)
        return cls(recipe, data, extractors, sources, forbidden, report)

    @property
    def feature_width(self) -> int:
        """d, width of the embeddings that encoders read.

        Raises:
            InputError: no picture of the graph is embedded.
        """
        return next(iter(self.sources.values())).feature_width

    def contexts(self, targets: Int64[np.ndarray, " n"], what: str) -> dict[str, Sampled]:
        """The contexts of ``targets`` for each condition."""
        chosen = self.data.chosen
        with self.report.stage(chosen, f"Sampling {chosen} ({what})") as progress:
            return {
                c.name: self.sources[c.name].sample_once(
                    targets, (*c.sampler.identity(), self.forbidden), progress
                )
                for c in self.recipe.conditions
            }

    def examples(
        self,
        base: Base,
        targets: Int64[np.ndarray, " n"],
        contexts: Contexts,
        what: str,
        *,
        mirrored: bool = False,
        prior: Prior = (),
    ) -> Examples:
        """Examples of ``targets`` with their ``contexts``, and further pictures without any.

        Raises:
            InputError: a picture cannot be read, or its size does not suit the base.
        """
        resolution, side = self.recipe.data.resolution, base.facts.pixels_per_latent
        if resolution % side:
            raise InputError(
                f"expected a multiple of {side}, got {resolution}",
                place="data.resolution",
                remedy=f"use a multiple of {side}",
            )
        prompts_of = [self.data.prompts(target) for target in targets.tolist()]
        prompts_of += [(text,) for _, text in prior]
        texts = [text for several in prompts_of for text in several]
        note = note_on_cut(base.cut_prompts(texts), len(set(texts)), base.facts.token_count)
        if note is not None:
            self.report.say(f"note ({what}): {note}")
        paths = [self.data.picture_path(target) for target in targets.tolist()]
        known = [path for path in paths if path is not None] + [path for path, _ in prior]
        pictures = list(zip(known, FeatureCache().digests(known), strict=True))
        weight = self.recipe.training.loss_weight if what == "training" else None
        with self.report.stage("latents", f"Encoding pictures ({what})") as progress:
            table = table_of_pictures(
                base,
                pictures,
                resolution,
                self.recipe.data.buckets,
                mirrored=mirrored,
                training=what == "training",
                framed=weight is not None
                or any(self.sources[c].without_boxes(one) is not None for c, one in contexts.items()),
                progress=progress,
            )
        if table.cut:
            self.report.say(f"note ({what}): {note_on_buckets(table)}")
        with self.report.stage("texts", f"Encoding texts ({what})") as progress:
            prompts = cached_prompts(base, prompts_of, progress)
        digests = [digest for _, digest in pictures]
        chosen = [part for context in contexts.values() for part in context.parts]
        further: list[object] = []
        for condition in self.recipe.conditions:
            if condition.encoder.relations_read():
                neighbors = cast("NeighborContext", contexts[condition.name])
                further += [condition.encoder.relations_read(), neighbors.relations]
            if condition.encoder.structure_read():
                further += [self.sources[condition.name].identity(), condition.encoder.target_text_read()]
        if isinstance(self.recipe.features, FileFeatures):  # the others are named by what they embed
            further.append(file_digest(self.recipe.features.path))
        if table.cut and table.frames is not None:
            further += [part for one in table.frames for part in (one.size, one.regions)]
        identity = fingerprint(targets, digests, texts, *chosen, *further)
        weights = None if weight is None else loss_weights(weight, self.data, targets, table)
        return Examples(self.data, targets, table, prompts, self.sources, contexts, identity, weights)


def has_graph(contexts: Contexts) -> Bool[np.ndarray, " n"]:
    """The targets for which some condition has a graph."""
    return np.any([context.has_graph for context in contexts.values()], axis=0)


def taken(contexts: Contexts, rows: Int64[np.ndarray, " m"]) -> Contexts:
    """The contexts of some of the targets."""
    return {name: context.take(rows) for name, context in contexts.items()}
