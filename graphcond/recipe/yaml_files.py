"""Recipe files: where the shipped ones lie. Nothing here knows what a recipe means."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from graphcond.errors import InputError, did_you_mean


def shipped_recipes() -> dict[str, Path]:
    """The recipes inside the package, by name."""
    packaged = Path(str(files("graphcond"))) / "recipes"
    folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def find_recipe(name_or_path: str | Path) -> Path:
    """The file of a shipped recipe, or the file itself.

    Raises:
        InputError: neither a file nor the name of a shipped recipe.
    """
    return file_or_shipped(name_or_path, shipped_recipes(), "recipe")


def file_or_shipped(name_or_path: str | Path, shipped: Mapping[str, Path], what: str) -> Path:
    """A file, or that of a name among those ``shipped``.

    Raises:
        InputError: it is neither.
    """
    path = Path(name_or_path)
    if path.is_file():
        return path
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    remedy = f"give a YAML file, or {did_you_mean(path.stem, shipped)}"
    raise InputError(f"no such {what}", place=name_or_path, remedy=remedy)
