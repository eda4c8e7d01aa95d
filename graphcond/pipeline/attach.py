"""A graph model in a plain pipeline of diffusers, which goes on drawing in its own way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import DiffusionPipeline
from jaxtyping import Float
from torch import Tensor

from graphcond.bases.from_pipeline import base_of
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError, did_you_mean
from graphcond.features.load import PictureExtractor, WordExtractor
from graphcond.guidance import GraphGuidance, GuidedGraph
from graphcond.model import GraphModel
from graphcond.pipeline.arguments import texts_of
from graphcond.pipeline.graph_pipeline import GraphPipeline
from graphcond.pipeline.graphs import GraphReader, Graphs, Scenes, graphs_given, scales_of
from graphcond.pipeline.inside import INSIDE, Inside, shares_its_denoiser, tokens_of
from graphcond.signals import Signal, TextTokens, selected

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
    inside: Inside | None = getattr(pipe, INSIDE, None)
    if inside is not None and name in inside.models:
        raise InputError(
            f"the pipeline has a model with the name '{name}'",
            place="name",
            remedy="give another name, or detach that one first",
        )
    call = getattr(getattr(pipe, "unet", None), "forward", None)
    if inside is None and isinstance(getattr(call, "__self__", None), Inside):
        raise shares_its_denoiser()
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
    inside: Inside | None = getattr(pipe, INSIDE, None)
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
            text = tokens_of(embeds.to(base.device, base.dtype).repeat_interleave(copies, 0))
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
            reuse=ours.reuse,
            skip_below=ours.skip_below,
        )

    @property
    def guidance(self) -> GraphGuidance:
        """The scales of the graphs that were read last."""
        return self._guidance

    def applied(
        self, inputs: DenoiserInputs, text: TextTokens, numbers: Sequence[int], rows: Tensor | None = None
    ) -> DenoiserInputs:
        """The denoiser's inputs with the model and with the graphs of these numbers, of some pictures."""
        for adapter in self.model.adapters.values():
            inputs = adapter.apply(inputs, None)
        graphs = [self._graphs[number] for number in numbers]
        for condition in self.model.conditions.values():
            graph = next((one for one in graphs if one.condition is condition), None)
            signal: Signal | None = condition.null_signal(text) if graph is None else graph.signal
            if graph is not None and rows is not None:
                signal = selected(graph.signal, rows)
            inputs = condition.apply(inputs, signal)
        return inputs
