"""Inputs of metrics: targets with their truth, and the pictures drawn for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Int64
from PIL import Image

from graphcond.errors import InputError
from graphcond.evaluation.scene_detector import SceneDetector, detect_scenes
from graphcond.features.clip import FeatureExtractor, check_embeddings
from graphcond.scene_graph import SceneGraph


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
            InputError: the detector fails.
        """
        if detector.identity not in self._scenes:
            self._scenes[detector.identity] = detect_scenes(detector, self.pictures, asked)
        return self._scenes[detector.identity]


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
