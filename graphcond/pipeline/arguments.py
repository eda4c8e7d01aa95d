"""What a caller gives to a pipeline besides graphs: texts, counts, random generators, latents."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import index
from typing import Any, TypeAlias

import torch

from graphcond.bases import Base
from graphcond.errors import InputError, did_you_mean

Generators: TypeAlias = torch.Generator | list[torch.Generator] | None


def texts_of(given: Any, place: str) -> list[str]:
    """One text or several, as a list.

    Raises:
        InputError: there is none, or one is not a string.
    """
    texts = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    # Some JSON and file names hold lone surrogates, which tokenizers refuse.
    wrong = [
        text
        for text in texts
        if not isinstance(text, str) or any("\ud800" <= sign <= "\udfff" for sign in text)
    ]
    if wrong or not texts:
        problem = f"{wrong[0]!r} is not a text" if wrong else "there is none"
        raise InputError(problem, place=place, remedy="give a string or a list of strings")
    return texts


def check_beside(base: Base, given: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """The arguments of a base beside the prompt that are given.

    Args:
        base: the base.
        given: arguments by name.
        known: the names of those that it takes.

    Raises:
        InputError: the base has no such argument.
    """
    for name in given:
        if name not in known:
            raise InputError(
                f"drawing with {type(base).__name__} has no argument '{name}'",
                place=name,
                remedy=did_you_mean(name, known) if known else "leave it out",
            )
    return {name: value for name, value in given.items() if value is not None}


def check_steps(steps: int, at_most: int) -> int:
    """``steps`` as an int, if the scheduler supports so many.

    Raises:
        InputError: it cannot.
    """
    steps = check_count(steps, "num_inference_steps")
    if steps > at_most:
        raise InputError(
            f"expected at most {at_most} steps, as many as the base's noise has, got {steps}",
            place="num_inference_steps",
            remedy=f"use {at_most} or fewer; 50 are plenty",
        )
    return steps


def check_count(count: int, place: str) -> int:
    """``count`` as an int, if it is a whole number, 1 or more.

    Raises:
        InputError: it is not.
    """
    try:
        number = None if isinstance(count, bool) else index(count)
    except TypeError:
        number = None
    if number is None:
        raise InputError(f"expected a whole number, got {count!r}", place=place, remedy="use 1 or more")
    if number < 1:
        raise InputError(f"expected at least 1, got {count}", place=place, remedy="use 1 or more")
    return number


def check_generators(generator: Generators, pictures: int) -> None:
    """Check that noise can be drawn from ``generator``.

    Raises:
        InputError: it is not a generator, or it is a list of another length.
    """
    each = generator if isinstance(generator, list) else [generator]
    if not all(one is None or isinstance(one, torch.Generator) for one in each):
        raise InputError(
            f"expected a torch.Generator, got a {type(generator).__name__}",
            place="generator",
            remedy="give a torch.Generator, or a list of one per picture",
        )
    if isinstance(generator, list) and len(generator) != pictures:
        raise InputError(
            f"expected one or {pictures} generators, got {len(generator)}",
            place="generator",
            remedy="give one, or one per picture",
        )


def check_choice(given: str, choices: Collection[str], place: str) -> None:
    """Check that ``given`` is one of ``choices``.

    Raises:
        InputError: it is not.
    """
    if given not in choices:
        raise InputError(f"there is no '{given}'", place=place, remedy=did_you_mean(str(given), choices))
