"""Files of weights that others released: read safely, and named for what they hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphcond.errors import InputError
from graphcond.io.readable import check_readable
from graphcond.io.tensors import load_tensors, load_torch_file, method_of

if TYPE_CHECKING:
    from torch import Tensor


def read_released(weights: str | Path | Mapping[str, Tensor]) -> tuple[dict[str, Tensor], object]:
    """The tensors of a released file, with the names of parts before theirs, and its place for messages.

    Args:
        weights: a safetensors file, a file of torch that has tensors alone, or the tensors themselves.

    Raises:
        InputError: missing or damaged, or a pickle that could run code.
    """
    content, place = read_content(weights)
    return flat(content), place


def read_content(weights: str | Path | Mapping[Any, Any]) -> tuple[Mapping[Any, Any], object]:
    """What a released file holds, settings beside the weights included; as `read_released`."""
    if isinstance(weights, Mapping):
        return weights, "the tensors"
    path = Path(weights)
    check_readable(path)
    found = load_tensors(path) if path.suffix == ".safetensors" else load_torch_file(path)
    if not isinstance(found, Mapping):
        raise InputError("the file has no weights by name", place=path, remedy="give a file of weights")
    return found, path


def half_of(tensors: Mapping[str, Tensor], start: str, *, method: str, place: object) -> dict[str, Tensor]:
    """The tensors whose names begin with ``start``, without that beginning.

    Raises:
        InputError: there are none, since the file is one of another method.
    """
    found = {name.removeprefix(start): value for name, value in tensors.items() if name.startswith(start)}
    if not found:
        raise InputError(
            f"expected the weights of {method} ('{start}...'), got those of {method_of(tensors)}",
            place=place,
            remedy=f"give the file of {method}",
        )
    return found


def flat(weights: Any) -> dict[str, Tensor]:
    """The tensors within mappings and lists, by the names and numbers that lead to them."""
    named = weights.items() if isinstance(weights, Mapping) else enumerate(weights)
    found: dict[str, Tensor] = {}
    for name, value in named:
        if isinstance(value, Mapping | list | tuple):
            found |= {f"{name}.{inner}": tensor for inner, tensor in flat(value).items()}
        elif hasattr(value, "shape"):
            found[str(name)] = value
    return found
