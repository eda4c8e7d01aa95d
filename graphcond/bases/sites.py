"""How groundings reach the modules that injectors place inside a denoiser, and where these add to it.

Slots are filled while the denoiser runs. A block that gradient checkpointing runs again in the backward pass,
long after the denoiser call, is shown the groundings of its first run.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from threading import local
from typing import Any

from diffusers.models.attention import BasicTransformerBlock
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from graphcond.bases.quantization import dequantized, is_quantized, unquantized
from graphcond.denoiser_inputs import SHOWN
from graphcond.io.tensors import loaded

_BLOCK_ARGUMENTS = tuple(inspect.signature(BasicTransformerBlock.forward).parameters)[1:]


def transformer_blocks(unet: nn.Module) -> dict[str, BasicTransformerBlock]:
    """Every transformer block of ``unet``, by module name, in the order in which it holds them."""
    return {name: block for name, block in unet.named_modules() if isinstance(block, BasicTransformerBlock)}


@contextmanager
def filled(shown: Mapping[Any, Any]) -> Iterator[None]:
    """Set what slots hold for this thread, by `Slot`, and restore what they held afterwards."""
    before, SHOWN.slots = SHOWN.slots, shown
    try:
        yield
    finally:
        SHOWN.slots = before


def recomputed(module: nn.Module, *args: Any) -> Any:
    """Run ``module`` without keeping its activations; the backward pass runs it again in the same slots.

    It is what diffusers' models take as ``gradient_checkpointing_func``.
    """
    grounding = SHOWN.slots
    # The backward pass may run in another thread, to which nothing is shown.
    return checkpoint(
        module, *args, use_reentrant=False, context_fn=lambda: (nullcontext(), filled(grounding))
    )


Addition = Callable[[Tensor], Tensor | None]
"""A function from features (b, tokens, width) to the residual that is added to them, or None."""


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
        self._entered = local()  # several threads may run one denoiser
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
        # Checkpointed blocks are called with positions, others with names.
        named = {**dict(zip(_BLOCK_ARGUMENTS, args, strict=False)), **kwargs}
        self._entered.features = named["hidden_states"]

    def _add(self, attention: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        entered: Tensor | None = getattr(self._entered, "features", None)
        if entered is None:
            return None
        added = self._addition(output + entered)
        return None if added is None else output + added

    def _leave(self, block: nn.Module, args: Any, output: Any) -> None:
        self._entered.features = None


class BeforeProjection:
    """Hooks that add to what a diffusers ``Attention`` has read, before its output projection.

    Args:
        attention: an attention without a norm of groups or places before its queries.
        addition: called in every pass with the features that the queries are made of.
    """

    def __init__(self, attention: Any, addition: Addition) -> None:
        self._addition = addition
        self._entered = local()  # several threads may run one denoiser
        self._handles = [
            attention.to_q.register_forward_pre_hook(self._enter),
            attention.to_out[0].register_forward_pre_hook(self._add),
        ]

    def remove(self) -> None:
        """Take the hooks away."""
        for handle in self._handles:
            handle.remove()

    def _enter(self, projection: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._entered.features = args[0]

    def _add(self, projection: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        features, self._entered.features = self._entered.features, None
        added = self._addition(features)
        return None if added is None else (args[0] + added, *args[1:])


def queries_of(attention: Any, features: Tensor) -> Tensor:
    """The queries of a diffusers ``Attention``, heads side by side, with what others hooked to its layers."""
    queries: Tensor = attention.to_q(features)
    return queries if attention.norm_q is None else attention.norm_q(queries)


def keys_and_values_of(attention: Any, denoiser: nn.Module) -> tuple[Tensor, Tensor]:
    """The weights that make keys and values in an ``Attention`` of a denoiser, without LoRA of peft."""
    plain = plain_weights(attention, denoiser)
    return plain["to_k.weight"], plain["to_v.weight"]


class ContextReader(nn.Module):
    """A trainable float32 copy of a block's cross-attention; it shares no weight with the denoiser.

    Args:
        norm: what stands before the attention's queries.
        attention: the attention, called as diffusers' ``Attention``.
        context: what the denoiser makes of context tokens before its blocks read them.
    """

    def __init__(
        self, *, norm: nn.Module | None, attention: nn.Module, context: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.norm, self.attention = norm or nn.Identity(), attention
        self.context = context or nn.Identity()
        unquantized(self).float().requires_grad_(True)

    def forward(
        self,
        features: Float[Tensor, "b v w"],
        tokens: Float[Tensor, "b n c"],
        bias: Float[Tensor, "b _ n"],
    ) -> Float[Tensor, "b v w"]:
        """What the features read of the tokens; ``bias`` is added to the logits."""
        read: Tensor = self.attention(
            self.norm(features), encoder_hidden_states=self.context(tokens), attention_mask=bias
        )
        return read


def plain_weights(module: nn.Module, denoiser: nn.Module | None = None) -> dict[str, Tensor]:
    """The weights of a part of a denoiser by name, not quantized, without LoRA of peft around some.

    Args:
        module: the part.
        denoiser: the whole, where weights may be offloaded in groups that are larger than the part.
    """
    with loaded(module, "cpu", within=denoiser):
        weights = module.state_dict()
    packed = {name: weight for name, weight in module.named_parameters() if is_quantized(weight)}
    of_packed = tuple(f"{name}." for name in packed)  # what bitsandbytes keeps beside a weight
    return {
        name.replace(".base_layer.", "."): dequantized(packed[name]) if name in packed else tensor
        for name, tensor in weights.items()
        if ".lora_" not in name and not name.startswith(of_packed)
    }
