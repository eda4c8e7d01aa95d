"""Inputs of metrics: targets with their truth, the pictures drawn for them, and what detectors see there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64
from PIL import Image

from graphcond.errors import InputError
from graphcond.features.clip import FeatureExtractor, check_embeddings
from graphcond.scene_graph import SceneGraph


@runtime_checkable
class SceneDetector(Protocol):
    """Reads scene graphs off pictures; bring your own, such as an open-vocabulary detector.

    Figures of different detectors do not compare.
    """

    @property
    def identity(self) -> str:
        """Name in reports; equal only for detectors that always agree."""

    def detect(self, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]) -> Sequence[SceneGraph]:
        """The scene graph seen in each picture.

        Args:
            pictures: RGB pictures.
            asked: the graph that each picture was made for. It says which words to look for and which
                pairs of objects to relate; the result must not depend on it otherwise.

        Returns:
            one graph for each picture: all objects seen, with attributes and boxes where it knows them, and
            for each pair that ``asked`` relates, the relation seen from its subject to its object.
        """


class PictureSet:
    """Pictures that are looked at once by each network, however many metrics ask.

    Args:
        pictures: RGB pictures.
        redrawn: the same targets drawn again from other noise; each holds as many pictures.

    Raises:
        InputError: a set in ``redrawn`` holds more or fewer pictures.
    """

    def __init__(self, pictures: Sequence[Image.Image], redrawn: Sequence[PictureSet] = ()) -> None:
        self.pictures, self.redrawn = tuple(pictures), tuple(redrawn)
        for other in self.redrawn:
            require_length("redrawn pictures", len(other), len(self))
        self._embeddings: dict[str, Float32[np.ndarray, "n d"]] = {}
        self._scenes: dict[str, list[SceneGraph]] = {}

    def __len__(self) -> int:
        return len(self.pictures)

    def embedded(self, extractor: FeatureExtractor) -> Float32[np.ndarray, "n d"]:
        """The embeddings of all pictures by ``extractor``, not normalized."""
        if extractor.identity not in self._embeddings:
            embeddings = extractor.embed_pictures(self.pictures)
            check_embeddings(embeddings, extractor.identity)
            self._embeddings[extractor.identity] = embeddings
        return self._embeddings[extractor.identity]

    def detected(self, detector: SceneDetector, asked: Sequence[SceneGraph]) -> list[SceneGraph]:
        """The graph that ``detector`` finds in each picture; ``asked`` are the graphs that were drawn.

        Raises:
            InputError: it raises an error, or gives anything but one scene graph for each picture.
        """
        if detector.identity in self._scenes:
            return self._scenes[detector.identity]
        place = f"detector '{detector.identity}'"
        try:
            seen = list(detector.detect(self.pictures, asked))
        except InputError:
            raise
        except Exception as error:
            problem = f"fails: {error or type(error).__name__}"
            raise InputError(problem, place=place, remedy="correct the detector") from error
        if len(seen) != len(self) or not all(isinstance(graph, SceneGraph) for graph in seen):
            raise InputError(
                f"gives {len(seen)} answers for {len(self)} pictures, of which all must be scene graphs",
                place=place,
                remedy="return one SceneGraph for each picture, an empty one where nothing is seen",
            )
        self._scenes[detector.identity] = seen
        return seen


@dataclass(frozen=True)
class Targets:
    """The nodes or scenes to draw, and the known facts about them.

    Args:
        rows: rows of the graph's node table, or of the scene set.
        truths: the true pictures, prepared as the model's training pictures were; an empty set where none
            are known.
        texts: the prompts.
        facts: named facts to be recognized, such as the artist; one value for each row.
        scenes: the scene graph of each picture; empty if targets are not scenes.

    Raises:
        InputError: fewer than two targets, or columns of different lengths.
    """

    rows: Int64[np.ndarray, " n"]
    truths: PictureSet
    texts: Sequence[str]
    facts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    scenes: Sequence[SceneGraph] = ()

    def __post_init__(self) -> None:
        if len(self) < 2:
            raise InputError(
                f"needs at least 2 targets, got {len(self)}", place="evaluation", remedy="raise the limit"
            )
        if len(self.truths):
            require_length("truths", len(self.truths), len(self))
        if len(self.scenes):
            require_length("scene graphs", len(self.scenes), len(self))
        for name, column in {"texts": self.texts, **self.facts}.items():
            require_length(name, len(column), len(self))

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Samples:
    """Pictures made for targets, one for each.

    Raises:
        InputError: more or fewer pictures than targets.
    """

    targets: Targets
    pictures: PictureSet

    def __post_init__(self) -> None:
        require_length("pictures", len(self.pictures), len(self.targets))

    def __len__(self) -> int:
        return len(self.targets)


def require_length(name: str, length: int, targets: int) -> None:
    """Raise an `InputError` unless there is one value for each target."""
    if length != targets:
        raise InputError(
            f"{length} {name} for {targets} targets", place="evaluation", remedy="pass one for each target"
        )
