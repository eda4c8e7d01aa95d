"""Which format a source of scenes is in, told by its content."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Any

from graphcond.errors import InputError
from graphcond.scenes.jsonfile import parse_strict, read_strict, read_text

MANIFEST = "scenes.json"
"""What a scene folder keeps its description in."""

VISUAL_GENOME_FILES = ("objects.json", "relationships.json", "scene_graphs.json")
VOCABULARY = "vocab.json"
SPLITS = ("train", "val", "test")


class SceneFormat(StrEnum):
    """The formats that scenes are read from, by the names that ``format`` takes."""

    SCENE_FOLDER = "folder"
    WRITTEN = "written"
    GROUNDED = "grounded"
    SGCOND = "sgcond"
    LAION = "laion-sg"
    VISUAL_GENOME = "visual-genome"
    SG2IM = "sg2im"
    COCO = "coco"


def detect_scenes(path: Path) -> tuple[SceneFormat, Any]:
    """The format of ``path``, and what a JSON or JSON Lines file holds, so that it is read once.

    Raises:
        InputError: the path does not exist, cannot be read, or holds nothing that looks like scenes.
    """
    if path.is_dir():
        return _of_folder(path), None
    if not path.exists():
        raise InputError("no such file or folder", place=path, remedy="check the path")
    if path.suffix in (".h5", ".hdf5"):
        return SceneFormat.SG2IM, None
    if path.suffix == ".jsonl":
        return _of_lines(path)
    value = read_strict(path)
    if path.name == MANIFEST and isinstance(value, dict) and "format" in value:
        return SceneFormat.SCENE_FOLDER, None
    return of_value(value, path), value


def of_value(value: Any, place: object) -> SceneFormat:
    """The format of a parsed JSON file.

    Raises:
        InputError: it looks like none.
    """
    if isinstance(value, dict) and {"images", "annotations", "categories"} <= value.keys():
        return SceneFormat.COCO
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, list) and first and isinstance(first[0], list | dict):
        return SceneFormat.SGCOND
    if isinstance(first, dict) and value:
        if "items" in first:
            return SceneFormat.LAION
        if "image_id" in first and ("objects" in first or "relationships" in first):
            return SceneFormat.VISUAL_GENOME
        return SceneFormat.GROUNDED if _grounded(first) else SceneFormat.WRITTEN
    raise InputError(
        "holds no scenes",
        place=place,
        remedy='write {"objects": ["sky", "grass"], "relationships": [[0, "above", 1]]}, or a list of such',
    )


def read_lines(path: Path) -> list[tuple[int, Any]]:
    """The lines of a JSON Lines file that are not empty, parsed, each with its number from 1.

    Raises:
        InputError: the file cannot be read, holds nothing, or a line is not JSON.
    """
    lines = read_text(path).split("\n")
    found = [(n, parse_strict(line, f"{path}:{n}")) for n, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InputError("is empty", place=path, remedy="give it one line per scene")
    return found


def _of_lines(path: Path) -> tuple[SceneFormat, Any]:
    lines = read_lines(path)
    first = lines[0][1]
    grounded = isinstance(first, dict) and _grounded(first)
    return SceneFormat.GROUNDED if grounded else SceneFormat.WRITTEN, lines


def _grounded(row: dict[str, Any]) -> bool:
    objects = row.get("objects")
    return isinstance(objects, list) and bool(objects) and isinstance(objects[0], dict)


def _of_folder(folder: Path) -> SceneFormat:
    if (folder / MANIFEST).is_file():
        return SceneFormat.SCENE_FOLDER
    found = []
    if (folder / VOCABULARY).is_file() and any((folder / f"{split}.h5").is_file() for split in SPLITS):
        found.append(SceneFormat.SG2IM)
    if any((folder / name).is_file() for name in VISUAL_GENOME_FILES):
        found.append(SceneFormat.VISUAL_GENOME)
    if any(folder.glob("instances_*.json")) or any(folder.glob("annotations/instances_*.json")):
        found.append(SceneFormat.COCO)
    if split_files(folder):
        found.append(SceneFormat.LAION)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"holds scenes of several formats ({', '.join(kind.value for kind in found)})",
            place=folder,
            remedy="name the format, or move the others away",
        )
    raise InputError(
        f"holds no scenes: looked for {MANIFEST}, {VOCABULARY} with train.h5, "
        f"{', '.join(VISUAL_GENOME_FILES)}, instances_*.json and train.json",
        place=folder,
        remedy="name the file that holds them, or check the path",
    )


def split_files(folder: Path) -> dict[str, Path]:
    """The JSON files of a folder that are named after a split."""
    return {split: file for split in SPLITS if (file := folder / f"{split}.json").is_file()}
