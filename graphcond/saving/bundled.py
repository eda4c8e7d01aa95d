"""Files bundled with a saved model because they exist nowhere else: its base, its image encoder.

A recipe names them by their folder inside the model, ``./base`` and ``./image_encoder``.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from graphcond.bases.base_files import base_files, copy_files, model_files, write_index
from graphcond.bases.config import BaseFields
from graphcond.config import Config
from graphcond.errors import InputError
from graphcond.progress import Progress

BASE, IMAGE_ENCODER = "base", "image_encoder"

SECTIONS = {BASE: "base", IMAGE_ENCODER: "features"}
"""The section of a recipe whose ``model`` each part is."""


def found_in(folder: Path, recipe: Any) -> tuple[Any, dict[str, Path]]:
    """The values of a saved recipe with the parts inside ``folder`` by their full path, and these parts.

    Raises:
        InputError: a part that the recipe names is not there.
    """
    recipe, parts = copy.deepcopy(recipe), {}
    for part, section in _named(recipe):
        if section.get("model") == f"./{part}":
            parts[part] = _present(folder.resolve() / part)
            section["model"] = str(parts[part])
    return recipe, parts


def on_base(recipe: Any, folder: Path) -> Any:
    """The values of a saved recipe with its base in ``folder``, where it is now.

    Raises:
        InputError: the base is not one that a folder holds, or there is no such folder.
    """
    if not folder.is_dir():
        raise InputError("no such folder", place=folder, remedy="name the folder of the model's base")
    recipe = copy.deepcopy(recipe)
    section = dict(_named(recipe)).get(BASE, {})
    if "model" not in section:
        raise InputError(
            f"the base '{section.get('kind')}' is not in a folder", place=folder, remedy="leave the base out"
        )
    section["model"] = str(folder.resolve())
    return recipe


def check_there(recipe: Config, place: Path) -> None:
    """Check that the folders outside a model that its recipe or composition names are still there.

    Raises:
        InputError: one has moved.
    """
    for part, section in _named(recipe.model_dump(mode="json")):
        model = section.get("model")
        if model is not None and Path(model).is_absolute() and not Path(model).is_dir():
            ways = "name its new place by --base, or in Python by from_pretrained(..., base=...)"
            raise InputError(
                f"the model needs the {part.replace('_', ' ')} in {model}, and there is no such folder",
                place=place,
                remedy=ways
                if part == BASE
                else f"move it back, or correct {SECTIONS[part]}.model in the file",
            )


def named_in(recipe: dict[str, Any], parts: Mapping[str, Path]) -> dict[str, Any]:
    """The values of a recipe to be saved, with ``parts`` by their folder inside the model.

    Other folders are named by their full path, so that the model opens from wherever it is opened.
    """
    recipe = copy.deepcopy(recipe)
    for part, section in _named(recipe):
        model = section.get("model")
        if part in parts:
            section["model"] = f"./{part}"
        elif model is not None and Path(model).is_dir():
            section["model"] = str(Path(model).resolve())
    return recipe


def copy_parts(
    parts: Mapping[str, Path], base: type[BaseFields], model: Path, progress: Progress | None = None
) -> None:
    """Copy ``parts`` into the folder of a model.

    Args:
        parts: folders by the name of the part.
        base: the kind of the base.
        model: where to.
        progress: gets the megabytes done.

    Raises:
        InputError: a part no longer exists where it was read from.
        StorageError: the place refuses, or its disk is full.
    """
    for part, source in parts.items():
        copy_files(source, files_of(part, _present(source), base), model / part, progress)
        if part == BASE:
            write_index(base, model / part, source)


def check_apart(parts: Mapping[str, Path], model: Path) -> None:
    """See before a model is saved that it would not stand where one of its parts does, or inside it.

    Raises:
        InputError: it would.
    """
    for part, source in parts.items():
        if model.resolve().is_relative_to(source.resolve()):
            raise InputError(
                f"the model's own {part} lies in this folder", place=model, remedy="save it in another folder"
            )


def files_of(part: str, source: Path, base: type[BaseFields]) -> list[Path]:
    """The files that make up a part, relative to its folder; ``base`` is the kind of the base."""
    return base_files(base, source) if part == BASE else model_files(source)


def _present(part: Path) -> Path:
    if not part.is_dir():
        raise InputError("no such folder", place=part, remedy="copy the model again, with all its folders")
    return part


def _named(recipe: Any) -> list[tuple[str, dict[str, Any]]]:
    sections = recipe if isinstance(recipe, dict) else {}
    named = [(part, sections.get(section)) for part, section in SECTIONS.items()]
    return [(part, section) for part, section in named if isinstance(section, dict)]
