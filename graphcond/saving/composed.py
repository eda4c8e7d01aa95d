"""Models that were composed by hand: what is saved of their parts, and the parts made of it again.

A part is saved as the config that made it, or as the path of its class and its arguments. Classes outside of
graphcond are imported with consent only: that runs code, and the file that names them may be a stranger's.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import reduce
from importlib import import_module
from inspect import Parameter, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field, ValidationError

from graphcond.adapters import INJECTORS, Injector
from graphcond.bases import Base, BaseConfig
from graphcond.bases.config import PACKAGED, packaged_bases
from graphcond.condition import Condition, Null
from graphcond.config import ComponentConfig, Config, Part, as_input_error, tagged_union
from graphcond.encoders import ENCODERS, Encoder
from graphcond.errors import InputError, Notice, did_you_mean
from graphcond.io.files import read_json
from graphcond.recipe import Recipe
from graphcond.recipe.sections import FeaturesConfig
from graphcond.saving.bundled import check_there, named_in, on_base
from graphcond.saving.model_folder import MANIFEST

if TYPE_CHECKING:
    import torch

    from graphcond.model import GraphModel

KEY = "composition"
"""The key of the composition in the manifest, where other models have their recipe."""


PartName: TypeAlias = Annotated[str, Field(pattern=r"^[^/\\.]+$")]
"""A part's name is that of its folder, and is written with a dot before what belongs to it."""


class ClassConfig(ComponentConfig):
    """A part of a class that no kind names."""

    kind: Literal["class"] = "class"
    path: str = Field(pattern=r"^[\w.]+:[\w.<>]+$")
    """``package.module:Class``."""
    arguments: dict[str, Any] | None
    """Of the class; None where they cannot be written."""

    def imports(self) -> str | None:
        """The path, unless the class belongs to graphcond."""
        return None if self.path.startswith("graphcond.") else self.path

    def made(self, contract: type[Part]) -> Part:
        """A new part, of a class that derives from ``contract``; nothing else is called.

        Raises:
            Exception: whatever the module or the class raises.
        """
        module, _, names = self.path.partition(":")
        found = reduce(getattr, names.split("."), import_module(module))
        if not (isinstance(found, type) and issubclass(found, contract)):
            raise TypeError(f"it does not derive from {contract.__name__}")
        if self.arguments is None:
            raise TypeError("its arguments are not in the file")
        return found(**self.arguments)


if TYPE_CHECKING:
    SavedEncoder: TypeAlias = ComponentConfig
    SavedInjector: TypeAlias = ComponentConfig
else:
    SavedEncoder = tagged_union({**ENCODERS, "class": ClassConfig})
    SavedInjector = tagged_union({**INJECTORS, "class": ClassConfig})


class SavedCondition(Config):
    """Encoder and injector under one name."""

    name: PartName
    encoder: SavedEncoder
    injector: SavedInjector
    without_graph: Null
    sampler: None = None
    """There is none: the caller gives the context."""


class Composition(Config):
    """What a model that was composed by hand consists of."""

    name: str = "composed"
    description: str = "A graph-conditioned diffusion model, composed by hand."
    feature_width: int = Field(ge=1)
    """Width of the embeddings that the encoders read."""
    base: BaseConfig | None
    """None for a base that was made in Python."""
    features: FeaturesConfig | None
    """None for an extractor of the user's own."""
    conditions: tuple[SavedCondition, ...] = Field(min_length=1)
    adapters: dict[PartName, SavedInjector]


def parts_of(model: Recipe | Composition) -> dict[str, ComponentConfig]:
    """What was trained: ``<condition>.encoder``, ``<condition>.injector``, and adapters by their name."""
    kinds = ("encoder", "injector")
    pairs = {f"{one.name}.{kind}": getattr(one, kind) for one in model.conditions for kind in kinds}
    return pairs | model.adapters


def composition_of(model: GraphModel) -> Composition:
    """What a model consists of. A part that cannot be made again gives a `Notice`.

    Folders are named by their full path, so that the model opens from wherever it is opened.

    Raises:
        InputError: a condition or an adapter has a name that no folder can have.
    """
    base = model.base.loaded_as
    packaged = [name for name, folder in PACKAGED.items() if str(folder) == getattr(base, "model", None)]
    if base is not None and packaged:  # by its name, and not by where the package is
        kind = packaged_bases()[packaged[0]]
        base = kind.model_validate(base.model_dump(include=set(kind.model_fields) - {"kind"}))
    values = {
        "feature_width": model.feature_width,
        "base": None if base is None else base.model_dump(mode="json"),
        "features": None if model.features is None else model.features.model_dump(mode="json"),
        "conditions": [
            {
                "name": name,
                "encoder": saved_part(one.encoder, ENCODERS),
                "injector": saved_part(one.injector, INJECTORS),
                "without_graph": one.null,
            }
            for name, one in model.conditions.items()
        ],
        "adapters": {name: saved_part(one, INJECTORS) for name, one in model.adapters.items()},
    }
    composition = _composition(named_in(values, {}), "model")
    for name, part in parts_of(composition).items():
        if isinstance(part, ClassConfig) and part.arguments is None:
            warnings.warn(
                f"{name} ({part.path}) has arguments that cannot be written to a file; its weights are "
                "saved, and the part must be given when the model is loaded: "
                f"from_pretrained(..., parts={{'{name}': ...}})",
                Notice,
                stacklevel=3,
            )
    return composition


def read_composition(folder: Path, *, base: Path | None, changes: Mapping[str, str]) -> Composition:
    """The composition in the manifest of a saved model; arguments as for `read_manifest`.

    Raises:
        InputError: there is none, it names a kind that this installation lacks, or ``base`` is no folder.
    """
    place, values = folder / MANIFEST, read_json(folder / MANIFEST).get(KEY)
    if base is not None:
        values = on_base(values, base)
    if changes and isinstance(values, dict) and isinstance(values.get("base"), dict):
        values["base"] |= changes
    return _composition(values, place)


def _composition(values: Any, place: object) -> Composition:
    try:
        return Composition.model_validate(values)
    except ValidationError as error:
        raise as_input_error(error, Composition, place) from None


def check_imports(parts: Mapping[str, ComponentConfig], place: Path, *, replaceable: bool = False) -> None:
    """Check that making parts imports no class outside of graphcond, which runs code.

    Args:
        parts: by their names.
        place: the file that describes them.
        replaceable: the parts can be given when the model is loaded.

    Raises:
        InputError: a part names such a class.
    """
    others = {name: path for name, part in parts.items() if (path := part.imports()) is not None}
    if others:
        classes = ", ".join(f"{name}: {path}" for name, path in others.items())
        instead = f"give them, parts={{'{next(iter(others))}': ...}}; or, " if replaceable else ""
        raise InputError(
            f"the model has parts of classes outside of graphcond ({classes})",
            place=place,
            remedy=f"{instead}if you trust the author of the file, allow the import of these classes: "
            "GraphPipeline.from_pretrained(..., trust_remote_code=True), or --trust-remote-code",
        )


class Remaker:
    """Makes the parts of a composition again, without their weights.

    Args:
        composition: what to make.
        place: the file that says so.
        parts: parts to use in place of those; with a single condition also as ``encoder`` and ``injector``.
        trust: import classes of other packages.

    Raises:
        InputError: a part is not one of the composition, or a class must not or cannot be imported.
    """

    def __init__(
        self, composition: Composition, place: Path, parts: Mapping[str, Any], *, trust: bool
    ) -> None:
        self.composition, self.place = composition, place
        names = parts_of(composition)
        first, *more = composition.conditions
        short = {} if more else {kind: f"{first.name}.{kind}" for kind in ("encoder", "injector")}
        self._given = {short.get(name, name): part for name, part in parts.items()}
        for name in self._given.keys() - names.keys():
            remedy = did_you_mean(name, [*short, *names])
            raise InputError(f"the model has no part '{name}'", place="parts", remedy=remedy)
        if not trust:
            made = {name: part for name, part in names.items() if name not in self._given}
            check_imports(made, place, replaceable=True)

    def base(self, device: torch.device) -> Base:
        """The base, loaded.

        Raises:
            InputError: it was made in Python, or it cannot be loaded.
        """
        if self.composition.base is None:
            raise InputError(
                "the model was composed over a base that was made in Python",
                place=self.place,
                remedy="give it: from_pretrained(..., base=...)",
            )
        check_there(self.composition, self.place)
        return self.composition.base.build(device=device)

    def conditions(self, base: Base) -> list[Condition]:
        """The conditions, injected into ``base``."""
        made, width = [], self.composition.feature_width
        for one in self.composition.conditions:
            encoder = self._part(f"{one.name}.encoder", one.encoder, Encoder, feature_width=width, base=base)
            given = {"signal_width": encoder.signal_width}
            injector = self._part(f"{one.name}.injector", one.injector, Injector, **given)
            injector.inject(base)
            made.append(Condition(one.name, encoder, injector, null=one.without_graph).to(base.device))
        return made

    def adapters(self, base: Base) -> dict[str, Injector[Any]]:
        """The updates of ``base``, injected into it."""
        made = {}
        for name, config in self.composition.adapters.items():
            made[name] = self._part(name, config, Injector)
            made[name].inject(base)
        return made

    def _part(self, name: str, config: Any, contract: type[Part], **given: Any) -> Any:
        """A part that was given, or a new one; ``given`` are the arguments of its config's ``build``."""
        if name in self._given:
            part, kind = self._given[name], contract.__name__
            if not isinstance(part, contract):
                raise InputError(
                    f"expected an {kind}, got a {type(part).__name__}",
                    place=f"parts, {name}",
                    remedy=f"give an object of a class that derives from graphcond.{kind}",
                )
            return part
        if not isinstance(config, ClassConfig):
            return config.build(**given)
        try:
            return config.made(contract)
        except Exception as error:  # another's module may raise anything
            raise InputError(
                f"{config.path} cannot be made again: {error}",
                place=f"{self.place}, {name}",
                remedy=f"give the part: from_pretrained(..., parts={{'{name}': ...}})",
            ) from error


def saved_part(part: Part, kinds: Mapping[str, type[ComponentConfig]]) -> dict[str, Any]:
    """The plain values of the config that made a part, if its kind is known, or of its `ClassConfig`."""
    config = part.made_by
    if config is not None and kinds.get(config.kind) is type(config):
        return config.model_dump(mode="json")
    kind = type(part)
    return ClassConfig(path=f"{kind.__module__}:{kind.__qualname__}", arguments=_arguments(part)).model_dump(
        mode="json"
    )


def _arguments(part: Part) -> dict[str, Any] | None:
    """The arguments of the class by name, if JSON can hold them; tuples become lists in it."""
    positional, named = part.made_with
    try:
        bound = signature(type(part)).bind(*positional, **named)
    except TypeError:
        return None
    values: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is Parameter.VAR_POSITIONAL:
            return None
        values |= value if kind is Parameter.VAR_KEYWORD else {name: value}
    return values if _plain(values) else None


def _plain(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(name, str) for name in value) and all(map(_plain, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_plain, value))
    return value is None or isinstance(value, bool | int | float | str)
