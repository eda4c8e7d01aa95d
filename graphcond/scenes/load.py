"""Loads scene graphs from a file or folder of any format."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from graphcond.errors import InputError, did_you_mean
from graphcond.io.files import atomic_file
from graphcond.io.formats import find_format, formats_by_name
from graphcond.io.tally import BadRows, Tally
from graphcond.scene_graph import SceneGraph, SceneSet
from graphcond.scenes.folder import SCENE_FOLDER
from graphcond.scenes.formats.captions import GROUNDED
from graphcond.scenes.formats.coco import COCO
from graphcond.scenes.formats.laion import LAION
from graphcond.scenes.formats.layout_prompts import LAYOUT_PROMPTS
from graphcond.scenes.formats.sg2im import SG2IM
from graphcond.scenes.formats.sgcond import SGCOND
from graphcond.scenes.formats.visual_genome import VISUAL_GENOME
from graphcond.scenes.formats.written import WRITTEN, parse_scene, scene_as_dict
from graphcond.scenes.records import PROMPT, Gallery, SceneFormat, SceneInput, SceneSource

FORMATS: tuple[SceneFormat, ...] = (
    SCENE_FOLDER,
    WRITTEN,
    GROUNDED,
    SGCOND,
    LAION,
    VISUAL_GENOME,
    SG2IM,
    COCO,
    *LAYOUT_PROMPTS,
)
"""The formats of this package; other packages add theirs at the entry point ``graphcond.scene_formats``."""


def scene_formats() -> dict[str, SceneFormat]:
    """Every format that scenes are read from, by name, those of other packages last.

    Raises:
        InputError: as `graphcond.config.registered`.
    """
    return formats_by_name(FORMATS, SceneFormat, "graphcond.scene_formats")


def detect_scenes(given: SceneInput) -> SceneFormat:
    """The format of a path.

    Raises:
        InputError: the path does not exist, cannot be read, or is in no format or in several.
    """
    folder = given.path.is_dir()
    return find_format(
        given,
        scene_formats(),
        place=given.path,
        noun="scenes",
        several="name the format, or move the files of the others away",
        remedy="name the file that holds them, or check the path"
        if folder
        else 'write {"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]}, or a list of such',
    )


def read_scene(source: SceneGraph | Mapping[str, Any] | Path | str, index: int | None = None) -> SceneGraph:
    """One scene graph.

    Args:
        source: a file or folder of any format, an object in the friendly form, or a scene graph.
        index: the scene of a file with several, counted from 0.

    Raises:
        InputError: the source holds no scenes or broken ones, or several scenes and no index is given.
    """
    if isinstance(source, SceneGraph):
        return source
    if isinstance(source, Mapping):
        return parse_scene(dict(source))
    scenes = read_scenes(source)
    if index is None and len(scenes) > 1:
        raise InputError(
            f"there are {len(scenes)} scenes", place=source, remedy=f"choose one from 0 to {len(scenes) - 1}"
        )
    if not 0 <= (index or 0) < len(scenes):
        raise InputError(
            f"there is no scene {index}", place=source, remedy=f"count from 0 to {len(scenes) - 1}"
        )
    return scenes[index or 0]


def read_scenes(path: Path | str) -> list[SceneGraph]:
    """All scene graphs of a file or folder of any format.

    Raises:
        InputError: the path holds no scenes, or broken ones.
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
    skip_bad_rows: bool = False,
    report: Callable[[str], None] | None = None,
) -> SceneSet:
    """Scenes with their pictures, prompts and splits.

    Args:
        source: a file or folder.
        format: the name of one of `scene_formats`; by default it is detected.
        pictures: the folder of pictures; by default the format's own place beside ``source``.
        seed: seed of the relations of formats without relations (COCO).
        prompt: the prompt of scenes without one.
        keep_unrelated: keep LAION-SG's entries without relations; its reference loader drops them.
        skip_bad_rows: leave broken scenes out and count them, in place of an error.
        report: called with a sentence for everything that was dropped, is missing or looks wrong.

    Raises:
        InputError: the source holds no scenes, or broken ones.
    """
    read = read_scene_source(
        source,
        format=format,
        pictures=pictures,
        seed=seed,
        keep_unrelated=keep_unrelated,
        bad=BadRows(skip_bad_rows),
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
    bad: BadRows | None = None,
) -> SceneSource:
    """Scenes as their format gives them, with notes on what was dropped; arguments as `load_scene_set`.

    ``bad`` decides what to do with broken scenes; they are errors unless given.

    Raises:
        InputError: the source holds no scenes, or broken ones.
    """
    path, gallery = Path(source), None if pictures is None else Gallery(Path(pictures))
    given = SceneInput(path, gallery, seed, keep_unrelated, bad)
    if format is None:
        read = detect_scenes(given).read(given)
    elif format in (formats := scene_formats()):
        read = formats[format].read(given)
    else:
        raise InputError(
            f"there is no format '{format}'", place="format", remedy=did_you_mean(format, formats)
        )
    if not read.records:
        notes = "; ".join(read.notes)
        raise InputError(
            f"there are no scenes ({notes or 'it is empty'})", place=path, remedy="check the files"
        )
    tally = Tally({"scenes": len(read.records)}) + read.tally + (bad.tally() if bad else Tally())
    return replace(read, notes=(*read.notes, *tally.losses()), tally=tally)


def write_scene(scene: SceneGraph, path: Path | str) -> None:
    """Write ``scene`` in the friendly form, atomically; masks are left out.

    Raises:
        StorageError: the file cannot be written, or its disk is full.
    """
    # A line for each key, relation and box: short rows that people can edit.
    keys = []
    for key, value in scene_as_dict(scene).items():
        rows = ",\n".join(f"    {json.dumps(row, ensure_ascii=False)}" for row in value)
        nested = isinstance(value, list) and value and isinstance(value[0], list | None)
        text = f"[\n{rows}\n  ]" if nested else json.dumps(value, ensure_ascii=False)
        keys.append(f"  {json.dumps(key)}: {text}")
    with atomic_file(Path(path)) as temporary:
        temporary.write_text("{\n" + ",\n".join(keys) + "\n}\n", encoding="utf-8")
