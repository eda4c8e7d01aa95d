"""The contract of an injector."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import ClassVar, Generic, TypeVar

import torch
from torch import Tensor, nn

from graphcond.bases.base import Attachment, Base, Site
from graphcond.config import Part
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.io.tensors import load_weights, save_weights
from graphcond.signals import Signal


def computed_like(tensor: Tensor) -> AbstractContextManager[object]:
    """Run float32 modules in the number format of ``tensor``, where that is a half precision."""
    if tensor.dtype == torch.float32:
        return nullcontext()
    return torch.autocast(tensor.device.type, dtype=tensor.dtype)


WEIGHTS = "injector.safetensors"
"""The weights of an injector, where it has no layout of its own."""


def key_of(site: str) -> str:
    """A module's name as a key of an ``nn.ModuleDict``, which allows no dots."""
    return site.replace(".", "/")


def parameters_of(layers: nn.ModuleDict) -> dict[str, nn.Parameter]:
    """The parameters of layers whose keys are from `key_of`, by the names of the modules."""
    return {name.replace("/", "."): parameter for name, parameter in layers.named_parameters()}


def kept_layers(kept: nn.ModuleDict, made: nn.ModuleDict, place: str) -> nn.ModuleDict:
    """The layers of an earlier injection, if there are any, else the new ones.

    Args:
        kept: of an earlier injection, perhaps into another base; empty before the first.
        made: for the widths of the base.
        place: for the error.

    Raises:
        InputError: those that are kept were made for a base of other widths.
    """
    if not kept:
        return made
    check_widths(kept, made, place)
    return kept


def check_widths(kept: nn.Module, made: nn.Module, place: str) -> None:
    """Check that layers of an earlier injection fit a base for which ``made`` are new ones.

    Raises:
        InputError: they were made for a base of other widths.
    """
    of_kept, of_made = ({name: p.shape for name, p in each.named_parameters()} for each in (kept, made))
    if of_kept != of_made:
        raise InputError(
            "its layers were made for a base of other widths", place=place, remedy="inject a new one"
        )


def keep_parameters(kept: nn.Module, made: nn.Module) -> None:
    """Put parameters of ``kept``, which an optimizer may hold, into ``made`` where name and shape agree."""
    before = dict(kept.named_parameters())
    for name, parameter in list(made.named_parameters()):
        if name in before and before[name].shape == parameter.shape:
            part, _, key = name.rpartition(".")
            made.get_submodule(part)._parameters[key] = before[name]


class SiteAdditions:
    """What an injector adds to the features of sites, attached and taken away together."""

    def __init__(self) -> None:
        self._attached: list[Attachment] = []
        self._grids: dict[int, Callable[[int, int], tuple[int, int]]] = {}

    def __bool__(self) -> bool:
        return bool(self._attached)

    def attach(self, sites: Mapping[str, Site], added: Callable[[Site, Tensor], Tensor | None]) -> None:
        """Add what ``added`` makes of a site and its features, in every pass where it is not None."""
        self._attached = [
            site.attach(partial(added, site)) for site in sites.values() if site.attach is not None
        ]
        self._grids = {site.stride: site.grid for site in sites.values()}

    def detach(self) -> None:
        """Take all of it away; does nothing where nothing is attached."""
        for attachment in self._attached:
            attachment.remove()
        self._attached = []

    def at_strides(self, sample: Tensor, value: Callable[[int, int], Tensor]) -> dict[int, Tensor]:
        """By the stride of the sites, the value for the rows and columns that they have for a sample."""
        height, width = sample.shape[2:]
        return {stride: value(*grid(height, width)) for stride, grid in self._grids.items()}


Read = TypeVar("Read", bound=Signal)


class Injector(Part, nn.Module, ABC, Generic[Read]):
    """Feeds a signal to the denoiser of a frozen base.

    Constructing touches nothing. `inject` attaches to a base, `eject` restores that base bit for bit.
    The base's own weights never get gradients.
    """

    reads: ClassVar[type[Signal] | None]
    """The signal that `apply` takes; None for an injector that is the same for every graph."""
    reads_masks: ClassVar[bool] = False
    """True if it reads `GraphTokens.mask`."""
    groups: ClassVar[frozenset[str]] = frozenset()
    """Groups of its parameters that may have learning rates of their own, as ``condition.group``. The encoder
    belongs to ``new``, where there is one."""

    def __repr__(self) -> str:
        # The layers of all sites would fill pages.
        return f"{type(self).__name__}({sum(p.numel() for p in self.parameters()):,} parameters)"

    @abstractmethod
    def inject(self, base: Base) -> None:
        """Attach to ``base``.

        Raises:
            InputError: the base lacks the sites that the injector needs, or its widths do not fit.
            RuntimeError: injected already.
        """

    @abstractmethod
    def eject(self) -> None:
        """Detach and restore the base; does nothing if not injected."""

    @abstractmethod
    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: Read | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """The inputs of the denoiser with ``signal`` in them; ``scale=0`` is exactly the base."""

    def load_init(self) -> None:
        """Read the released weights that the injector was told to start from, once it is injected.

        Raises:
            InputError: there are none, or they do not fit.
        """

    def trainable_parameters(self) -> dict[str, nn.Parameter]:
        """The parameters that training changes, by name."""
        return dict(self.named_parameters())

    def group_of(self, parameter: str) -> str | None:
        """Which of `groups` a parameter belongs to; None for one that has the condition's learning rate."""
        return None

    def save_weights(self, folder: Path) -> None:
        """Write all weights into ``folder``; nothing where there are none."""
        save_weights(self, folder / WEIGHTS)

    def load_weights(self, folder: Path) -> None:
        """Read what `save_weights` wrote.

        Raises:
            InputError: missing or damaged, or names and shapes do not fit.
        """
        load_weights(self, folder / WEIGHTS)

    def figures(self) -> dict[str, float]:
        """Figures for the training log beside the loss, by name: gates, sizes of what is added."""
        return {}

    def unused(self) -> str | None:
        """Why the injector has no effect at present, as a sentence, or None if it has one."""
        return None
