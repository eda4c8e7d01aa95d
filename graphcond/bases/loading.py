"""Loading the parts of a diffusers folder or hub model, with errors that name a remedy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from logging import CRITICAL
from pathlib import Path
from threading import RLock
from typing import Any

import diffusers
import torch
from diffusers import DDIMScheduler, SchedulerMixin
from huggingface_hub import HfApi
from huggingface_hub.errors import HfHubHTTPError
from transformers import CLIPTokenizer
from transformers.utils import logging

from graphcond.bases.quantization import loading_options
from graphcond.errors import InputError, did_you_mean, out_of_memory
from graphcond.io.hub import why_not_loaded
from graphcond.io.quiet import ignored
from graphcond.io.tensors import MISFIT, listed

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""The number formats that `graphcond.bases.config.DType` names."""


def number_format(name: str) -> torch.dtype:
    """The number format of weights of that name.

    Raises:
        InputError: there is none.
    """
    if name not in DTYPES:
        raise InputError(f"there is no '{name}'", place="base.dtype", remedy=did_you_mean(str(name), DTYPES))
    return DTYPES[name]


def dtype_name(given: str | torch.dtype | None) -> str | None:
    """The name in `DTYPES` of a number format, which may be given by torch's object for it; None for None.

    Raises:
        InputError: there is none.
    """
    names = {dtype: name for name, dtype in DTYPES.items()}
    if given is None or given in DTYPES:
        return given
    if given not in names:
        raise InputError(
            f"expected {', '.join(DTYPES)} or torch's name of it, got {given!r}",
            place="dtype",
            remedy="use torch.float32, torch.float16 or torch.bfloat16",
        )
    return names[given]


HUB_SECONDS = 10
"""Seconds to wait for the hub before the downloaded files are used."""


def load_part(kind: Any, model: str, subfolder: str, **options: Any) -> Any:
    """``kind.from_pretrained`` of one part of a model; weights from safetensors only.

    Raises:
        InputError: the part is missing, incomplete, or of other shapes than its config says.
    """
    if "dtype" in options:
        name = "torch_dtype" if kind.__module__.startswith("diffusers") else "dtype"
        options |= loading_options(subfolder, options["dtype"])
        options |= {name: options.pop("dtype"), "use_safetensors": True}
    try:
        with quiet_loading():
            return kind.from_pretrained(model, subfolder=subfolder, **options, **hub_options(model))
    except Exception as error:  # a damaged file raises anything
        if out_of_memory(error):
            raise
        raise _unloadable(model, subfolder, error) from error


def load_released(kind: Any, model: str, *, place: str) -> Any:
    """``kind.from_pretrained`` of a model of diffusers that is no part of a base, in float32.

    Args:
        kind: its class.
        model: a folder, or an id on the hub.
        place: the setting that names it.

    Raises:
        InputError: it is missing or damaged, of another class, or its weights are not those of its config.
    """
    options: dict[str, Any] = {"use_safetensors": True, "torch_dtype": torch.float32, **hub_options(model)}
    try:
        with quiet_loading():
            name = kind.load_config(model, **hub_options(model)).get("_class_name")
            if name == kind.__name__:
                found, info = kind.from_pretrained(model, output_loading_info=True, **options)
    except Exception as error:  # a damaged file raises anything
        if out_of_memory(error):
            raise
        layout = "give a folder of diffusers with safetensors weights"
        reason, remedy = why_not_loaded(error, model, in_folder=layout)
        raise InputError(f"'{model}' cannot be loaded ({reason})", place=place, remedy=remedy) from error
    if name != kind.__name__:
        raise InputError(
            f"expected a {kind.__name__}, got a {name}", place=f"{place}: {model}", remedy="give one"
        )
    missing, surplus = ({*info[keys]} for keys in ("missing_keys", "unexpected_keys"))
    if missing or surplus:
        problems = [f"'{name}' is missing" for name in missing] + [f"'{name}' is surplus" for name in surplus]
        wanted = {*found.state_dict()}
        shown = listed(problems, wanted - missing | surplus, wanted)
        raise InputError(f"{MISFIT}: {shown}", place=f"{place}: {model}", remedy="fetch it again")
    return found


def load_tokenizer(
    model: str, subfolder: str = "tokenizer", *, kind: Any = CLIPTokenizer, revision: str | None = None
) -> Any:
    """A tokenizer of a model.

    Raises:
        InputError: it is missing; transformers would give an empty one in its place.
    """
    tokenizer = load_part(kind, model, subfolder, revision=revision)
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise _unloadable(model, subfolder, FileNotFoundError("it has no vocabulary"))
    return tokenizer


def load_scheduler(model: str, *, revision: str | None = None) -> SchedulerMixin:
    """The scheduler of a model, of the class that its config names.

    Raises:
        InputError: the config is missing or names no scheduler of diffusers.
    """
    try:
        options = {"revision": revision, **hub_options(model)}
        config = DDIMScheduler.load_config(model, subfolder="scheduler", **options)
        return getattr(diffusers, config["_class_name"]).from_config(config)
    except Exception as error:  # whatever class the config names raises what it likes
        raise _unloadable(model, "scheduler", error) from error


@cache
def hub_options(model: str) -> dict[str, bool]:
    """Options to load ``model`` with: only what is downloaded already, where no hub can be reached.

    Otherwise the libraries ask the hub again and again, for half a minute and with a warning each time.
    """
    if Path(model).is_dir():
        return {}
    try:
        HfApi().model_info(model, timeout=HUB_SECONDS)
    except HfHubHTTPError:  # the hub was reached; the libraries tell best what it says
        return {}
    except Exception:  # it was not, in the words of whatever HTTP library carries the request
        return {"local_files_only": True}
    return {}


_LOADING = RLock()
"""Libraries have one verbosity for all threads: overlapping blocks would leave them silent."""


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Suppress the loading bars, reports and warnings of libraries; what matters is raised as an error."""
    libraries = (logging, diffusers.utils.logging)
    with _LOADING, ignored(UserWarning):
        verbosities = [one.get_verbosity() for one in libraries]
        bars = [one.is_progress_bar_enabled() for one in libraries]
        for one in libraries:
            one.set_verbosity(CRITICAL)
            one.disable_progress_bar()
        try:
            yield
        finally:
            for one, verbosity, bar in zip(libraries, verbosities, bars, strict=True):
                one.set_verbosity(verbosity)
                if bar:
                    one.enable_progress_bar()


def _unloadable(model: str, subfolder: str, error: Exception) -> InputError:
    layout = "check the folder: it must be in diffusers' layout, with safetensors weights"
    reason, remedy = why_not_loaded(error, model, in_folder=layout, part=subfolder)
    return InputError(f"its {subfolder} cannot be loaded ({reason})", place=f"base '{model}'", remedy=remedy)
