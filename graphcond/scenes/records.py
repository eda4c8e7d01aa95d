"""The contract of a format of scenes: its record, and the input and the result of its reader."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from graphcond.errors import InputError
from graphcond.io.files import inside, read_json
from graphcond.io.formats import Format
from graphcond.io.readable import check_readable
from graphcond.io.tally import BadRows, Tally
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.scenes.jsonfile import read_lines, rows_of

DUMMY_OBJECT, DUMMY_PREDICATE = "__image__", "__in_image__"
"""sg2im adds to every scene an object for the whole picture, and a relation from each other object to it."""

PROMPT = "an image"
"""The prompt of scenes without one: it names no object, so that pictures depend on the graph."""


@dataclass(frozen=True)
class SceneRecord:
    """One scene of a source; ``picture`` is relative to the source's folder of pictures."""

    graph: SceneGraph
    id: str
    picture: str | None = None
    prompt: str | Sequence[str] | None = None
    caption: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class SceneSource:
    """The scenes of a source as its format gives them.

    ``notes`` are sentences about dropped scenes, and about missing or suspicious data. ``tally`` is completed
    by `graphcond.scenes.load.read_scene_source`.
    """

    records: Sequence[SceneRecord]
    root: Path | None = None
    notes: tuple[str, ...] = ()
    tally: Tally = field(default_factory=Tally)

    @classmethod
    def of(
        cls,
        records: Sequence[SceneRecord],
        gallery: Gallery | None,
        notes: Iterable[str] = (),
        tally: Tally | None = None,
    ) -> SceneSource:
        """The scenes with what the folder of their pictures tells, and further ``notes``."""
        if gallery is None:
            return cls(records, None, tuple(notes), tally or Tally())
        return cls(records, gallery.folder, (*gallery.notes(), *notes), tally or Tally())

    def scene_set(self, prompt: str = PROMPT) -> SceneSet:
        """The scenes as columns, with ``prompt`` for scenes without a prompt."""
        records = self.records
        captions = [record.caption or "" for record in records]
        splits = [record.split or "" for record in records]
        own = [record.prompt if record.prompt is not None else prompt for record in records]
        prompts = [(one,) if isinstance(one, str) else tuple(one) for one in own]
        return SceneSet(
            graphs=[record.graph for record in records],
            ids=[record.id for record in records],
            texts=[first for first, *_ in prompts],
            pictures=[record.picture for record in records],
            captions=captions if any(captions) else None,
            splits=splits if any(splits) else None,
            root=self.root,
            tally=self.tally,
            prompts=prompts if any(len(several) > 1 for several in prompts) else None,
        )


@dataclass(frozen=True)
class SceneInput:
    """A path that may hold scenes, and how to read them.

    JSON is parsed when a format first asks for it, and once.

    Args:
        path: a file or a folder.
        gallery: the folder of pictures; None where the format keeps them beside ``path``, if it does.
        seed: settles the relations of formats that have none.
        keep_unrelated: keep scenes without relations where the format's reference loader drops them.
        bad: what to do with broken scenes; they are errors unless given.
    """

    path: Path
    gallery: Gallery | None = None
    seed: int = 0
    keep_unrelated: bool = True
    bad: BadRows | None = None

    @property
    def folder(self) -> Path:
        """The path, or the folder of the file."""
        return self.path if self.path.is_dir() else self.path.parent

    @cached_property
    def document(self) -> Any:
        """The content of a JSON file.

        Raises:
            InputError: the path is a folder, cannot be read, or is not JSON.
        """
        if self.path.is_dir():
            raise InputError("expected a JSON file, got a folder", place=self.path, remedy="name the file")
        return read_json(self.path)

    @cached_property
    def rows(self) -> list[tuple[str, Any]]:
        """Each scene of a JSON or JSON Lines file: its place for messages, and its value.

        Raises:
            InputError: as `document`.
        """
        if self.path.suffix == ".jsonl":
            return [(f"{self.path}:{number}", row) for number, row in read_lines(self.path)]
        return rows_of(self.document, self.path)

    @property
    def json(self) -> Any:
        """The `document` of a JSON file; None for folders and other files, JSON Lines among them."""
        return self.document if self._is_json and self.path.suffix != ".jsonl" else None

    @property
    def first(self) -> Any:
        """The value of the first scene of a JSON or JSON Lines file; None for folders and other files."""
        return self.rows[0][1] if self._is_json and self.rows else None

    @cached_property
    def _is_json(self) -> bool:
        """Told by the suffix or the first character, so that formats of other files are never parsed."""
        if self.path.is_dir():
            return False
        if self.path.suffix in (".json", ".jsonl"):
            return True
        check_readable(self.path)
        with self.path.open("rb") as file:
            start = file.read(64)
        return start.removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"["))


@dataclass(frozen=True, kw_only=True)
class SceneFormat(Format[SceneInput]):
    """One format that scenes are read from.

    Other packages offer theirs under the entry point ``graphcond.scene_formats``. `SceneInput.json` and
    `SceneInput.first` let ``signs`` look into JSON without parsing it again.

    Args:
        read: the scenes of a path in this format. It raises `InputError` with place and remedy for whatever
            is broken, and changes nothing.
    """

    read: Callable[[SceneInput], SceneSource]


class Gallery:
    """A folder of pictures in which readers look names up; missing pictures are counted, not refused."""

    def __init__(self, folder: Path, *, place: object = None) -> None:
        if not folder.is_dir():
            raise InputError("expected a folder of pictures", place=folder, remedy="check the path")
        self.folder, self.place, self.missing = folder, place, 0

    def find(self, *names: str) -> str | None:
        """The first of ``names`` that is a file, as a path in the folder; None if none of them is.

        Raises:
            InputError: a name leads out of the folder.
        """
        for name in names:
            clean = inside(self.folder, name, place=self.place)
            try:
                if (self.folder / clean).is_file():
                    return clean
            except OSError:  # the name is too long for a file
                continue
        self.missing += 1
        return None

    def notes(self) -> tuple[str, ...]:
        """A sentence about the pictures that were not found, if any."""
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
