"""Released GLIGEN weights (arXiv 2301.07093), as diffusers' GLIGEN UNets hold them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from graphcond.adapters.gated_block import key_of
from graphcond.errors import InputError
from graphcond.weights import load_tensors

_STEM = "diffusion_pytorch_model"
_POSITION_NET, _FUSER = "position_net.", ".fuser."


def read_gligen(weights: str | Path | Mapping[str, Tensor]) -> tuple[dict[str, Tensor], object]:
    """Position net and gated layers of a GLIGEN UNet, named as in `GatedSelfAttentionInjector`.

    Args:
        weights: the state dict of the UNet, or the folder of the UNet or of the whole model.

    Returns:
        The weights, and where they come from (for messages).

    Raises:
        InputError: no weights there, or those of a UNet without gated self-attention.
    """
    if isinstance(weights, Mapping):
        found, place = dict(weights), "the state dict"
    else:
        found, place = _read(Path(weights)), str(weights)
    ours = {_our_name(name): tensor for name, tensor in found.items() if _is_gligen(name)}
    if not ours:
        raise InputError(
            "has no gated self-attention (no 'fuser', no 'position_net')",
            place=place,
            remedy="give the UNet of a GLIGEN model in diffusers' layout",
        )
    return ours, place


def _is_gligen(name: str) -> bool:
    return name.startswith(_POSITION_NET) or _FUSER in name


def _our_name(name: str) -> str:
    if name.startswith(_POSITION_NET):
        return name
    block, rest = name.split(_FUSER)
    return f"blocks.{key_of(block)}.{rest}"


def _read(folder: Path) -> dict[str, Tensor]:
    inner = folder / "unet" if (folder / "unet").is_dir() else folder
    whole = inner / f"{_STEM}.safetensors"
    files = [whole] if whole.is_file() else sorted(inner.glob(f"{_STEM}*.safetensors"))
    if not files:
        raise InputError(
            f"has no {_STEM}.safetensors",
            place=inner,
            remedy="give the folder of a GLIGEN UNet, its weights as safetensors",
        )
    return {name: tensor for file in files for name, tensor in load_tensors(file).items()}
