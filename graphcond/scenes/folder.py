"""Scene folders: scenes and their pictures on disk, which appear whole or not at all.

A folder holds ``scenes.json`` (format, version, sizes and checksums), ``scenes.jsonl`` (one scene a line in
the friendly form), ``pictures/`` and, if objects have masks, ``masks.npz``.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from PIL import Image

from graphcond.config import Config
from graphcond.errors import InputError
from graphcond.graphs.from_world import draw_pictures
from graphcond.graphs.store import FileEntry, describe, parse_manifest
from graphcond.io.arrays import load_archive
from graphcond.io.files import atomic_folder, check_replaceable, read_json, write_json
from graphcond.progress import Progress
from graphcond.scene_graph import MASK_SIDE, SceneGraph, SceneSet
from graphcond.scenes.formats.written import read_written, scene_as_dict
from graphcond.scenes.records import Gallery, SceneFormat, SceneInput, SceneSource

MANIFEST, SCENES, MASKS = "scenes.json", "scenes.jsonl", "masks.npz"
REBUILD = "build it again"


class SceneManifest(Config):
    """The content of ``scenes.json``."""

    format: Literal["graphcond scenes"] = "graphcond scenes"
    version: Literal[1] = 1
    scenes: int
    """Number of scenes."""
    files: dict[str, FileEntry]
    """Size and checksum of each file, by name; pictures are not listed."""


@runtime_checkable
class DrawnScenes(Protocol):
    """A world whose scenes and pictures are computed."""

    def scenes(self) -> SceneSet:
        """The scenes; their pictures are paths in the folder to be written."""
        ...

    def draw(self, index: int, /) -> Image.Image:
        """The picture of a scene."""
        ...


def save_scene_world(world: DrawnScenes, folder: Path | str, progress: Progress | None = None) -> SceneSet:
    """Draw ``world`` into a scene folder, pictures included, and open it.

    Args:
        world: the world.
        folder: a new folder, or a scene folder to replace.
        progress: called with the number of pictures drawn and the number of scenes.

    Raises:
        InputError: ``folder`` holds something else.
    """
    folder, scenes = Path(folder), world.scenes()
    check_replaceable(folder, MANIFEST)
    with atomic_folder(folder) as temporary:
        draw_pictures(world.draw, scenes.pictures, temporary, progress)
        _write(scenes, temporary)
    return open_scene_folder(folder)


def open_scene_folder(folder: Path | str) -> SceneSet:
    """Open a scene folder.

    Raises:
        InputError: the folder is missing, cut short, changed, inconsistent or of another version.
    """
    return read_folder(Path(folder)).scene_set()


def read_folder(folder: Path) -> SceneSource:
    """The scenes of a folder; see `open_scene_folder`."""
    place = folder / MANIFEST
    if not place.is_file():
        problem = f"expected a scene folder, but it has no {MANIFEST}"
        raise InputError(problem, place=folder, remedy="check the path")
    manifest = parse_manifest(SceneManifest, read_json(place), place, what="scene folder", remedy=REBUILD)
    for name in (SCENES, MASKS) if MASKS in manifest.files else (SCENES,):
        file, entry = folder / name, manifest.files.get(name)
        if entry is None or not file.is_file():
            raise InputError("the file is missing", place=file, remedy=REBUILD)
        if describe(file) != entry:
            raise InputError("the file was cut short or changed", place=file, remedy=REBUILD)
    source = read_written(SceneInput(folder / SCENES, Gallery(folder)))
    records = source.records
    if len(records) != manifest.scenes:
        raise InputError(f"the files and {MANIFEST} disagree", place=folder, remedy=REBUILD)
    if MASKS not in manifest.files:
        return source
    graphs = _with_masks([record.graph for record in records], folder / MASKS)
    masked = [replace(record, graph=graph) for record, graph in zip(records, graphs, strict=True)]
    return replace(source, records=masked)


def _write(scenes: SceneSet, into: Path) -> None:
    lines = []
    for row, graph in enumerate(scenes.graphs):
        beside = {
            "id": scenes.ids[row],
            "image": scenes.pictures[row],
            "prompt": scenes.texts[row],
            "caption": scenes.captions[row] if scenes.captions is not None else None,
            "split": scenes.splits[row] if scenes.splits is not None else None,
        }
        line = scene_as_dict(graph) | {key: value for key, value in beside.items() if value is not None}
        lines.append(json.dumps(line, ensure_ascii=False))
    (into / SCENES).write_text("\n".join(lines) + "\n", encoding="utf-8")
    names = [SCENES]
    masked = np.array([graph.masks is not None for graph in scenes.graphs], np.bool_)
    if masked.any():
        masks = np.concatenate([graph.masks for graph in scenes.graphs if graph.masks is not None])
        np.savez_compressed(into / MASKS, masks=np.packbits(masks, axis=-1), masked=masked)
        names.append(MASKS)
    files = {name: describe(into / name) for name in names}
    write_json(into / MANIFEST, SceneManifest(scenes=len(scenes), files=files).model_dump())


def _with_masks(graphs: Sequence[SceneGraph], file: Path) -> list[SceneGraph]:
    """The graphs with the masks of a file, which holds those of all objects one after the other."""
    packed, masked = load_archive(file, ("masks", "masked"), what="masks", remedy=REBUILD)
    try:
        masks = np.unpackbits(packed, axis=-1, count=MASK_SIDE).astype(np.bool_)
        lengths = [len(graph) if has else 0 for graph, has in zip(graphs, masked.tolist(), strict=True)]
        parts = np.split(masks.reshape(sum(lengths), MASK_SIDE, MASK_SIDE), np.cumsum(lengths)[:-1])
    except (ValueError, TypeError) as error:  # other shapes
        raise InputError(f"the file cannot be read as masks ({error})", place=file, remedy=REBUILD) from None
    return [
        replace(graph, masks=part) if has else graph
        for graph, part, has in zip(graphs, parts, masked.tolist(), strict=True)
    ]


SCENE_FOLDER = SceneFormat(
    name="folder",
    files=MANIFEST,
    signs=lambda given: (
        (given.path / MANIFEST).is_file()
        or (given.path.name == MANIFEST and isinstance(given.json, dict) and "format" in given.json)
    ),
    read=lambda given: read_folder(given.folder),
    hides=("written", "sg2im", "visual-genome", "coco", "laion-sg"),
)
