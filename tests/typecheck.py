"""Shapes are checked at run time: jaxtyping and beartype look at each call whose signature has a shape in it.

jaxtyping's own import hook wraps all functions, also kernels, which numba then cannot compile, and small ones
without any array, which then take many times as long. This hook wraps functions, methods, dataclasses and
named tuples with a shape in their signature.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import CodeType, ModuleType
from typing import Any, ForwardRef, get_args

import jaxtyping
import torch
from beartype import BeartypeConf, beartype

MARK = "__checked__"

check_types = beartype(conf=BeartypeConf(is_pep484_tower=True))
"""Checks every type, and takes an int where a float is asked for."""


def check_shapes(function: Callable[..., Any]) -> Callable[..., Any]:
    """Check only arrays: a dataclass may convert its other fields, and refuses what it cannot use."""
    hints = function.__annotations__
    function.__annotations__ = {name: hint if has_shape(hint) else Any for name, hint in hints.items()}
    return check_types(function)


def has_shape(hint: object) -> bool:
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(has_shape(part) for part in get_args(hint))


ONLY_TYPES = {"torch": torch, "Tensor": torch.Tensor}
"""Names that modules without torch import for type checkers alone."""


def resolved(function: Callable[..., Any], module: str) -> dict[str, Any]:
    """The annotations of a function; any type where they name what is not imported or not yet defined."""
    hints = {}
    for name, hint in getattr(function, "__annotations__", {}).items():
        text = hint.__forward_arg__ if isinstance(hint, ForwardRef) else hint
        try:
            names = ONLY_TYPES | vars(sys.modules[module])
            hints[name] = eval(text, names) if isinstance(text, str) else text
        except (NameError, AttributeError, TypeError):
            hints[name] = Any
    return hints


def checked(thing: Any) -> Any:
    """A function or class that checks the shapes that it is called with; itself where it has none."""
    if not inspect.isclass(thing):
        return _checked(thing, thing.__module__, check_types)
    maker = "__init__" if dataclasses.is_dataclass(thing) else "__new__" if hasattr(thing, "_fields") else ""
    if maker in vars(thing):
        setattr(thing, maker, _checked(getattr(thing, maker), thing.__module__, check_shapes))
    return thing


def _checked(function: Any, module: str, typechecker: Callable[..., Any]) -> Any:
    hints = resolved(function, module)
    if not any(map(has_shape, hints.values())):
        return function
    function.__annotations__ = hints
    return jaxtyping.jaxtyped(function, typechecker=typechecker)


@contextmanager
def unchecked() -> Iterator[None]:
    """Check nothing: for tests of what the package itself says of arrays that do not fit."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


class _Loader(SourceFileLoader):
    """Decorates the functions and classes of a module with `checked`. The byte code is not cached."""

    def get_code(self, fullname: str) -> CodeType:
        tree = ast.parse(self.get_data(self.path))
        holders = [tree, *(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef))]
        for node in [node for holder in holders for node in holder.body]:
            mark = ast.copy_location(ast.Name(MARK, ast.Load()), node)
            if isinstance(node, ast.ClassDef):
                node.decorator_list.insert(0, mark)  # around @dataclass, which makes the __init__
            elif isinstance(node, ast.FunctionDef):
                node.decorator_list.append(mark)  # inside of all others, which may hide annotations
        return compile(tree, self.path, "exec", dont_inherit=True)

    def exec_module(self, module: ModuleType) -> None:
        vars(module)[MARK] = checked
        super().exec_module(module)


class _Finder(MetaPathFinder):
    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, fullname: str, path: Any, target: object = None) -> ModuleSpec | None:
        if fullname.partition(".")[0] != self.package:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
        return spec


def check_package(name: str) -> None:
    """Check the shapes of all modules of a package that are imported from now on."""
    sys.meta_path.insert(0, _Finder(name))
