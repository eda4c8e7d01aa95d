"""The contract of a detector for scene metrics: it finds the scene graph of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from PIL import Image

from graphcond.errors import InputError
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


def detect_scenes(
    detector: SceneDetector, pictures: Sequence[Image.Image], asked: Sequence[SceneGraph]
) -> list[SceneGraph]:
    """Ask ``detector`` and see that it answers for every picture.

    Raises:
        InputError: it raises an error, or gives anything but one scene graph for each picture.
    """
    try:
        seen = list(detector.detect(pictures, asked))
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"fails: {error or type(error).__name__}",
            place=f"detector '{detector.identity}'",
            remedy="correct the detector",
        ) from error
    if len(seen) != len(pictures) or not all(isinstance(graph, SceneGraph) for graph in seen):
        raise InputError(
            f"gives {len(seen)} answers for {len(pictures)} pictures, of which all must be scene graphs",
            place=f"detector '{detector.identity}'",
            remedy="return one SceneGraph for each picture, an empty one where nothing is seen",
        )
    return seen
