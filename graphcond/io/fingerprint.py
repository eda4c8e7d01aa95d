"""Cache keys: hashes of the inputs from which a result was computed."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from graphcond.io.readable import check_readable, unreadable

if TYPE_CHECKING:
    from torch import nn


def fingerprint(*parts: object) -> str:
    """A name of 32 hexadecimal digits that changes whenever one of ``parts`` does.

    Args:
        parts: arrays by dtype, shape and content; anything else by its ``repr``.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str} {part.shape} ".encode())
            digest.update(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data)
        else:
            digest.update(f"{part!r} ".encode())
    return digest.hexdigest()[:32]


def weights_digest(module: nn.Module, settings: str) -> str:
    """SHA-256 of a network's weights, by name, dtype, shape and content, after ``settings``."""
    import torch

    digest = hashlib.sha256(settings.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def weights_sketch(module: nn.Module) -> str:
    """A fingerprint of a network's weights that takes milliseconds, equal for float32 and float16 copies.

    It reads up to 64 numbers of each tensor, rounded to float16, and every shape. Names do not count, since
    libraries rename layers, nor do the layers that peft adds. Weights in bfloat16 have lost digits: their
    fingerprint begins with ``bf16:`` and can be compared only with others that do. Quantized weights do not
    count either; the fingerprint of a network that has some begins with ``quantized:``.
    """
    import torch

    every = {name: tensor.detach() for name, tensor in module.state_dict().items() if ".lora_" not in name}
    own = [
        tensor
        for tensor in every.values()
        if type(tensor) is torch.Tensor and tensor.is_floating_point() and tensor.numel()
    ]
    short = "bf16:" if any(tensor.dtype == torch.bfloat16 for tensor in own) else ""
    if any(type(tensor) is not torch.Tensor or tensor.dtype == torch.uint8 for tensor in every.values()):
        short = f"quantized:{short}"
    if not own:
        return fingerprint()
    some = [tensor.reshape(-1)[:: max(1, tensor.numel() // 64)][:64].half() for tensor in own]
    return short + fingerprint([tuple(tensor.shape) for tensor in own], torch.cat(some).cpu().numpy())


def module_version(module: nn.Module, config: Mapping[str, object]) -> str:
    """The fingerprint of a network: its weights and its config."""
    settings = sorted((key, repr(value)) for key, value in config.items())
    return weights_digest(module, repr(settings))[:32]


@lru_cache
def source_version(package: ModuleType) -> str:
    """The fingerprint of a package's code, so that a result of old code is not used with new code.

    Comments, docstrings and layout do not count: a new wording invalidates no cache.
    """
    folder = Path(str(package.__file__)).parent
    return fingerprint(*(code_of(file.read_bytes()) for file in sorted(folder.rglob("*.py"))))


def code_of(source: bytes) -> str:
    """The syntax tree of a Python file, without docstrings, those of attributes among them."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            texts = [
                line
                for line in body
                if isinstance(line, ast.Expr)
                and isinstance(line.value, ast.Constant)
                and isinstance(line.value.value, str)
            ]
            node.body = [line for line in body if line not in texts]  # type: ignore[attr-defined]
    return ast.dump(tree)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content.

    Raises:
        InputError: the file cannot be read, or is a device or a pipe, which may never end.
    """
    check_readable(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from None
