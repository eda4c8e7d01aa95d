"""Configs of parts: frozen, tagged by ``kind``; the registry of plug-ins; pydantic errors as sentences.

Configs live in a room's ``config.py``, which imports neither torch nor numba, and name their class by its
path; `ComponentConfig.make` imports it. ``Config.build(...)`` receives what only the caller knows (a token
width, a graph). Built parts take plain arguments and never see a config; their arguments' default values come
from `model_construct`, so that a setting has one.
Other packages add kinds through the entry points named in each room's ``config.py``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, reduce, wraps
from importlib import import_module
from importlib.metadata import entry_points
from inspect import signature
from numbers import Real
from operator import or_
from types import FunctionType, UnionType
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from graphcond.errors import InputError, did_you_mean

POWER_OF_TEN = re.compile(r"\d+(\.\d+)?[eE]\+?\d{1,2}")


class Config(BaseModel):
    """Base of every section of a recipe: frozen; unknown names and numbers that are not finite are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _read_powers_of_ten(cls, values: Any) -> Any:
        """A whole number may be written ``1e3``, which YAML reads as text."""
        if not isinstance(values, dict):
            return values
        whole = {name for name, field in cls.model_fields.items() if _bare(field.annotation) is int}
        return {
            name: float(value)
            if name in whole and isinstance(value, str) and POWER_OF_TEN.fullmatch(value)
            else value
            for name, value in values.items()
        }


Names: TypeAlias = Annotated[
    tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)
]
"""Names; one may be written without brackets, as in ``--set lora.targets=to_q``."""


class Part:
    """A part that remembers what it was made of, so that a model composed by hand can be saved with it."""

    made_by: ComponentConfig | None = None
    """The config that made it; None for one that was made in Python."""
    made_with: tuple[tuple[Any, ...], dict[str, Any]]
    """The arguments of its class, by position and by name."""

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """A part that knows its arguments."""
        part = super().__new__(cls)
        vars(part)["made_with"] = args, given
        return part


class ComponentConfig(Config):
    """Config of a part that is chosen by its ``kind``; subclasses narrow ``kind`` to a literal."""

    kind: str

    component: ClassVar[str | type[Any]]
    """The class to build: ``package.module:Class``, imported when it is needed; or the class itself."""

    @classmethod
    def kind_name(cls) -> str:
        """The one value of ``kind`` that selects this config."""
        return get_args(cls.model_fields["kind"].annotation)[0]

    @classmethod
    def component_class(cls) -> type[Any]:
        """The class that `component` names, imported if it is not yet."""
        if isinstance(cls.component, type):
            return cls.component
        module, _, name = cls.component.partition(":")
        return getattr(import_module(module), name)

    def make(self, *, without: Collection[str] = (), **given: Any) -> Any:
        """The component, called with this config's fields as keyword arguments.

        Args:
            without: fields that the class does not take.
            given: values that only the caller has. The class gets those that its ``__init__`` names; they
                replace fields of the same name.
        """
        component = self.component_class()
        fields = type(self).model_fields.keys() - {"kind", *without}
        accepted = signature(component).parameters
        known = {name: value for name, value in given.items() if name in accepted}
        return component(**{name: getattr(self, name) for name in fields} | known)

    def imports(self) -> str | None:
        """The class outside of graphcond that its settings name, which building imports; None without."""
        return None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "build" in vars(cls):
            cls.build = _remembered(cls.build)  # type: ignore[attr-defined]


def _remembered(build: Callable[..., Any]) -> Callable[..., Any]:
    """A config's ``build`` whose `Part` remembers the config."""

    @wraps(build)
    def built(self: ComponentConfig, *args: Any, **given: Any) -> Any:
        made = build(self, *args, **given)
        if isinstance(made, Part):
            made.made_by = self
        return made

    return built


Component = TypeVar("Component", bound=type[Any])


def checked(config: type[ComponentConfig]) -> Callable[[Component], Component]:
    """A decorator of the class that ``config`` builds: its arguments are checked in Python as in a recipe.

    Checked are numbers, texts and switches that are given by the name of a setting. What only a caller has (a
    graph, a network) passes, and so do lists.

    Raises:
        InputError: later, where the class is made with a value that the setting does not allow.
    """

    def decorated(component: Component) -> Component:
        make = component.__init__

        @wraps(make)
        def init(self: Any, *args: Any, **given: Any) -> None:
            for name in given.keys() & config.model_fields.keys():
                given[name] = _checked(config, name, given[name], component.__name__)
            make(self, *args, **given)

        component.__init__ = init  # type: ignore[misc]
        return component

    return decorated


def _checked(config: type[ComponentConfig], name: str, given: Any, component: str) -> Any:
    plain = given.item() if getattr(given, "ndim", None) == 0 else given
    if not isinstance(plain, bool | int | float | str):
        return given
    try:
        value, problem = _field_of(config, name).validate_python(plain), "expected a number"
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "less_than_equal" and config.model_fields[name].annotation is int:
            return (
                plain  # how many are too many depends on the machine, and a caller knows more than a recipe
            )
        value, problem = None, first["msg"].replace("Input should be", "expected", 1)
    # A recipe is text, in which "5" is a number; in Python it is a mistake, and so is True.
    confused = isinstance(plain, bool | str) and isinstance(value, bool | int | float)
    if value is None or (confused and type(value) is not type(plain)):
        raise InputError(
            f"{problem[:1].lower()}{problem[1:]}, got {shown(given)}",
            place=f"{component}, {name}",
            remedy="correct that argument",
        )
    return value


@cache
def _field_of(config: type[ComponentConfig], name: str) -> TypeAdapter[Any]:
    """A check of one setting alone."""
    field = config.model_fields[name]
    kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
    return TypeAdapter(kind, config=ConfigDict(allow_inf_nan=False))


C = TypeVar("C", bound=ComponentConfig)


def by_kind(
    configs: tuple[type[C], ...], group: str, *contracts: type[ComponentConfig]
) -> dict[str, type[C]]:
    """The package's own configs and those that other packages offer under the entry point ``group``.

    Args:
        configs: the package's own.
        group: the name of the entry points.
        contracts: the base classes of this room's configs. A plug-in that derives from none of them is
            completed by the first.

    Raises:
        InputError: as `registered`.
    """
    kinds = of_contract(configs, group, ComponentConfig)
    for config in set(kinds.values()) - set(configs):
        for contract in [one for one in contracts if issubclass(config, one)] or contracts[:1]:
            _complete(config, contract)
    return kinds


def of_contract(
    configs: tuple[type[C], ...], group: str, contract: type[ComponentConfig]
) -> dict[str, type[C]]:
    """The package's own configs and those that other packages offer, all of which derive from ``contract``.

    Args:
        configs: the package's own.
        group: the name of the entry points.
        contract: the base class of the configs.

    Raises:
        InputError: as `registered`.
    """
    return registered(
        configs,
        group,
        name=lambda config: config.kind_name(),
        accepts=lambda found: isinstance(found, type) and issubclass(found, contract),
        expected=f"a {contract.__name__}",
    )


def _complete(config: type[ComponentConfig], contract: type[ComponentConfig]) -> None:
    """Give a plug-in's config what ``contract`` declares and the plug-in leaves to its class.

    The core used to read these declarations (``reads``, ``gives``, ``makes``) off the class itself.
    """
    component = getattr(config, "component", None)
    declared = {name for one in config.__mro__ if one not in contract.__mro__ for name in vars(one)}
    for name in contract.__class_vars__ - {"component"} - declared:
        setattr(config, name, getattr(component, name, getattr(contract, name, None)))
    for name, method in vars(contract).items():
        if isinstance(method, FunctionType | classmethod | property) and not hasattr(config, name):
            setattr(config, name, method)


def lazy_registry(
    module: str, registry: str, union: str, load: Callable[[], Mapping[str, type[ComponentConfig]]]
) -> Callable[[str], Any]:
    """``__getattr__`` of a module whose registry, and the pydantic type over it, are made when first used.

    Whoever imports a plug-in's module imports this module on the way. If that loaded plug-ins, they would be
    looked for in the module that is only half imported.

    Args:
        module: ``__name__`` of the module.
        registry: the name of the registry.
        union: the name of the type that accepts any of its configs, distinguished by ``kind``.
        load: makes the registry.
    """

    def get(name: str) -> Any:
        if name not in (registry, union):
            raise AttributeError(f"module '{module}' has no attribute '{name}'")
        this = sys.modules[module]
        value = load() if name == registry else tagged_union(getattr(this, registry))
        vars(this)[name] = value
        return value

    return get


def tagged_union(kinds: Mapping[str, type[ComponentConfig]]) -> Any:
    """A pydantic type that accepts any of ``kinds``, distinguished by ``kind``."""
    configs = tuple(kinds.values())
    return Annotated[reduce(or_, configs), Field(discriminator="kind")] if len(configs) > 1 else configs[0]


T = TypeVar("T")


def registered(
    own: Iterable[T],
    group: str,
    *,
    name: Callable[[T], str],
    accepts: Callable[[object], bool],
    expected: str,
) -> dict[str, T]:
    """The package's own entries and those of other packages, by name, in that order.

    Args:
        own: the entries of this package.
        group: the entry point under which other packages offer theirs.
        name: the name of an entry; each name exists once.
        accepts: whether an object that a plug-in offers is an entry.
        expected: what an entry is, with its article, for the error.

    Raises:
        InputError: a plug-in cannot be imported, is something else, or takes a name that exists.
    """
    entries = {name(entry): entry for entry in own}
    for point in entry_points(group=group):
        place = f"plug-in '{point.value}' ({group})"
        try:
            found = point.load()
        except Exception as error:  # a plug-in may raise anything at import
            raise InputError(
                f"the plug-in cannot be imported: {error}", place=place, remedy="correct or uninstall it"
            ) from error
        if not accepts(found):
            raise InputError(
                f"the plug-in is not {expected}", place=place, remedy=f"point the entry at {expected}"
            )
        if entries.setdefault(name(found), found) is not found:
            raise InputError(
                f"the name '{name(found)}' exists already",
                place=place,
                remedy="rename the plug-in's entry or uninstall it",
            )
    return entries


SHOWN = 5
"""Problems listed in one message."""

LONGEST_VALUE = 60
"""Characters of a value in a message."""


def as_input_error(
    error: ValidationError,
    model: type[BaseModel],
    place: object,
    *,
    position: str = ".{}",
    remedy: str | None = None,
) -> InputError:
    """One error for all that is wrong with the data that ``model`` was given.

    Args:
        error: what pydantic found.
        model: the model that it checked.
        place: where the data come from.
        position: how an element of a list is written: ``conditions.0`` in a recipe, ``objects[0]`` in JSON.
        remedy: what to do, where the problem does not say it itself.
    """
    problems = error.errors()
    causes = [  # a problem of a whole section only repeats those within it
        problem
        for problem in problems
        if not any(
            len(problem["loc"]) < len(other["loc"]) and other["loc"][: len(problem["loc"])] == problem["loc"]
            for other in problems
        )
    ]
    sentences = [_sentence(problem, model, position) for problem in causes]
    listed = "; ".join(sentences[:SHOWN])
    more = f"; and {len(sentences) - SHOWN} more" if len(sentences) > SHOWN else ""
    reason = causes[0].get("ctx", {}).get("error") if len(causes) == 1 else None
    own = reason.remedy if isinstance(reason, InputError) else None
    if listed.endswith("?"):  # it asks for the nearest name
        remedy = None
    return InputError(listed + more, place=place, remedy=own or remedy)


def shown(given: object) -> str:
    """A value as Python writes it, cut to a readable length."""
    try:
        words = repr(given)
    except (ValueError, RecursionError):  # an integer of thousands of digits, a list in itself
        words = f"a {type(given).__name__}"
    return words if len(words) <= LONGEST_VALUE else f"{words[: LONGEST_VALUE - 1]}…"


def as_number(given: Any, place: str) -> float:
    """A number of Python, numpy or torch as a float. A text or a bool is not one.

    Raises:
        InputError: it is something else.
    """
    plain = given.item() if getattr(given, "ndim", None) == 0 else given
    try:
        if isinstance(plain, Real) and not isinstance(plain, bool):
            return float(plain)
    except OverflowError:
        pass
    raise InputError(
        f"expected a number, got {shown(given)}", place=place, remedy="give a number such as 1.5"
    )


def _sentence(problem: Mapping[str, Any], model: type[BaseModel], position: str) -> str:
    location = problem["loc"]
    path, kind = _located(location, model, position)
    match problem["type"]:
        case "extra_forbidden":
            _, parent = _located(location[:-1], model, position)
            siblings = (
                parent.model_fields if isinstance(parent, type) and issubclass(parent, BaseModel) else ()
            )
            return f"{path}: unknown key, {did_you_mean(str(location[-1]), siblings)}"
        case "union_tag_invalid":
            tag, expected = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
            kinds = [kind.strip(" '") for kind in expected.split(",")]
            return f"{path}.kind: there is no '{tag}', {did_you_mean(tag, kinds)}"
        case "model_attributes_type" if _tagged(kind):
            return f"{path}: is a section, write {path}.kind: {problem['input']}"
        case "model_type" | "model_attributes_type":
            wanted = f"expected an object with keys and values, got {shown(problem['input'])}"
            return f"{path}: {wanted}" if path else wanted
        case "union_tag_not_found":
            return f"{path}: say which kind it is (kind: ...)"
        case "missing":
            keys = problem["input"] if isinstance(problem["input"], dict) else ()
            there = f" (there is {', '.join(map(str, keys)):.100})" if keys else ""
            return f"{path}: is missing, add it{there}"
        case "value_error":
            error = problem["ctx"]["error"]
            if not isinstance(error, InputError):
                return f"{path}: {error}" if path else str(error)
            where = path or error.place
            return error.problem if where is None else f"{where}: {error.problem}"
        case _:
            message = problem["msg"].replace("Input should be", "expected", 1)
            choices = re.findall(r"'([^']*)'", problem.get("ctx", {}).get("expected", ""))
            near = did_you_mean(str(problem["input"]), choices) if choices else ""
            hint = f"; {near}" if near.startswith("did you mean") else ""
            return f"{path}: {message[:1].lower()}{message[1:]}, got {shown(problem['input'])}{hint}"


def _located(location: Iterable[str | int], model: type[BaseModel], position: str) -> tuple[str, Any]:
    """The path of a location as the user's data have it, and the type that stands there."""
    path, kind = "", _bare(model)
    for part in location:
        tagged = dict(_tagged(kind))
        if part in tagged:  # pydantic puts the tag of a union into the location; the data have no such level
            kind = tagged[str(part)]
            continue
        path += position.format(part) if isinstance(part, int) else f".{part}"
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            field = kind.model_fields.get(str(part))
            kind = _bare(field.annotation) if field else None
        else:
            arguments = get_args(kind)
            kind = _bare(arguments[-1 if get_origin(kind) is dict else 0]) if arguments else None
    return path.removeprefix("."), kind


def _bare(kind: Any) -> Any:
    """Without ``Annotated`` and without ``| None``."""
    if get_origin(kind) is Annotated:
        return _bare(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        real = [option for option in get_args(kind) if option is not type(None)]
        return _bare(real[0]) if len(real) == 1 else kind
    return kind


def _tagged(kind: Any) -> list[tuple[str, type[ComponentConfig]]]:
    options = get_args(kind) if get_origin(kind) in (Union, UnionType) else ()
    return [(o.kind_name(), o) for o in options if isinstance(o, type) and issubclass(o, ComponentConfig)]
