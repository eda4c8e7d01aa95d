"""The text of a call as the denoiser reads it: written, or encoded already."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from graphcond.bases import Base
from graphcond.denoiser_inputs import IP_ADAPTER
from graphcond.errors import InputError
from graphcond.pipeline.arguments import texts_of
from graphcond.pipeline.parts import ModelPipeline
from graphcond.signals import TextTokens


@dataclass(frozen=True)
class GivenText:
    """The arguments of a call that are text, and those of the base beside it; see `GraphPipeline`."""

    prompt: str | Sequence[str] | None
    negative: str | Sequence[str] | None = None
    embeds: Float[Tensor, "b n c"] | None = None
    negative_embeds: Float[Tensor, "b n c"] | None = None
    pooled: Float[Tensor, "b p"] | None = None
    negative_pooled: Float[Tensor, "b p"] | None = None
    clip_skip: int | None = None
    beside: Mapping[str, Any] = field(default_factory=dict)

    def prompts(self, *, with_graph: bool) -> list[str]:
        """The prompts; empty ones for those that are encoded already.

        Raises:
            InputError: there is none, or only an encoded one with a graph, whose encoder may read it.
        """
        if self.prompt is not None or self.embeds is None:
            return texts_of(self.prompt, "prompt")
        if with_graph:
            raise InputError(
                "the encoder of a graph reads the words of the prompt",
                place="prompt",
                remedy="give the prompt beside prompt_embeds",
            )
        return [""] * len(self.embeds)

    def negatives(self, count: int) -> list[str]:
        """The negative prompts, one for each of ``count`` prompts.

        Raises:
            InputError: there are more or fewer.
        """
        negative = "" if self.negative is None else self.negative
        found = texts_of(negative, "negative_prompt")
        if isinstance(negative, str):
            found *= count
        if len(found) != count:
            raise InputError(
                f"expected one or {count} negative prompts, got {len(found)}",
                place="negative_prompt",
                remedy="give one, or one each",
            )
        return found


def texts(
    base: Base, given: GivenText, prompts: Sequence[str], copies: int, *, words: bool = True
) -> tuple[TextTokens, TextTokens]:
    """Prompts and negative prompts as the denoiser reads them, a row for each picture.

    Args:
        base: encodes them.
        given: the arguments.
        prompts: one for each row of what is encoded already.
        copies: pictures of each prompt.
        words: whether a graph's encoder needs the words of prompts that are encoded already.

    Raises:
        InputError: numbers or shapes do not fit.
    """
    pairs = (
        (list(prompts), given.embeds, given.pooled, given.clip_skip),
        # With all layers, as in diffusers.
        (given.negatives(len(prompts)), given.negative_embeds, given.negative_pooled, None),
    )
    text, empty = (
        _encoded(base, given.beside, bool(number), *one, copies, words) for number, one in enumerate(pairs)
    )
    return text, empty


def _encoded(
    base: Base,
    beside: Mapping[str, Any],
    negative: bool,
    prompts: list[str],
    embeds: Tensor | None,
    pooled: Tensor | None,
    clip_skip: int | None,
    copies: int,
    words: bool,
) -> TextTokens:
    place = "negative_prompt_embeds" if negative else "prompt_embeds"
    further = [name for name in beside if name in base.text_arguments]
    own = [name for name in further if name.startswith("negative_") is negative]
    if embeds is not None and own:
        raise InputError(f"'{place}' holds it already", place=own[0], remedy="leave one of them out")
    if embeds is not None and not words:
        made = _without_words(base, len(prompts))
    else:
        arguments = {name: beside[name] for name in further}
        made = base.encode_beside(prompts, arguments, negative=negative, clip_skip=clip_skip)
    made = made.select(torch.arange(len(prompts), device=made.ids.device).repeat_interleave(copies))
    sizes = {name: value for name, value in beside.items() if name in base.size_arguments}
    made_sizes = base.size_extras(sizes, len(made.ids), negative=negative)
    if embeds is None:
        return replace(made, extras={**made.extras, **made_sizes})
    wanted = (len(prompts), *made.hidden.shape[1:])
    if tuple(embeds.shape) != wanted:
        raise InputError(
            f"expected the shape {wanted}, got {tuple(embeds.shape)}",
            place=place,
            remedy="give what pipe.encode_prompt gives, a row for each prompt",
        )
    extras = dict(made.extras)
    if extras and pooled is None:
        raise InputError(
            "the base reads a pooled vector too", place=f"pooled_{place}", remedy="give that of encode_prompt"
        )
    if pooled is not None:
        extras["pooled"] = pooled.to(made.hidden).repeat_interleave(copies, 0)
    hidden = embeds.to(made.hidden).repeat_interleave(copies, 0)
    return replace(made, hidden=hidden, extras={**extras, **made_sizes}, present=None)


def _without_words(base: Base, rows: int) -> TextTokens:
    """Zeros of the sizes of encoded prompts."""
    facts = base.facts
    return TextTokens(
        torch.zeros(rows, facts.token_count, dtype=torch.long, device=base.device),
        torch.zeros(rows, facts.token_count, facts.token_width, dtype=base.dtype, device=base.device),
        extras={
            name: torch.zeros(rows, *shape, dtype=base.dtype, device=base.device)
            for name, shape in facts.extras.items()
        },
    )


def with_pictures(
    pipe: ModelPipeline, text: TextTokens, empty: TextTokens, image: Any, embeds: list[Tensor] | None
) -> tuple[TextTokens, TextTokens]:
    """The prompts, and beside them what the IP-Adapters of ``pipe`` make of a picture.

    Args:
        pipe: has loaded them.
        text: the prompts.
        empty: the negative prompts.
        image: the picture, or one for each adapter.
        embeds: its embeddings instead, as diffusers makes them.

    Raises:
        InputError: no IP-Adapter is loaded, or it does not read this.
    """
    if image is None and embeds is None:
        return text, empty
    if not hasattr(pipe, "prepare_ip_adapter_image_embeds"):
        raise InputError(f"{type(pipe.model.base).__name__} reads no IP-Adapter", place="ip_adapter_image")
    device, rows = pipe.model.base.device, len(text.ids)
    try:
        pairs = pipe.prepare_ip_adapter_image_embeds(image, embeds, device, rows, True)
    except (AttributeError, ValueError) as error:
        raise InputError(
            f"no IP-Adapter can read it ({str(error).splitlines()[0]})",
            place="ip_adapter_image",
            remedy="load one first (pipe.load_ip_adapter), and give each a picture",
        ) from error
    halves = [pair.to(pipe.model.base.dtype).chunk(2) for pair in pairs]
    named = [{f"{IP_ADAPTER}{number}": pair[half] for number, pair in enumerate(halves)} for half in (0, 1)]
    return (
        replace(text, extras={**text.extras, **named[1]}),
        replace(empty, extras={**empty.extras, **named[0]}),
    )
