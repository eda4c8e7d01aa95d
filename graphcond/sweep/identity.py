"""What a row follows from: its recipe, data and networks. Equal names mean equal results."""

from __future__ import annotations

from pathlib import Path

from graphcond import worlds
from graphcond.bases.base_files import base_files
from graphcond.bases.config import TINY_FOLDER, BaseFields
from graphcond.data.dataset import Dataset
from graphcond.errors import InputError
from graphcond.features.feature_cache import FeatureCache
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.recipe import Recipe
from graphcond.recipe.sections import AnyData
from graphcond.samplers.neighbor_file import graph_identity

SPOKEN = {"name", "description", "tiny", "evaluation"}
"""Sections of a recipe that change neither what is trained nor what is drawn."""


def recipe_identity(recipe: Recipe, data: str) -> str:
    """A name that changes with whatever a trained model follows from.

    Args:
        recipe: resolved.
        data: identity of its data.
    """
    features = [getattr(recipe.features, name, None) for name in ("model", "path")]
    return fingerprint(
        recipe.model_dump_json(exclude=SPOKEN),
        data,
        base_identity(recipe.base),
        files_identity(TINY_FOLDER),
        *(files_identity(name) for name in (*features, recipe.start_from) if name is not None),
    )


def base_identity(base: BaseFields) -> str:
    """A name that changes with the files of a base; its config alone where they are not on this machine."""
    try:
        folder = base.folder()
        files = [folder / file for file in base_files(type(base), folder)]
        return fingerprint(*FeatureCache().digests(files))
    except (InputError, OSError):
        return fingerprint(base.model_dump_json())


def files_identity(name: str | Path) -> str:
    """A name that changes with the weights in a folder, or with a file; the name itself of anything else."""
    place = Path(name)
    files = [place] if place.is_file() else sorted(place.rglob("*.safetensors")) if place.is_dir() else []
    return fingerprint(*FeatureCache().digests(files)) if files else str(name)


def data_identity(config: AnyData, data: Dataset) -> str:
    """A name that changes with the content of a dataset."""
    if config.kind == "world":
        return fingerprint(config.model_dump_json(), source_version(worlds))
    rows = range(len(data))
    pictures = [path for row in rows if (path := data.picture_path(row)) is not None and path.is_file()]
    columns = data.columns
    content = data.scenes.graphs if config.has_scenes else graph_identity(data.graph)
    return fingerprint(
        config.model_dump_json(exclude={"path", "pictures"}),
        *(list(column) for column in (columns.ids, columns.texts, columns.pictures, columns.splits or ())),
        content,
        *FeatureCache().digests(pictures),
    )
