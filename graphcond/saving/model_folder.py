"""The folder of a saved model: finding it and reading its manifest."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from types import MappingProxyType
from typing import Any

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError
from pydantic import ValidationError

from graphcond.bases.config import BASES
from graphcond.errors import InputError, Notice
from graphcond.io.files import read_json, write_json
from graphcond.io.hub import why_not_loaded
from graphcond.recipe import Recipe, parse_recipe
from graphcond.recipe.recipe import without_null
from graphcond.saving.bundled import found_in, on_base
from graphcond.saving.instructg2i.layout import is_release

FORMAT = 1
"""Version of the folder layout that `GraphModel.save_pretrained` writes for a model with a recipe."""

COMPOSED = 2
"""Version of that for a model without; see `graphcond.saving.composed`."""

MANIFEST = "graphcond.json"

INDEX = "model_index.json"
"""Names the classes that diffusers' ``DiffusionPipeline.from_pretrained`` makes of the folder."""

OPENER = "graphcond_pipeline"
"""The module beside it, without which diffusers looks for the classes in itself alone."""

_DOWNLOADED = ["*.json", "*.safetensors", "*.md", "*.txt", "gnn/*.pt", "image_proj_model/*.pt"]


@dataclass(frozen=True)
class Manifest:
    """The facts that a saved model records about itself.

    Args:
        recipe: the resolved recipe.
        feature_width: d, width of the embeddings that its encoders read.
        parts: folders inside the model that its recipe names; see `graphcond.saving.bundled`.
    """

    recipe: Recipe
    feature_width: int
    parts: Mapping[str, Path] = field(default_factory=dict)


def local_folder(name_or_folder: str | Path) -> Path:
    """The folder of a saved model; a hub id is downloaded.

    Raises:
        InputError: neither a folder nor a model that the hub gives.
    """
    folder = Path(name_or_folder)
    if folder.is_dir():
        return folder
    try:
        return Path(snapshot_download(str(name_or_folder), allow_patterns=_DOWNLOADED))
    except (HfHubHTTPError, OSError, ValueError) as error:  # those of the hub derive from these
        if folder.is_file():
            problem, remedy = "no such model (it is a file)", "give the folder of a trained model"
            raise InputError(problem, place=folder, remedy=remedy) from None
        reason, remedy = why_not_loaded(error, str(name_or_folder), in_folder="")
        raise InputError(f"no such model ({reason})", place=name_or_folder, remedy=remedy) from error


def write_index(folder: Path) -> None:
    """Write the two files by which ``DiffusionPipeline.from_pretrained(folder)`` opens a saved model."""
    index = {
        "_class_name": [OPENER, "GraphPipeline"],
        "_diffusers_version": version("diffusers"),
        "model": ["graphcond.model", "SavedGraphModel"],
    }
    write_json(folder / INDEX, index)
    source = "from graphcond.pipeline import GraphPipeline  # noqa: F401\n"
    (folder / f"{OPENER}.py").write_text(source, encoding="utf-8")


def saved_recipe(name_or_folder: str | Path) -> Recipe:
    """The recipe of a model, without loading its base.

    Raises:
        InputError: no such model.
    """
    folder = local_folder(name_or_folder)
    if not is_release(folder):
        return read_manifest(folder).recipe
    from graphcond.saving.instructg2i.read import read_release  # reads weights, so it needs torch

    return read_release(folder).recipe


def plain_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a saved model as plain values, of a format that this version reads.

    Raises:
        InputError: the folder is not a saved model, or has another format.
    """
    place = folder / MANIFEST
    if not place.is_file():
        inside = folder / "final"
        known = (inside / MANIFEST).is_file()
        remedy = f"did you mean {inside}?" if known else "give the folder of a trained model"
        raise InputError(f"the folder has no {MANIFEST}", place=folder, remedy=remedy)
    found = read_json(place)
    manifest = found if isinstance(found, dict) else {}
    form = manifest.get("format")
    if form not in (FORMAT, COMPOSED):
        problem = f"the model is of format {form}, this version reads {FORMAT} and {COMPOSED}"
        raise InputError(problem, place=place, remedy="use the version that wrote it")
    width = manifest.get("feature_width")
    if not isinstance(width, int) or width < 1:
        raise InputError("the file names no feature_width", place=place, remedy="save the model again")
    return manifest


def read_manifest(
    folder: Path, *, base: Path | None = None, changes: Mapping[str, str] = MappingProxyType({})
) -> Manifest:
    """Read the facts that a saved model records about itself.

    Args:
        folder: of the model.
        base: the folder where its base is now.
        changes: settings of its base to use instead of those that it was trained with.

    Raises:
        InputError: as `plain_manifest`, or the model has no recipe; its base is no folder.
    """
    place, manifest = folder / MANIFEST, plain_manifest(folder)
    if manifest["format"] == COMPOSED:
        raise InputError(
            "the model was composed by hand and has no recipe",
            place=place,
            remedy="open it in Python: graphcond.GraphPipeline.from_pretrained(...)",
        )
    values = manifest.get("recipe")
    if isinstance(values, dict) and isinstance(values.get("conditions"), list):
        values["conditions"] = [without_null(c) if isinstance(c, dict) else c for c in values["conditions"]]
    if base is not None:
        values = _on_distilled(on_base(values, base), place)
    if changes and isinstance(values, dict) and isinstance(values.get("base"), dict):
        values["base"] |= changes
    recipe, parts = found_in(folder, values)
    return Manifest(parse_recipe(recipe, place=place), manifest["feature_width"], parts)


def _on_distilled(recipe: Any, place: Path) -> Any:
    """The values of a recipe whose base was replaced; over a distilled one the scale of the text is 1."""
    try:
        facts = BASES[recipe["base"]["kind"]].model_validate(recipe["base"]).facts()
    except (InputError, KeyError, ValidationError):  # which the recipe's own check explains
        return recipe
    scale = recipe.get("guidance", {}).get("text", 1)
    if facts is None or not facts.distilled or scale == 1:
        return recipe
    warnings.warn(
        f"{place}: guidance.text is 1 in place of {scale:g}, since the base is distilled",
        Notice,
        stacklevel=4,
    )
    return recipe | {"guidance": recipe["guidance"] | {"text": 1.0}}
