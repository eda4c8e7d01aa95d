"""YAML from anywhere: bounded in size, depth and expansion by aliases, and no key is silently lost."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from graphcond.errors import InputError
from graphcond.io.files import read_text

MOST_BYTES = 1_000_000
"""A larger file is refused: reading it takes minutes."""

MOST_VALUES = 100_000
"""Values in a document, each counted as often as aliases repeat it."""

DEEPEST = 50
"""Levels of lists and mappings."""

MOST_INTEGER = 10**300
"""Integers up to here can be converted to floats and written out."""

_MISFITS = (ValueError, TypeError, LookupError, AttributeError, OverflowError)
"""What PyYAML's constructors raise for a value that does not fit its tag."""


def read_yaml(path: Path) -> Any:
    """The values of a YAML file.

    Raises:
        InputError: the file is missing, no regular file, larger than `MOST_BYTES` or not UTF-8; or as
            `parse_yaml`.
    """
    return parse_yaml(read_text(path, most=MOST_BYTES), path)


def parse_yaml(text: str, place: object) -> Any:
    """The values of a YAML text, from which nothing is executed.

    The key ``null``, the old name of ``without_graph``, is read as that word; YAML reads it as None.

    Raises:
        InputError: the text is not YAML, nested too deeply or expands to too many values; a key is given
            twice; a value does not fit its tag, or has a tag that plain YAML does not have.
    """
    loader = None
    try:
        loader = _StrictLoader(text)
        document = loader.get_single_node()
        if document is None:
            return None
        _Extent().of(document)
        return loader.construct_document(document)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{place}:{mark.line + 1}" if mark and "\n" in text else place
        problem = (getattr(error, "problem", None) or str(error)).splitlines()[0]
        if problem.startswith("but "):  # PyYAML's context begins the sentence
            problem = f"{getattr(error, 'context', '')}, {problem}"
        raise InputError(
            f"the text is not YAML: {problem}", place=where, remedy="correct that line"
        ) from None
    except RecursionError:
        raise InputError(
            "the text is not YAML: it is nested too deeply", place=place, remedy="write fewer levels"
        ) from None
    finally:
        if loader is not None:
            loader.dispose()


class _Extent:
    """The size and depth of a document as it is once every alias is replaced by its value."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[int, int]] = {}
        self._within: set[int] = set()

    def of(self, node: Any) -> tuple[int, int]:
        """The number of values and of levels; each node is visited once."""
        if id(node) in self._known:
            return self._known[id(node)]
        if id(node) in self._within:
            raise ConstructorError(None, None, "an alias stands in its own value", node.start_mark)
        self._within.add(id(node))
        children = node.value if isinstance(node, yaml.CollectionNode) else []
        if isinstance(node, yaml.MappingNode):
            children = [part for pair in children for part in pair]
        inner = [self.of(child) for child in children]
        size = 1 + sum(size for size, _ in inner)
        depth = 1 + max((depth for _, depth in inner), default=0)
        if size > MOST_VALUES:
            raise ConstructorError(None, None, f"more than {MOST_VALUES} values", node.start_mark)
        if depth > DEEPEST:
            raise ConstructorError(None, None, f"more than {DEEPEST} levels", node.start_mark)
        self._within.remove(id(node))
        self._known[id(node)] = size, depth
        return size, depth


class _StrictLoader(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice, and whose errors are all of type `yaml.YAMLError`."""

    def construct_object(self, node: Any, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except _MISFITS as error:
            reason = f" ({error})" if isinstance(error, ValueError) else ""
            problem = f"the value does not fit its tag '{node.tag.rpartition(':')[2]:.30}'{reason}"
            raise ConstructorError(None, None, problem, node.start_mark) from None
        if type(value) is int and abs(value) >= MOST_INTEGER:
            raise ConstructorError(None, None, "the number has more than 300 digits", node.start_mark)
        return value

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key_node, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise ConstructorError(None, None, "a key is a list or a mapping", key_node.start_mark)
            if key in seen:
                raise ConstructorError(None, None, f"'{key}' is given twice", key_node.start_mark)
            seen.add(key)
        values = super().construct_mapping(node, deep)
        return {"null" if key is None else key: value for key, value in values.items()}
