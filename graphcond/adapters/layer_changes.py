"""Changes of the outputs of layers, in the calls that show them, and injectors that are made of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar, TypeAlias

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from graphcond.adapters.base import Injector, computed_like
from graphcond.denoiser_inputs import DenoiserInputs, Grounding, GroundingSlot
from graphcond.io.tensors import loaded
from graphcond.signals import Signal

Change: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""From the input and the output of a layer to what is added to the output."""


class LayerChanges:
    """Hooks on layers, all of which act in the calls whose inputs come from `shown`, and in no others.

    Each change is a difference from the base. So those of several updates add up in either order, a scale
    between 0 and 1 interpolates, and models that share a base do not disturb each other, also in several
    threads.

    Args:
        name: of the update, for errors.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._slot = GroundingSlot()
        self._handles: list[RemovableHandle] = []

    def check_new(self) -> None:
        """Check that nothing is attached yet.

        Raises:
            RuntimeError: something is.
        """
        if self._handles:
            raise RuntimeError(f"{self._name} is injected already; eject it first")

    def attach(self, layer: nn.Module, change: Change) -> None:
        """Add ``change`` to the output of ``layer`` from now on, wherever it is shown."""
        self._handles.append(layer.register_forward_hook(partial(self._added, change)))

    def detach(self) -> None:
        """Take the hooks away; does nothing without any."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def shown(self, inputs: DenoiserInputs, scale: float) -> DenoiserInputs:
        """Inputs with which the changes act ``scale`` times.

        Raises:
            RuntimeError: nothing is attached.
        """
        if scale == 0:
            return inputs
        if not self._handles:
            raise RuntimeError(f"{self._name} is not injected: inject first")
        rows = len(inputs.sample)
        nothing = inputs.context.new_zeros(rows, 0, inputs.context.shape[2])
        strength = torch.full((rows,), float(scale), device=inputs.sample.device)
        grounding = Grounding(nothing, nothing.new_zeros(rows, 0, dtype=torch.bool), strength)
        return replace(inputs, grounding={**inputs.grounding, self._slot: grounding})

    def _added(
        self, change: Change, layer: nn.Module, args: tuple[Tensor, ...], output: Tensor
    ) -> Tensor | None:
        shown = self._slot.value
        if shown is None:
            return None
        with loaded(layer), computed_like(output):  # offloaded weights are gone again after the layer
            added = change(args[0], output)
        strength = shown.strength.to(added.dtype).view(-1, *(1 for _ in output.shape[1:]))
        return output + (added * strength).to(output.dtype)


class LayerUpdate(Injector[Signal]):
    """An injector that changes the outputs of the base's layers, for every graph alike.

    What it trains is kept beside the denoiser.

    Args:
        name: of the update, for errors.
    """

    reads: ClassVar[type[Signal] | None] = None

    def __init__(self, name: str) -> None:
        super().__init__()
        self._changes = LayerChanges(name)

    def eject(self) -> None:
        """Take the hooks away; what was trained stays here."""
        self._changes.detach()

    def apply(  # type: ignore[override]
        self, inputs: DenoiserInputs, signal: Signal | None, scale: float = 1.0
    ) -> DenoiserInputs:
        """Inputs with which the update acts: what it changes of a layer's output counts ``scale`` times.

        Raises:
            RuntimeError: not injected.
        """
        return self._changes.shown(inputs, scale)


def own_modules(denoiser: nn.Module) -> dict[str, nn.Module]:
    """The modules of the base itself by the base's names, whether or not layers of peft are around them."""
    wrapped = [name for name, module in denoiser.named_modules() if hasattr(module, "base_layer")]

    def added(name: str) -> bool:
        return any(
            name == one or (name.startswith(f"{one}.") and not f"{name}.".startswith(f"{one}.base_layer."))
            for one in wrapped
        )

    return {
        name.replace(".base_layer", ""): module
        for name, module in denoiser.named_modules()
        if not added(name)
    }
