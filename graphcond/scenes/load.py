"""From any path that holds scene graphs to the scene graphs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from graphcond.errors import InputError, did_you_mean
from graphcond.io.files import atomic_file
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.scenes.detect import SceneFormat, detect_scenes, read_lines
from graphcond.scenes.folder import open_scene_folder
from graphcond.scenes.formats.captions import read_grounded
from graphcond.scenes.formats.coco import read_coco
from graphcond.scenes.formats.laion import read_laion
from graphcond.scenes.formats.sg2im import read_sg2im
from graphcond.scenes.formats.sgcond import read_sgcond
from graphcond.scenes.formats.visual_genome import read_visual_genome
from graphcond.scenes.formats.written import parse_scene, read_written, scene_as_dict
from graphcond.scenes.jsonfile import read_strict
from graphcond.scenes.records import PROMPT, Gallery, SceneRecord, SceneSource


def read_scene(source: SceneGraph | Mapping[str, Any] | Path | str, index: int | None = None) -> SceneGraph:
    """One scene graph.

    Args:
        source: a file or folder of any format, an object in the friendly form, or a scene graph.
        index: which scene of a file that holds several, counted from 0.

    Raises:
        InputError: nothing readable stands there, what stands there is broken, or it is several scenes and
            none is chosen.
    """
    if isinstance(source, SceneGraph):
        return source
    if isinstance(source, Mapping):
        return parse_scene(dict(source))
    scenes = read_scenes(source)
    if index is None and len(scenes) > 1:
        raise InputError(
            f"holds {len(scenes)} scenes", place=source, remedy=f"choose one from 0 to {len(scenes) - 1}"
        )
    if not 0 <= (index or 0) < len(scenes):
        raise InputError(
            f"there is no scene {index}", place=source, remedy=f"count from 0 to {len(scenes) - 1}"
        )
    return scenes[index or 0]


def read_scenes(path: Path | str) -> list[SceneGraph]:
    """All scene graphs of a file or folder of any format.

    Raises:
        InputError: nothing readable stands there, or what stands there is broken.
    """
    return list(read_scene_source(path).scene_set().graphs)


def load_scene_set(
    source: Path | str,
    *,
    format: str | None = None,
    pictures: Path | str | None = None,
    seed: int = 0,
    prompt: str = PROMPT,
    keep_unrelated: bool = True,
    report: Callable[[str], None] | None = None,
) -> SceneSet:
    """Scenes with their pictures, prompts and splits.

    Args:
        source: a file or folder.
        format: one of `SceneFormat`'s names; told by the content unless given.
        pictures: the folder that pictures are in; otherwise where the format keeps them beside ``source``.
        seed: settles the relations of formats that have none (COCO).
        prompt: of scenes that have none of their own.
        keep_unrelated: keep LAION-SG's entries without relations; its reference loader drops them.
        report: called with each thing that was dropped, is missing or looks wrong, as a sentence.

    Raises:
        InputError: nothing readable stands there, or what stands there is broken.
    """
    read = read_scene_source(
        source, format=format, pictures=pictures, seed=seed, keep_unrelated=keep_unrelated
    )
    if report is not None:
        for note in read.notes:
            report(note)
    return read.scene_set(prompt)


def read_scene_source(
    source: Path | str,
    *,
    format: str | None = None,
    pictures: Path | str | None = None,
    seed: int = 0,
    keep_unrelated: bool = True,
) -> SceneSource:
    """Scenes as their format gives them, with notes on what was dropped; arguments as `load_scene_set`.

    Raises:
        InputError: nothing readable stands there, or what stands there is broken.
    """
    path = Path(source)
    kind, value = detect_scenes(path) if format is None else _as_told(path, format)
    gallery = None if pictures is None else Gallery(Path(pictures))
    read = _read(kind, path, value, gallery, seed, keep_unrelated)
    if not read.records:
        notes = "; ".join(read.notes)
        raise InputError(f"holds no scenes ({notes or 'it is empty'})", place=path, remedy="check the files")
    return read


def write_scene(scene: SceneGraph, path: Path | str) -> None:
    """Write ``scene`` in the friendly form, atomically; masks are left out.

    Raises:
        WriteError: the place refuses, or its disk is full.
    """
    with atomic_file(Path(path)) as temporary:
        temporary.write_text(_friendly(scene), encoding="utf-8")


def _friendly(scene: SceneGraph) -> str:
    """One line for each key, and for each relation and box: short rows that people edit."""
    keys = []
    for key, value in scene_as_dict(scene).items():
        rows = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in value)
        nested = isinstance(value, list) and value and isinstance(value[0], list | None)
        text = f"[\n{rows}\n  ]" if nested else json.dumps(value, ensure_ascii=False)
        keys.append(f"  {json.dumps(key)}: {text}")
    return "{\n" + ",\n".join(keys) + "\n}\n"


def _as_told(path: Path, format: str) -> tuple[SceneFormat, Any]:
    names = [kind.value for kind in SceneFormat]
    if format not in names:
        raise InputError(f"there is no format '{format}'", place="format", remedy=did_you_mean(format, names))
    if path.is_dir() or path.suffix in (".h5", ".hdf5"):
        return SceneFormat(format), None
    return SceneFormat(format), read_lines(path) if path.suffix == ".jsonl" else read_strict(path)


def _read(
    kind: SceneFormat, path: Path, value: Any, gallery: Gallery | None, seed: int, keep_unrelated: bool
) -> SceneSource:
    if kind is SceneFormat.SCENE_FOLDER:
        return _of_folder(path if path.is_dir() else path.parent)
    if kind is SceneFormat.VISUAL_GENOME:
        return read_visual_genome(path if path.is_dir() else path.parent, gallery)
    if kind is SceneFormat.SG2IM:
        return read_sg2im(path, gallery)
    if kind is SceneFormat.COCO:
        return read_coco(path, gallery, seed=seed)
    if kind is SceneFormat.LAION:
        return read_laion(path, gallery, value=value, keep_unrelated=keep_unrelated)
    if path.is_dir():
        raise InputError(f"is a folder, not a file of the format '{kind.value}'", place=path)
    if kind is SceneFormat.SGCOND:
        return read_sgcond(value, path)
    if kind is SceneFormat.GROUNDED:
        return read_grounded(value, path, gallery)
    if path.suffix == ".jsonl":
        value = [row for _, row in value]
    return read_written(value, path, gallery)


def _of_folder(folder: Path) -> SceneSource:
    scenes = open_scene_folder(folder)
    records = [
        SceneRecord(
            graph=graph,
            id=scenes.ids[row],
            picture=scenes.pictures[row],
            prompt=scenes.texts[row],
            caption=scenes.captions[row] if scenes.captions is not None else None,
            split=scenes.splits[row] if scenes.splits is not None else None,
        )
        for row, graph in enumerate(scenes.graphs)
    ]
    return SceneSource(records, scenes.root)
