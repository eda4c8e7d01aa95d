"""What pydantic says about a recipe, in words that name the YAML path and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

from graphcond.component import ComponentConfig
from graphcond.errors import InputError, did_you_mean

SHOWN = 5
"""Problems listed in one message."""


def as_input_error(error: ValidationError, model: type[BaseModel], place: object) -> InputError:
    """One error for all that is wrong with the data that ``model`` was given."""
    problems = error.errors()
    causes = [p for p in problems if not any(_encloses(p["loc"], other["loc"]) for other in problems)]
    sentences = [_sentence(problem, model) for problem in causes]
    shown = "; ".join(sentences[:SHOWN])
    more = f"; and {len(sentences) - SHOWN} more" if len(sentences) > SHOWN else ""
    return InputError(shown + more, place=place)


def _encloses(outer: tuple[str | int, ...], inner: tuple[str | int, ...]) -> bool:
    return len(outer) < len(inner) and inner[: len(outer)] == outer


def _sentence(problem: Mapping[str, Any], model: type[BaseModel]) -> str:
    location = problem["loc"]
    path = _path(location, model)
    match problem["type"]:
        case "extra_forbidden":
            siblings = _names(_type_at(location[:-1], model))
            return f"{path}: unknown key, {did_you_mean(str(location[-1]), siblings)}"
        case "union_tag_invalid":
            tag, expected = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
            kinds = [kind.strip(" '") for kind in expected.split(",")]
            return f"{path}.kind: there is no '{tag}', {did_you_mean(tag, kinds)}"
        case "model_attributes_type" if _tagged(_type_at(location, model)):
            return f"{path}: is a section, write {path}.kind: {problem['input']}"
        case "union_tag_not_found":
            return f"{path}: say which kind it is (kind: ...)"
        case "missing":
            return f"{path}: is missing, add it"
        case "value_error":
            message = str(problem["ctx"]["error"])
            return f"{path}: {message}" if path else message
        case _:
            return f"{path}: {_lower_first(problem['msg'])}, not {problem['input']!r}"


def _path(location: tuple[str | int, ...], model: type[BaseModel]) -> str:
    """The YAML path: without the tags that pydantic puts after a tagged union."""
    parts = [str(part) for end, part in enumerate(location) if not _is_tag(location[:end], part, model)]
    return ".".join(parts)


def _is_tag(before: tuple[str | int, ...], part: str | int, model: type[BaseModel]) -> bool:
    return isinstance(part, str) and any(kind == part for kind, _ in _tagged(_type_at(before, model)))


def _type_at(location: Iterable[str | int], model: type[BaseModel]) -> Any:
    kind: Any = model
    for part in location:
        kind = _step(_bare(kind), part)
    return _bare(kind)


def _step(kind: Any, part: str | int) -> Any:
    tagged = dict(_tagged(kind))
    if part in tagged:
        return tagged[part]
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        field = kind.model_fields.get(str(part))
        return field.annotation if field else None
    arguments = get_args(kind)
    return arguments[-1 if get_origin(kind) is dict else 0] if arguments else None


def _bare(kind: Any) -> Any:
    """Without ``Annotated`` and without ``| None``."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        real = [option for option in get_args(kind) if option is not type(None)]
        return _bare(real[0]) if len(real) == 1 else kind
    return kind


def _tagged(kind: Any) -> list[tuple[str, type[ComponentConfig]]]:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return [(o.kind_name(), o) for o in options if isinstance(o, type) and issubclass(o, ComponentConfig)]


def _names(kind: Any) -> list[str]:
    return list(kind.model_fields) if isinstance(kind, type) and issubclass(kind, BaseModel) else []


def _lower_first(message: str) -> str:
    return message[:1].lower() + message[1:]
