"""What stands between a pipeline of diffusers and its denoiser while graph models are attached to it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import wraps
from inspect import signature
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from torch import Tensor

from graphcond.bases.base import Base
from graphcond.bases.reference_attention import BANK
from graphcond.errors import InputError
from graphcond.guidance import Branch, BranchPredictions, rescaled
from graphcond.signals import TextTokens

if TYPE_CHECKING:
    from graphcond.pipeline.attach import Attached

INSIDE = "_graphcond"
"""The attribute of a pipeline that holds what is attached."""


@dataclass
class Drawing:
    """A call of a pipeline, whose steps may begin and end within those of its scheduler.

    Args:
        pipe: the pipeline.
        first: the place of its first step among the scheduler's; None before that step.
        predictions: of its steps; None before the first one.
    """

    pipe: Any
    first: int | None = None
    predictions: BranchPredictions | None = None

    def made(self, timesteps: Tensor, timestep: Any) -> int:
        """How many steps were made before that of ``timestep``."""
        place = int((timesteps == timestep).nonzero()[0, 0])
        self.first = place if self.first is None else self.first
        return place - self.first

    def predictions_of(self, models: Collection[Attached]) -> BranchPredictions:
        """The predictions of the steps, of which as many are made as any of the models needs."""
        if self.predictions is None:
            rules = [one.guidance for one in models]
            self.predictions = BranchPredictions(
                min(rule.reuse for rule in rules), min(rule.skip_below for rule in rules)
            )
        return self.predictions


class Inside:
    """What stands in a pipeline between its loop and its denoiser while models are attached.

    Args:
        pipe: the pipeline.
        base: of its networks.
    """

    def __init__(self, pipe: Any, base: Base) -> None:
        self.pipe, self.base = pipe, base
        self.models: dict[str, Attached] = {}
        denoiser: Any = base.denoiser
        self._before = vars(denoiser).get("forward")
        self._denoise: Callable[..., Any] = denoiser.forward
        self._encode: Callable[..., Any] = pipe.encode_prompt
        self._own: ContextVar[dict[str, Any] | None] = ContextVar("own", default=None)
        self._drawing: ContextVar[Drawing | None] = ContextVar("drawing", default=None)
        self._kind = type(pipe)
        pipe.__class__ = self._noted(self._kind)
        denoiser.forward, pipe.encode_prompt = self._forward, self._encoded
        vars(pipe)[INSIDE] = self

    def leave(self) -> None:
        """Put everything back as it was."""
        denoiser: Any = self.base.denoiser
        del denoiser.forward
        if self._before is not None:
            denoiser.forward = self._before
        del self.pipe.encode_prompt, vars(self.pipe)[INSIDE]
        self.pipe.__class__ = self._kind
        self.base.release()

    def _noted(self, kind: Any) -> type:
        """The class of a pipeline whose calls are noted; others that share its denoiser are told by that."""

        @wraps(kind.__call__)
        def call(pipe: Any, *args: Any, **options: Any) -> Any:
            token = self._drawing.set(Drawing(pipe))
            try:
                return kind.__call__(pipe, *args, **options)
            finally:
                self._drawing.reset(token)

        return type(kind.__name__, (kind,), {"__call__": call, "__module__": kind.__module__})

    def _encoded(self, prompt: Any = None, *args: Any, **options: Any) -> Any:
        """The pipeline's own embeddings; the graphs are read beside the same prompt."""
        given = signature(self._encode).bind(prompt, *args, **options).arguments
        for one in self.models.values():
            copies, skipped = given.get("num_images_per_prompt", 1), given.get("clip_skip")
            beside = {name: given[name] for name in self.base.text_arguments if given.get(name) is not None}
            one.read(prompt, given.get("prompt_embeds"), copies, clip_skip=skipped, beside=beside)
        return self._encode(prompt, *args, **options)

    def _forward(
        self,
        sample: Tensor,
        timestep: Any,
        encoder_hidden_states: Tensor,
        *,
        return_dict: bool = True,
        **options: Any,
    ) -> Any:
        """The denoiser's answer for the pipeline, in whose text branch the graphs have their shares."""
        own = self._own.get()
        if own is not None:  # `Base.denoise` calls the denoiser for one of the branches below
            looking = BANK.value
            if looking is not None and not looking.reading:  # for its references
                own = {name: value for name, value in own.items() if "residual" not in name}
                own = _rows(own, looking.rows, len(looking.shown))
            return self._denoise(sample, timestep, encoder_hidden_states, **_joined(options, own))
        drawing = self._drawing.get()
        if drawing is None or drawing.pipe is not self.pipe:
            raise shares_its_denoiser()
        rows = len(sample)
        first = rows // 2 if self.pipe.do_classifier_free_guidance else 0  # of those with text
        numbered = torch.arange(rows, device=sample.device)
        times = torch.as_tensor(timestep, device=sample.device).expand(rows)
        text = tokens_of(encoder_hidden_states)
        fraction = drawing.made(self.pipe.scheduler.timesteps, timestep) / self.pipe.num_timesteps
        with_graphs = self._with_graphs(fraction)

        def predicted(
            asked: Sequence[Branch], model: Attached | None = None, numbers: Sequence[int] = ()
        ) -> list[Tensor]:
            some = [
                None if one.rows is None else torch.tensor(one.rows, device=sample.device) for one in asked
            ]
            own = [numbered[first:] if one.text else numbered[:first] for one in asked]
            parts = [part if rows is None else part[rows] for part, rows in zip(own, some, strict=True)]
            part = torch.cat(parts)
            shown = text.select(part)
            inputs = self.base.inputs(sample[part], times[part], shown)
            for one in self.models.values():  # without graphs, but for those of ``model`` with ``numbers``
                inputs = one.applied(inputs, shown, numbers if one is model else (), some[0])
            token = self._own.set(_rows(options, part, rows))
            try:
                return list(self.base.denoise(inputs).split([*map(len, parts)]))
            finally:
                self._own.reset(token)

        def call(asked: Sequence[Branch]) -> list[Tensor]:
            plain = [one for one in asked if one.graph is None]  # in one call, as the pipeline makes it
            found = dict(zip(plain, predicted(plain), strict=True)) if plain else {}
            for one in asked:
                if one.graph is not None:
                    (found[one],) = predicted([one], *with_graphs[replace(one, rows=None)])
            return [found[one] for one in asked]

        pair = [Branch(with_text, None, 0.0) for with_text in ((False, True) if first else (True,))]
        found = drawing.predictions_of(self.models.values())([*pair, *with_graphs], call)
        plain = torch.cat(found[: len(pair)])
        half, most = slice(first, rows), found[-1]  # the spread of the latter is that of `guidance_rescale`
        shift = torch.zeros_like(most, dtype=torch.promote_types(plain.dtype, torch.float32))
        for branch, prediction in zip(with_graphs, found[len(pair) :], strict=True):
            shift += branch.weight * (prediction - plain[half]).to(shift.dtype)
        answer = self._answer(plain.to(shift.dtype), shift, most.to(shift.dtype), half).to(plain.dtype)
        return UNet2DConditionOutput(sample=answer) if return_dict else (answer,)

    def _with_graphs(self, fraction: float) -> dict[Branch, tuple[Attached, tuple[int, ...]]]:
        """The branches with graphs at a fraction of the steps, each with its model and that one's numbers.

        Branches number the graphs of all models.
        """
        found, before = {}, 0
        for one in self.models.values():
            guidance = one.guidance.at(fraction)
            for numbers, weight in guidance.weights().items():
                first, *others = (before + number for number in numbers)
                found[Branch(True, first, weight, tuple(others))] = one, numbers
            before += len(guidance.graphs)
        return found

    def _answer(self, plain: Tensor, shift: Tensor, most: Tensor, half: slice) -> Tensor:
        """The predictions, without text first if there are two, that the pipeline's own guidance combines.

        Its sum u + s (t - u) has to be that of ``plain`` plus ``shift``. If the pipeline rescales the sum, t
        has to be ``most``, to whose spread it does so; without guidance it does not rescale.
        """
        text, rescale = plain[half], getattr(self.pipe, "guidance_rescale", 0.0)
        if not half.start:
            summed = text + shift
            return rescaled(summed, most, rescale) if rescale else summed
        empty, scale = plain[: half.start], self.pipe.guidance_scale
        if rescale:
            return torch.cat([empty + (scale * (most - text) - shift) / (scale - 1), most])
        return torch.cat([empty, text + shift / scale])


def tokens_of(hidden: Tensor) -> TextTokens:
    """Prompts of which only the embeddings are known."""
    ids = torch.zeros(hidden.shape[:2], dtype=torch.long, device=hidden.device)
    return TextTokens(ids, hidden, extras={"pooled": hidden[:, 0]})


def _rows(value: Any, part: slice | Tensor, rows: int) -> Any:
    """What the pipeline gives its denoiser beside the sample, for some of its rows."""
    if isinstance(value, Tensor):
        return value[part] if value.ndim and len(value) == rows else value
    if isinstance(value, dict):
        return {name: _rows(one, part, rows) for name, one in value.items()}
    return type(value)(_rows(one, part, rows) for one in value) if isinstance(value, list | tuple) else value


def _joined(ours: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The base's arguments for a denoiser and the pipeline's, whose sizes and pictures count."""
    both = {**ours, **{name: value for name, value in own.items() if value is not None}}
    for name in ("down_block_additional_residuals", "mid_block_additional_residual"):
        one, other = ours.get(name), own.get(name)
        if one is not None and other is not None:
            several = isinstance(other, list | tuple)
            both[name] = tuple(map(torch.add, one, other)) if several else one + other
    return both


def shares_its_denoiser() -> InputError:
    """The error of a pipeline whose denoiser is in use by another one with a graph model."""
    return InputError(
        "another pipeline, which shares the denoiser, has a graph model attached",
        place="pipe",
        remedy="detach the model from that one first, or load this one's networks anew",
    )
