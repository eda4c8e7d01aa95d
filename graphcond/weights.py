"""Tensors from safetensors files, checked by name and shape."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from graphcond.errors import InputError


def load_tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        InputError: missing or damaged.
    """
    try:
        return load_file(file)
    except FileNotFoundError:
        raise InputError(
            "no such file", place=file, remedy="the model is incomplete; save or copy it again"
        ) from None
    except (SafetensorError, OSError) as error:
        raise InputError(f"is damaged ({error})", place=file, remedy="save or copy it again") from None


def check_weights(
    found: Mapping[str, Tensor],
    wanted: Mapping[str, Tensor],
    *,
    place: object,
    remedy: str = "load it with the recipe it was saved with",
) -> None:
    """See that ``found`` has the names and shapes of ``wanted``.

    Raises:
        InputError: names what is missing, surplus or of another shape.
    """
    problems = [f"'{name}' is missing" for name in wanted.keys() - found.keys()]
    problems += [f"'{name}' is surplus" for name in found.keys() - wanted.keys()]
    problems += [
        f"'{name}' has shape {tuple(found[name].shape)} instead of {tuple(wanted[name].shape)}"
        for name in found.keys() & wanted.keys()
        if found[name].shape != wanted[name].shape
    ]
    if problems:
        shown = "; ".join(sorted(problems)[:3]) + (
            f"; and {len(problems) - 3} more" if len(problems) > 3 else ""
        )
        raise InputError(f"weights do not fit: {shown}", place=place, remedy=remedy)
