"""The checks of `graphcond doctor`: libraries, device, kernels, the packaged base, the cache."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from graphcond.bases.attention import choose_attention, why_not_xformers
from graphcond.bases.config import TINY_FOLDER
from graphcond.io.files import default_cache_folder
from graphcond.io.optional import why_missing
from graphcond.io.tensors import pick_device

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate", "numba", "torchmetrics")


@dataclass(frozen=True)
class Finding:
    """One line of the report: the checked item, its state, and a remedy."""

    name: str
    state: str
    fine: bool = True
    advice: str = ""


def check_up() -> list[Finding]:
    """All checks of this installation. A missing part raises no error."""
    return [
        Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        *(_library(name) for name in ("graphcond", *LIBRARIES)),
        _device(),
        Finding(
            "attention", f"{choose_attention('auto', pick_device(None))} (what base.attention: auto takes)"
        ),
        _xformers(),
        _dgl(),
        _tiny_base(),
        _cache(),
    ]


def _library(name: str) -> Finding:
    try:
        return Finding(name, version(name))
    except PackageNotFoundError:
        return Finding(name, "not installed", fine=False, advice=f"pip install {name}")


def _device() -> Finding:
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Finding("device", f"cuda: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    return Finding(
        "device", f"cpu, {torch.get_num_threads()} threads", advice="a CUDA build of torch uses a GPU"
    )


def _xformers() -> Finding:
    reason = why_not_xformers(pick_device(None))
    if reason is None:
        return Finding("xformers", version("xformers"))
    advice = "SDPA is used instead" + (
        "; pip install 'graphcond[xformers]'" if torch.cuda.is_available() else ""
    )
    return Finding("xformers", reason, fine=not torch.cuda.is_available(), advice=advice)


def _dgl() -> Finding:
    try:
        found = version("dgl")
    except PackageNotFoundError:
        return Finding(
            "dgl", "not installed", advice="optional: pip install 'graphcond[dgl]' (Python 3.11, CPU)"
        )
    reason = why_missing("dgl")
    if reason is not None:
        return Finding(
            "dgl", f"{found} cannot be imported ({reason})", fine=False, advice="pip install dgl==1.1.3"
        )
    return Finding("dgl", found)


def _cache() -> Finding:
    folder = default_cache_folder()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9
    return Finding(
        "cache", f"{folder}, {size:.1f} GB", advice="may be deleted at any time; GRAPHCOND_CACHE moves it"
    )


def _tiny_base() -> Finding:
    weights = list(TINY_FOLDER.rglob("*.safetensors"))
    if not weights:
        return Finding("tiny base", "missing", fine=False, advice="reinstall graphcond")
    size = sum(path.stat().st_size for path in weights) / 2**20
    return Finding("tiny base", f"{size:.1f} MiB in the package")
