"""The checks of `graphcond doctor`: libraries, device, kernels, the packaged base, the cache."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from graphcond.bases.attention import choose_attention, why_not_xformers
from graphcond.bases.config import PACKAGED
from graphcond.io.files import default_cache_folder
from graphcond.io.optional import why_missing
from graphcond.io.tensors import pick_device

LIBRARIES = ("torch", "diffusers", "transformers", "peft", "accelerate", "numba", "torchmetrics")

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Variables of the environment that set torch's number of threads."""


@dataclass(frozen=True)
class Finding:
    """One line of the report: the checked item, its state, and a remedy."""

    name: str
    state: str
    fine: bool = True
    advice: str = ""


def check_up() -> list[Finding]:
    """All checks of this installation. A missing part raises no error."""
    found = [Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")]
    for name in ("graphcond", *LIBRARIES):
        try:
            found.append(Finding(name, version(name)))
        except PackageNotFoundError:
            found.append(Finding(name, "not installed", fine=False, advice=f"pip install {name}"))
    attention = f"{choose_attention('auto', pick_device(None))} (what base.attention: auto takes)"
    found += [_device(), Finding("attention", attention), _xformers(), _dgl(), *_quantizers()]
    found += [_packaged(name, folder) for name, folder in PACKAGED.items()]
    folder = default_cache_folder()
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e9
    advice = "may be deleted at any time; GRAPHCOND_CACHE moves it"
    return [*found, Finding("cache", f"{folder}, {size:.1f} GB", advice=advice)]


def _packaged(name: str, folder: Path) -> Finding:
    size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) / 2**20
    if size == 0:
        return Finding(f"base {name}", "missing", fine=False, advice="reinstall graphcond")
    return Finding(f"base {name}", f"{size:.1f} MiB in the package")


def _quantizers() -> list[Finding]:
    from graphcond.bases.quantization import LIBRARIES as QUANTIZERS

    found = []
    for quantize, library in QUANTIZERS.items():
        setting = f"base.quantize: {quantize}"
        try:
            found.append(Finding(library, f"{version(library)}, for {setting}"))
        except PackageNotFoundError:
            advice = f"optional, for {setting}: pip install 'graphcond[quantize]'"
            found.append(Finding(library, "not installed", advice=advice))
    return found


def _device() -> Finding:
    if torch.cuda.is_available():
        properties = torch.cuda.get_device_properties(0)
        return Finding("device", f"cuda: {properties.name}, {properties.total_memory / 2**30:.0f} GiB")
    set_by = next((f" ({name}={os.environ[name]})" for name in THREADS if name in os.environ), "")
    threads = f"cpu, threads: {torch.get_num_threads()}{set_by}"
    return Finding("device", threads, advice="a CUDA build of torch uses a GPU")


def _xformers() -> Finding:
    reason = why_not_xformers(pick_device(None))
    if reason is None:
        return Finding("xformers", version("xformers"))
    advice = "SDPA is used instead" + (
        "; pip install 'graphcond[xformers]'" if torch.cuda.is_available() else ""
    )
    return Finding("xformers", reason, fine=False, advice=advice)


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
