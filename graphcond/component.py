"""What samplers, encoders, injectors and bases have in common: a frozen config tagged by ``kind``.

A config stands beside its class and builds it: ``Config.build(...)`` receives what only the caller
knows (a token width, a graph). Built parts take plain arguments and never see a config.
Other packages add kinds through the entry points named in each room's ``__init__``.
"""

from __future__ import annotations

from functools import reduce
from importlib.metadata import entry_points
from operator import or_
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field

from graphcond.errors import InputError


class Config(BaseModel):
    """Base of every section of a recipe: frozen, strict about unknown names and numbers that are none."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)


class ComponentConfig(Config):
    """Config of a part that is chosen by its ``kind``; subclasses narrow ``kind`` to a literal."""

    kind: str

    @classmethod
    def kind_name(cls) -> str:
        """The one value of ``kind`` that selects this config."""
        return get_args(cls.model_fields["kind"].annotation)[0]


def by_kind(configs: tuple[type[ComponentConfig], ...], group: str) -> dict[str, type[ComponentConfig]]:
    """The package's own configs and those that other packages offer under the entry point ``group``.

    Raises:
        InputError: a plug-in cannot be imported, is no `ComponentConfig`, or takes a kind that exists.
    """
    kinds = {config.kind_name(): config for config in configs}
    for point in entry_points(group=group):
        config = _load(point, group)
        if kinds.setdefault(config.kind_name(), config) is not config:
            raise InputError(
                f"kind '{config.kind_name()}' exists already",
                place=f"plug-in '{point.value}' ({group})",
                remedy="rename the plug-in's kind or uninstall it",
            )
    return kinds


def tagged_union(kinds: dict[str, type[ComponentConfig]]) -> Any:
    """A pydantic type that accepts any of ``kinds``, told apart by ``kind``."""
    configs = tuple(kinds.values())
    return Annotated[reduce(or_, configs), Field(discriminator="kind")] if len(configs) > 1 else configs[0]


def _load(point: Any, group: str) -> type[ComponentConfig]:
    try:
        config = point.load()
    except Exception as error:
        raise InputError(
            f"cannot be imported: {error}",
            place=f"plug-in '{point.value}' ({group})",
            remedy="mend or uninstall it",
        ) from error
    if not (isinstance(config, type) and issubclass(config, ComponentConfig)):
        raise InputError(
            "is not a ComponentConfig",
            place=f"plug-in '{point.value}' ({group})",
            remedy="point the entry at a config class",
        )
    return config
