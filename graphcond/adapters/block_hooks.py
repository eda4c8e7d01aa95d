"""A way into a transformer block of diffusers between its two attentions, without changing it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from graphcond.models.sites import block_arguments

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
