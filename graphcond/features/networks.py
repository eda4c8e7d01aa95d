"""Loading the networks that make embeddings, and their preprocessing, with errors that name a remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from PIL import Image
from transformers import CLIPImageProcessorPil

from graphcond.bases.loading import hub_options, quiet_loading
from graphcond.errors import InputError, out_of_memory
from graphcond.io.hub import why_not_loaded
from graphcond.io.tensors import pick_device

PREPROCESSING = "preprocessor_config.json"


def load_network(
    kind: Any,
    name: str | Path,
    device: str | torch.device,
    dtype: torch.dtype,
    *,
    unread: str | None = None,
    **options: Any,
) -> Any:
    """``kind.from_pretrained`` from safetensors; weights whose name holds ``unread`` may be missing.

    Raises:
        InputError: the model is not there, is damaged, or is of another kind, or the device is not there.
    """
    device = pick_device(device)
    options |= {"dtype": dtype, "use_safetensors": True, "output_loading_info": True}
    model, report = load_pretrained(kind, name, **options)
    missing = [key for key in report["missing_keys"] if unread is None or unread not in key]
    if missing:
        raise InputError(
            f"the model is not a complete {kind.__name__}: {len(missing)} weights are missing, "
            f"among them '{min(missing)}'",
            place=name,
            remedy="name a folder or hub id of that kind of model",
        )
    return model.to(device)


def clip_processor(name: str | Path, size: int) -> Any:
    """CLIP's preprocessing as the model says it, else with its defaults at ``size`` pixels.

    Raises:
        InputError: the model's own settings are damaged, or make pictures of another size.
    """
    defaults = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}}
    processor = load_processor(CLIPImageProcessorPil, name, **defaults)
    try:
        *_, height, width = processor(Image.new("RGB", (size, size)), return_tensors="pt").pixel_values.shape
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        raise _not_loadable(CLIPImageProcessorPil, name, error) from error
    if (height, width) != (size, size):
        raise InputError(
            f"its {PREPROCESSING} makes pictures of {width} x {height} pixels, not {size} x {size}",
            place=name,
            remedy="take the file that belongs to the model",
        )
    return processor


def load_processor(kind: Any, name: str | Path, **defaults: Any) -> Any:
    """The preprocessing of a model's pictures, of ``defaults`` where the model says nothing.

    Raises:
        InputError: the model's own settings are damaged.
    """
    try:
        return kind.from_pretrained(str(name), **hub_options(str(name)))
    except Exception as error:  # a damaged file raises anything
        if not isinstance(error, OSError) or (Path(name) / PREPROCESSING).exists():
            raise _not_loadable(kind, name, error) from error
        return kind(**defaults)


def load_pretrained(kind: Any, name: str | Path, **options: Any) -> Any:
    """``kind.from_pretrained`` of a folder or hub id, quietly.

    Raises:
        InputError: it is not there or is damaged.
    """
    try:
        with quiet_loading():
            return kind.from_pretrained(str(name), **options, **hub_options(str(name)))
    except Exception as error:  # a damaged file raises anything
        if out_of_memory(error):
            raise
        raise _not_loadable(kind, name, error) from error


def _not_loadable(kind: Any, name: str | Path, error: Exception) -> InputError:
    files = "check the folder or copy it again; config.json and model.safetensors belong into it"
    reason, remedy = why_not_loaded(error, str(name), in_folder=files)
    return InputError(f"cannot load a {kind.__name__} ({reason})", place=name, remedy=remedy)
