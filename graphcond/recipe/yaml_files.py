"""Recipe files: where the shipped ones lie, and strict YAML. Nothing here knows what a recipe means."""

from __future__ import annotations

from collections.abc import Hashable
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

import yaml

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
    path = Path(name_or_path)
    if path.is_file():
        return path
    shipped = shipped_recipes()
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    raise InputError(
        "no such recipe",
        place=name_or_path,
        remedy=f"give a YAML file, or {did_you_mean(path.stem, shipped)}",
    )


def read_yaml(path: Path) -> Any:
    """The values of a YAML file.

    Raises:
        InputError: unreadable, not YAML, or a key given twice.
    """
    try:
        with path.open(encoding="utf-8") as stream:
            return parse_yaml(stream)
    except UnicodeDecodeError as error:
        raise InputError(
            f"the file is not UTF-8 (byte {error.start})", place=path, remedy="save it as UTF-8"
        ) from None
    except OSError as error:
        raise InputError(error.strerror or str(error), place=path, remedy="check the path") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else path
        problem = getattr(error, "problem", None) or str(error)
        raise InputError(
            f"the file is not YAML: {problem}", place=where, remedy="correct that line"
        ) from None


def parse_yaml(text: TextIO | str) -> Any:
    """The values of a YAML text; all that can be wrong with it is a `yaml.YAMLError`."""
    try:
        return yaml.load(text, Loader=_StrictLoader)
    except UnicodeDecodeError:
        raise
    except ValueError as error:  # a date that does not exist
        raise yaml.YAMLError(str(error)) from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deeply") from error


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice.

    The key ``null``, the old name of ``without_graph``, is read as that word; YAML reads it as None.
    """

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(
                    None, None, "a key is a list or a mapping", key_node.start_mark
                )
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"'{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        values = super().construct_mapping(node, deep)
        return {"null" if key is None else key: value for key, value in values.items()}
