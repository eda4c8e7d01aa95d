"""How groundings reach the modules that injectors place inside a diffusers UNet.

They travel as an argument of every transformer block (an entry of diffusers' ``cross_attention_kwargs``),
and a hook at the block fills their slots from it. A block that gradient checkpointing runs again in the
backward pass, long after the denoiser call, is therefore shown the same groundings.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from diffusers.models.attention import BasicTransformerBlock
from torch import Tensor, nn

from graphcond.denoiser_inputs import Grounding, GroundingSlot

GROUNDING = "graphcond_grounding"
"""The entry of ``cross_attention_kwargs`` that holds the groundings."""

_BLOCK_ARGUMENTS = tuple(inspect.signature(BasicTransformerBlock.forward).parameters)[1:]


def transformer_blocks(unet: nn.Module) -> dict[str, BasicTransformerBlock]:
    """Every transformer block of ``unet``, by module name, in the order in which it holds them."""
    return {name: block for name, block in unet.named_modules() if isinstance(block, BasicTransformerBlock)}


def block_arguments(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a transformer block by name, however it was called."""
    return {**dict(zip(_BLOCK_ARGUMENTS, args, strict=False)), **kwargs}


def install_grounding(unet: nn.Module) -> None:
    """Let the transformer blocks of ``unet`` fill slots from their arguments while they run."""
    for block in transformer_blocks(unet).values():
        filler = _SlotFiller()
        block.register_forward_pre_hook(filler.before, with_kwargs=True)
        block.register_forward_hook(filler.after, always_call=True)


@contextmanager
def filled(grounding: Mapping[GroundingSlot, Grounding]) -> Iterator[None]:
    """Fill slots, and give them back what they held in the end."""
    before = _fill(grounding)
    try:
        yield
    finally:
        _fill(before)


class _SlotFiller:
    def __init__(self) -> None:
        self._before: Mapping[GroundingSlot, Grounding | None] = {}

    def before(
        self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
        named = block_arguments(args, kwargs)
        options = named.get("cross_attention_kwargs")
        if not options or GROUNDING not in options:
            return None
        self._before = _fill(options[GROUNDING])
        rest = {name: value for name, value in options.items() if name != GROUNDING}
        return (), {**named, "cross_attention_kwargs": rest or None}

    def after(self, module: nn.Module, args: Any, output: Any) -> None:
        _fill(self._before)
        self._before = {}


def _fill(values: Mapping[GroundingSlot, Grounding | None]) -> dict[GroundingSlot, Grounding | None]:
    before = {slot: slot.value for slot in values}
    for slot, value in values.items():
        slot.value = value
    return before


Addition = Callable[[Tensor], Tensor | None]
"""Features (b, tokens, width) to what is added to them; None for nothing."""


class BetweenAttentions:
    """Hooks that add to a block's features after its self-attention, until `remove` is called.

    The block's input is kept on the way in. With the output of ``attn1`` it makes the features, and what
    is added to them is added to that output. Whoever changes the output before (another injector) counts.

    Args:
        block: a ``BasicTransformerBlock``.
        addition: called with the features in every pass through the block, recomputed ones too.
    """

    def __init__(self, block: Any, addition: Addition) -> None:
        self._addition = addition
        self._entered: Tensor | None = None
        self._handles = [
            block.register_forward_pre_hook(self._enter, with_kwargs=True),
            block.attn1.register_forward_hook(self._add),
            block.register_forward_hook(self._leave, always_call=True),
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _enter(self, block: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._entered = block_arguments(args, kwargs)["hidden_states"]

    def _add(self, attention: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self._entered is None:
            return None
        added = self._addition(output + self._entered)
        return None if added is None else output + added

    def _leave(self, block: nn.Module, args: Any, output: Any) -> None:
        self._entered = None
