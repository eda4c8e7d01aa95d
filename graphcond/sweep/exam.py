"""What the scores of a row look at: its data, its model and pictures, and the networks that rows share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Int64

from graphcond import worlds
from graphcond.bases import Base
from graphcond.data.contexts import AnySource
from graphcond.data.dataset import Dataset
from graphcond.data.open import open_data
from graphcond.errors import InputError
from graphcond.evaluation import (
    Arm,
    EvaluationProtocol,
    Networks,
    OracleReader,
    PictureSet,
    SceneDetector,
    Targets,
    make_pictures,
)
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.evaluation.metrics.registry import networks_of
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.evaluation.targets import art_oracle
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.load import Extractors
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import Recipe
from graphcond.recipe.sections import AnyData, AnyFeatures
from graphcond.samplers.neighbor_file import graph_identity

BATCH = 40

Rows = Int64[np.ndarray, " n"]

Thing = TypeVar("Thing")


class Shelf(Generic[Thing]):
    """The things that were used last, by key; no more than ``most``, so that memory stays bounded."""

    def __init__(self, most: int) -> None:
        self._most, self._things = most, OrderedDict[Hashable, Thing]()

    def get(self, key: Hashable, make: Callable[[], Thing]) -> Thing:
        """The thing under ``key``, made if it is not there."""
        if key not in self._things:
            while len(self._things) >= self._most:
                self._things.popitem(last=False)
            self._things[key] = make()
        self._things.move_to_end(key)
        return self._things[key]

    def remove(self, key: Hashable) -> None:
        """Forget a thing."""
        self._things.pop(key, None)


class Shared:
    """Loads what rows need, and keeps it for the rows after them.

    Args:
        device: where networks run.
        detector: reads scene graphs off pictures; the scene world's oracle unless given.
        turns: a file; processes that name the same one fill the caches one after the other.
    """

    def __init__(
        self, device: torch.device, *, detector: SceneDetector | None = None, turns: Path | None = None
    ) -> None:
        self.device, self._detector, self.turns = device, detector, turns
        self._bases, self._data = Shelf[Base](1), Shelf[Dataset](2)
        self._identities: dict[str, str] = {}
        self._extractors, self._networks = Shelf[Extractors](2), Shelf[Networks](2)

    def data(self, config: AnyData) -> Dataset:
        """The dataset of a recipe.

        Raises:
            InputError: as `open_data`.
        """
        return self._data.get(config.model_dump_json(), lambda: open_data(config))

    def data_identity(self, config: AnyData) -> str:
        """A name that changes with the content of the dataset of a recipe."""
        key = config.model_dump_json()
        if key not in self._identities:
            if config.kind == "world":
                self._identities[key] = fingerprint(key, source_version(worlds))
            else:
                data = self.data(config)
                paths = (data.picture_path(row) for row in range(len(data)))
                columns = data.columns
                self._identities[key] = fingerprint(
                    config.model_dump_json(exclude={"path", "pictures"}),
                    *map(list, (columns.ids, columns.texts, columns.pictures, columns.splits or ())),
                    data.scenes.graphs if config.has_scenes else graph_identity(data.graph),
                    *FeatureCache().digests([path for path in paths if path is not None and path.is_file()]),
                )
        return self._identities[key]

    def extractors(self, features: AnyFeatures) -> Extractors:
        """The networks of a recipe's features."""
        return self._extractors.get(features.model_dump_json(), lambda: Extractors(features, self.device))

    @contextmanager
    def base(self, recipe: Recipe) -> Iterator[Base]:
        """The base of a recipe without any injector; the block takes its own out again.

        A base in which something failed is not used again.
        """
        key = recipe.base.model_dump_json()
        base = self._bases.get(key, lambda: recipe.base.build(device=self.device))
        try:
            yield base
        except BaseException:
            self._bases.remove(key)
            raise

    def networks(
        self, protocol: EvaluationProtocol, metrics: tuple[str, ...], features: AnyFeatures
    ) -> Networks:
        """The networks that metrics look through.

        Raises:
            InputError: a metric does not exist, or a network cannot be loaded.
        """
        needed = networks_of(metrics)
        key = (protocol.clip, protocol.dino, protocol.distribution, needed, features.model_dump_json())
        return self._networks.get(
            key,
            lambda: protocol.load_networks(
                device=self.device,
                oracle=self.oracle if "oracle" in needed else None,
                detector=self.detector if "detector" in needed else None,
                metrics=metrics,
                extractors=self.extractors(features),
            ),
        )

    @cached_property
    def oracle(self) -> OracleReader:
        """The art world's oracle."""
        return art_oracle()

    @cached_property
    def detector(self) -> SceneDetector:
        """Reads scene graphs off pictures."""
        return self._detector or OracleDetector.load()


@dataclass(frozen=True)
class Exam:
    """A row as its scores see it.

    Args:
        recipe: of the row.
        data: its dataset.
        shared: networks of this process.
        seed: of targets, noise and intervals.
        examples: number of pictures for the sheet.
        trained: the pipeline of its model; None where no score draws.
    """

    recipe: Recipe
    data: Dataset
    shared: Shared
    seed: int
    examples: int = 0
    trained: GraphPipeline | None = None
    _makers: dict[str, ModelPictures] = field(default_factory=dict, repr=False)
    _drawn: dict[str, PictureSet] = field(default_factory=dict, repr=False)

    @property
    def pipe(self) -> GraphPipeline:
        """The pipeline of the row's model.

        Raises:
            InputError: the row has none.
        """
        if self.trained is None:
            raise InputError("a score draws, and the row has no model", place="scores", remedy="name a model")
        return self.trained

    def rows(self, split: str | None, limit: int | None) -> Rows:
        """Targets, ascending, chosen at random: of a split, or those that nothing was trained or chosen by.

        Raises:
            InputError: there is no such split, or nothing is held out.
        """
        found = self.data.examined(self.recipe.data) if split is None else self.data.evaluated(split)
        if len(found) < 2:
            raise InputError(
                f"expected two held-out targets or more, got {len(found)}",
                place="data",
                remedy="give the data a test split, or name a split in the score",
            )
        return np.sort(np.random.default_rng(self.seed).permutation(found)[:limit])

    def forbidden(self, split: str | None) -> Rows:
        """The rows that are never neighbors: those of the forbidden splits and of the targets' own."""
        own = () if split is None else (split,)
        return self.data.forbidden(*own, *self.recipe.data.forbidden_splits)

    def views(self, split: str | None, *, boxes: bool = True) -> Mapping[str, AnySource]:
        """The data as each condition of the row reads them."""
        data = self.data if boxes else self.data.without_boxes()
        extractors = self.shared.extractors(self.recipe.features)
        return data.views(self.recipe, extractors, forbidden=self.forbidden(split))

    def pictures(
        self,
        targets: Targets,
        arm: Arm,
        settings: DrawSettings,
        *,
        among: Rows,
        split: str | None = None,
        boxes: bool = True,
        draw: int = 0,
    ) -> PictureSet:
        """The pictures of targets in an arm, drawn once however many scores look at them.

        Args:
            targets: the targets.
            arm: the arm.
            settings: how to draw.
            among: all rows that the score draws; graphs are shuffled among them.
            split: their split.
            boxes: whether the model is shown the boxes of scenes.
            draw: number of the draw; each has noise of its own.
        """
        maker = fingerprint(settings, among, split, boxes)
        if maker not in self._makers:
            views = self.views(split, boxes=boxes)
            self._makers[maker] = ModelPictures(self.pipe, views, among, settings, shuffle_seed=self.seed)
        key = fingerprint(maker, targets.rows, arm, draw)
        if key not in self._drawn:
            self._drawn[key] = make_pictures(
                self._makers[maker], targets, arms=[arm], seed=self.seed + draw, batch_size=BATCH
            )[arm]
        return self._drawn[key]


def first_targets(targets: Targets, count: int) -> Targets:
    """The first ``count`` targets."""
    return replace(
        targets,
        rows=targets.rows[:count],
        truths=PictureSet(targets.truths.pictures[:count]),
        texts=targets.texts[:count],
        facts={name: column[:count] for name, column in targets.facts.items()},
        scenes=targets.scenes[:count],
    )
