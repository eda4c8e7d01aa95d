"""Networks and data that the rows of one process share, each loaded when it is first needed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Generic, TypeVar

import torch

from graphcond.bases import Base
from graphcond.data.dataset import Dataset
from graphcond.data.open import open_data
from graphcond.evaluation import EvaluationProtocol, Networks, OracleReader, SceneDetector
from graphcond.evaluation.metrics.registry import networks_of
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.evaluation.targets import art_oracle
from graphcond.features.load import Extractors
from graphcond.recipe import Recipe
from graphcond.recipe.sections import AnyData, AnyFeatures
from graphcond.sweep.identity import data_identity

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
        """See `graphcond.sweep.identity.data_identity`."""
        key = config.model_dump_json()
        if key not in self._identities:
            self._identities[key] = data_identity(config, self.data(config))
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
