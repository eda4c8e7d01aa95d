"""A graph model in a plain pipeline of diffusers, which goes on drawing in its own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.models.unets.unet_2d_condition import UNet2DConditionOutput
from jaxtyping import Float
from torch import Tensor

from graphcond.bases.base import Base
from graphcond.bases.from_pipeline import base_of
from graphcond.bases.reference_attention import BANK
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError, did_you_mean
from graphcond.features.load import PictureExtractor, WordExtractor
from graphcond.guidance import GraphGuidance, GuidedGraph, rescaled
from graphcond.model import GraphModel
from graphcond.pipeline.arguments import texts_of
from graphcond.pipeline.graph_pipeline import GraphPipeline
from graphcond.pipeline.graphs import GraphReader, Graphs, Scenes, graphs_given, scales_of
from graphcond.signals import TextTokens

GRAPH = "graph"
"""The name of a model in a pipeline unless another one is given."""


def attach(
    pipe: DiffusionPipeline,
    model: GraphModel | str | Path,
    name: str = GRAPH,
    *,
    parts: Mapping[str, Any] | None = None,
    trust_remote_code: bool = False,
) -> Attached:
    """Put a graph model into a pipeline of Stable Diffusion or SDXL, of whatever task, until `detach`.

    The pipeline is called as before, and draws with the graphs that `Attached.show` names. Guidance adds
    sum_k s_k (eps(T, G_k) - eps(T, 0)) to the pipeline's own prediction, as in `GraphPipeline`. Meanwhile
    no other pipeline can draw with the same denoiser.

    Args:
        pipe: the pipeline; it freezes its networks.
        model: a saved model, or a model, which leaves its own base.
        name: of the model in the pipeline, where several are attached.
        parts: of a saved model, as for `GraphPipeline.from_pretrained`; of any model its ``extractor``.
        trust_remote_code: of a saved model, as for `GraphPipeline.from_pretrained`.

    Raises:
        InputError: the pipeline is of another family, has a model of that name, or shares its denoiser with a
            pipeline that has a model; the model cannot be loaded or does not fit it; or parts are given for
            a model that is made already.
    """
    others = dict(parts or {})
    extractor = others.pop("extractor", None)
    if isinstance(model, GraphModel) and others:
        raise InputError(
            "the model is made already", place=f"parts, {next(iter(others))}", remedy="leave them out"
        )
    inside: Inside | None = getattr(pipe, _INSIDE, None)
    if inside is not None and name in inside.models:
        raise InputError(
            f"the pipeline has a model with the name '{name}'",
            place="name",
            remedy="give another name, or detach that one first",
        )
    call = getattr(getattr(pipe, "unet", None), "forward", None)
    if inside is None and isinstance(getattr(call, "__self__", None), Inside):
        raise _shared()
    base = base_of(pipe) if inside is None else inside.base
    try:
        if isinstance(model, GraphModel):
            model.move_to(base)
        else:
            model = GraphModel.from_pretrained(
                model, base=base, parts=others, trust_remote_code=trust_remote_code
            )
    except Exception:
        if inside is None:
            base.release()
        raise
    inside = Inside(pipe, base) if inside is None else inside
    inside.models[name] = Attached(model, extractor)
    return inside.models[name]


def detach(pipe: DiffusionPipeline, name: str = GRAPH) -> None:
    """Take a graph model out of a pipeline, which then draws as it did before.

    Args:
        pipe: the pipeline.
        name: of the model.

    Raises:
        InputError: the pipeline has no such model.
    """
    inside: Inside | None = getattr(pipe, _INSIDE, None)
    if inside is None or name not in inside.models:
        known = [] if inside is None else list(inside.models)
        raise InputError(
            f"the pipeline has no model with the name '{name}'",
            place="name",
            remedy=did_you_mean(name, known) if known else "attach one first",
        )
    inside.models.pop(name).model.eject()
    if not inside.models:
        inside.leave()


def _shared() -> InputError:
    return InputError(
        "another pipeline, which shares the denoiser, has a graph model attached",
        place="pipe",
        remedy="detach the model from that one first, or load this one's networks anew",
    )


_INSIDE = "_graphcond"
"""The attribute of a pipeline that holds what is attached."""


class Attached:
    """A graph model in a pipeline of diffusers; `attach` makes it.

    Args:
        model: attached to the base of the pipeline.
        extractor: as for `GraphPipeline`.
    """

    def __init__(self, model: GraphModel, extractor: PictureExtractor | WordExtractor | None = None) -> None:
        self.model = model
        self.pipeline = GraphPipeline(model, extractor)
        self._neighbors: Graphs = None
        self._scene: Scenes = None
        self._scale: float | Sequence[float] | None = None
        self._graphs: list[GuidedGraph] = []
        self._guidance = GraphGuidance()

    def show(
        self,
        neighbors: Graphs = None,
        *,
        scene: Scenes = None,
        graph_guidance_scale: float | Sequence[float] | None = None,
    ) -> None:
        """Draw with these graphs from now on; without arguments, with none.

        Args:
            neighbors: as for `GraphPipeline`.
            scene: likewise.
            graph_guidance_scale: likewise.
        """
        self._neighbors, self._scene, self._scale = neighbors, scene, graph_guidance_scale

    def read(
        self,
        prompt: str | Sequence[str] | None,
        embeds: Float[Tensor, "b n c"] | None,
        copies: int,
        *,
        clip_skip: int | None = None,
        beside: Mapping[str, Any] | None = None,
    ) -> None:
        """Let the encoders read the graphs beside a prompt, for ``copies`` pictures of each.

        Args:
            prompt: one prompt or several; None where they are encoded already.
            embeds: these.
            copies: pictures of each prompt.
            clip_skip: layers of the text encoder that are left out at its end.
            beside: the base's `text_arguments`.

        Raises:
            InputError: the graphs do not fit the model or the prompts, or an encoder reads the words of
                prompts that are encoded already.
        """
        given = graphs_given(self.model, self._neighbors, self._scene)
        base = self.model.base
        if prompt is None and embeds is not None:
            shown = [self.model.conditions[name] for graphs in given.values() for name in graphs]
            if any(condition.encoder.reads_words for condition in shown):
                raise InputError(
                    "the encoder of a graph reads the words of the prompt",
                    place="prompt",
                    remedy="give the prompt in place of prompt_embeds",
                )
            text = _tokens(embeds.to(base.device, base.dtype).repeat_interleave(copies, 0))
            one_each = len(embeds) > 1
        else:
            prompts = texts_of("" if prompt is None else prompt, "prompt")
            text = base.encode_beside(prompts, beside or {}, clip_skip=clip_skip)
            text = text.select(torch.arange(len(prompts), device=text.ids.device).repeat_interleave(copies))
            one_each = prompt is not None and not isinstance(prompt, str)
        reader = GraphReader(self.model, self.pipeline.embed, self.pipeline.read)
        self._graphs = reader.guided(given, text, text, joint=False, copies=copies, one_each=one_each)
        ours = self.model.guidance
        self._guidance = GraphGuidance(
            graphs=scales_of(self.model, self._graphs, self._scale),
            conditions=tuple(graph.condition.name for graph in self._graphs),
            start=ours.start,
            end=ours.end,
        )

    def weights(self, fraction: float) -> dict[tuple[int, ...], float]:
        """The weights of the predictions with graphs at a fraction of the steps, by the graphs' numbers."""
        return self._guidance.at(fraction).weights()

    def applied(self, inputs: DenoiserInputs, text: TextTokens, numbers: Sequence[int]) -> DenoiserInputs:
        """The denoiser's inputs with the model and with the graphs of these numbers."""
        for adapter in self.model.adapters.values():
            inputs = adapter.apply(inputs, None)
        graphs = [self._graphs[number] for number in numbers]
        for condition in self.model.conditions.values():
            graph = next((one for one in graphs if one.condition is condition), None)
            signal = condition.null_signal(text) if graph is None else graph.signal
            inputs = condition.apply(inputs, signal)
        return inputs


@dataclass
class _Call:
    """A call of a pipeline, whose steps may begin and end within those of its scheduler.

    Args:
        pipe: the pipeline.
        first: the place of its first step among the scheduler's; None before that step.
    """

    pipe: Any
    first: int | None = None

    def made(self, timesteps: Tensor, timestep: Any) -> int:
        """How many steps were made before that of ``timestep``."""
        place = int((timesteps == timestep).nonzero()[0, 0])
        self.first = place if self.first is None else self.first
        return place - self.first


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
        self._drawing: ContextVar[_Call | None] = ContextVar("drawing", default=None)
        self._kind = type(pipe)
        pipe.__class__ = self._noted(self._kind)
        denoiser.forward, pipe.encode_prompt = self._forward, self._encoded
        vars(pipe)[_INSIDE] = self

    def leave(self) -> None:
        """Put everything back as it was."""
        denoiser: Any = self.base.denoiser
        del denoiser.forward
        if self._before is not None:
            denoiser.forward = self._before
        del self.pipe.encode_prompt, vars(self.pipe)[_INSIDE]
        self.pipe.__class__ = self._kind
        self.base.release()

    def _noted(self, kind: Any) -> type:
        """The class of a pipeline whose calls are noted; others that share its denoiser are told by that."""

        @wraps(kind.__call__)
        def call(pipe: Any, *args: Any, **options: Any) -> Any:
            token = self._drawing.set(_Call(pipe))
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
            raise _shared()
        rows = len(sample)
        guided = self.pipe.do_classifier_free_guidance
        half = slice(rows // 2 if guided else 0, rows)
        times = torch.as_tensor(timestep, device=sample.device).expand(rows)
        text = _tokens(encoder_hidden_states)

        def predicted(branch: Callable[[DenoiserInputs, TextTokens], DenoiserInputs], part: slice) -> Tensor:
            shown = text.select(torch.arange(rows, device=sample.device)[part])
            inputs = branch(self.base.inputs(sample[part], times[part], shown), shown)
            token = self._own.set(_rows(options, part, rows))
            try:
                return self.base.denoise(inputs)
            finally:
                self._own.reset(token)

        plain = predicted(partial(self._applied, None, ()), slice(0, rows))
        most = plain[half]  # the most conditioned prediction, whose spread `guidance_rescale` asks for
        shift = torch.zeros_like(most, dtype=torch.promote_types(plain.dtype, torch.float32))
        fraction = drawing.made(self.pipe.scheduler.timesteps, timestep) / self.pipe.num_timesteps
        for one in self.models.values():
            for numbers, weight in one.weights(fraction).items():
                most = predicted(partial(self._applied, one, numbers), half)
                shift += weight * (most - plain[half]).to(shift.dtype)
        answer = self._answer(plain.to(shift.dtype), shift, most.to(shift.dtype), half).to(plain.dtype)
        return UNet2DConditionOutput(sample=answer) if return_dict else (answer,)

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

    def _applied(
        self, model: Attached | None, numbers: Sequence[int], inputs: DenoiserInputs, text: TextTokens
    ) -> DenoiserInputs:
        """The inputs with all models, of whose graphs those of ``model`` with these numbers are shown."""
        for one in self.models.values():
            inputs = one.applied(inputs, text, numbers if one is model else ())
        return inputs


def _tokens(hidden: Tensor) -> TextTokens:
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
