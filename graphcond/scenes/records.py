"""What every reader returns: scenes one by one, and the pictures that belong to them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graphcond.errors import InputError
from graphcond.io.files import inside
from graphcond.scene_graph import SceneGraph, SceneSet

DUMMY_OBJECT, DUMMY_PREDICATE = "__image__", "__in_image__"
"""What sg2im adds to every scene: an object for the whole picture, and a relation of all others to it."""

PROMPT = "an image"
"""The prompt of scenes that have none: it names nothing, so that the graph must."""


@dataclass(frozen=True)
class SceneRecord:
    """One scene of a source; ``picture`` is relative to the source's folder of pictures."""

    graph: SceneGraph
    id: str
    picture: str | None = None
    prompt: str | None = None
    caption: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class SceneSource:
    """The scenes of a source as its format gives them.

    ``notes`` say what was dropped, is missing or looks wrong, one sentence each.
    """

    records: Sequence[SceneRecord]
    root: Path | None = None
    notes: tuple[str, ...] = ()
    counted: dict[str, int] = field(default_factory=dict)

    def scene_set(self, prompt: str = PROMPT) -> SceneSet:
        """The scenes column by column; ``prompt`` stands where a scene has none."""
        records = self.records
        captions = [record.caption or "" for record in records]
        splits = [record.split or "" for record in records]
        return SceneSet(
            graphs=[record.graph for record in records],
            ids=[record.id for record in records],
            texts=[prompt if record.prompt is None else record.prompt for record in records],
            pictures=[record.picture for record in records],
            captions=captions if any(captions) else None,
            splits=splits if any(splits) else None,
            root=self.root,
        )


class Gallery:
    """A folder of pictures in which readers look names up; what is missing is counted, not refused."""

    def __init__(self, folder: Path, *, place: object = None) -> None:
        if not folder.is_dir():
            raise InputError("is no folder of pictures", place=folder, remedy="check the path")
        self.folder, self.place, self.missing = folder, place, 0

    def find(self, *names: str) -> str | None:
        """The first of ``names`` that is a file, as a path in the folder; None if there is none.

        Raises:
            InputError: a name leaves the folder.
        """
        for name in names:
            clean = inside(self.folder, name, place=self.place)
            try:
                if (self.folder / clean).is_file():
                    return clean
            except OSError:  # a name too long for any file
                continue
        self.missing += 1
        return None

    def notes(self) -> tuple[str, ...]:
        """What to say of pictures that were not found."""
        words = "scene has no picture" if self.missing == 1 else "scenes have no picture"
        return (f"{self.missing} {words} in {self.folder}",) if self.missing else ()


def without_dummies(scene: SceneGraph) -> SceneGraph:
    """``scene`` without sg2im's `DUMMY_OBJECT` and `DUMMY_PREDICATE`."""
    kept = [position for position, label in enumerate(scene.objects) if label != DUMMY_OBJECT]
    relations = [r for r in scene.relationships if r.predicate != DUMMY_PREDICATE]
    if len(kept) == len(scene) and len(relations) == len(scene.relationships):
        return scene
    places = {old: new for new, old in enumerate(kept)}
    return SceneGraph(
        objects=tuple(scene.objects[old] for old in kept),
        relationships=tuple(
            r._replace(subject=places[r.subject], object=places[r.object])
            for r in relations
            if r.subject in places and r.object in places
        ),
        attributes=tuple(scene.attributes_of(old) for old in kept),
        boxes=tuple(scene.box_of(old) for old in kept),
        masks=None if scene.masks is None else scene.masks[kept],
    )
