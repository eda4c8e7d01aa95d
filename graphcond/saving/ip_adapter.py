"""A condition as an IP-Adapter file, which diffusers and others read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from graphcond.condition import Condition
from graphcond.errors import InputError
from graphcond.io.files import atomic_file


def write_ip_adapter(condition: Condition, file: str | Path) -> None:
    """Write a condition of ``image_prompts`` and ``ip_adapter`` in the layout of released IP-Adapters.

    Args:
        condition: its injector has been injected.
        file: a safetensors file; over a UNet, for the ``load_ip_adapter`` of diffusers.

    Raises:
        InputError: the condition has another encoder or injector.
    """
    parts: dict[str, Any] = {"image_proj": condition.encoder, "ip_adapter": condition.injector}
    for part in parts.values():
        if not hasattr(part, "released_weights"):
            raise InputError(
                f"{type(part).__name__} has no place in an IP-Adapter",
                place=f"condition '{condition.name}'",
                remedy="use the encoder 'image_prompts' and the injector 'ip_adapter'",
            )
    weights = {
        f"{name}.{inner}": tensor.contiguous()
        for name, part in parts.items()
        for inner, tensor in part.released_weights().items()
    }
    with atomic_file(Path(file)) as new:
        save_file(weights, new)
