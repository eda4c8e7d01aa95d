"""The guidance of one call: scales and a guider that a caller gives, and the predictions combined by them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, get_args

import torch
from diffusers.guiders import BaseGuidance
from torch import Tensor

from graphcond.config import as_number
from graphcond.errors import InputError, Notice, out_of_memory
from graphcond.guidance import (
    Branch,
    BranchPredictions,
    Call,
    GraphGuidance,
    GuidanceMode,
    GuidedGraph,
    Prediction,
    rescaled,
)
from graphcond.model import GraphModel
from graphcond.pipeline.arguments import check_choice
from graphcond.pipeline.graphs import scales_of
from graphcond.pipeline.guiders import PAIR, GraphGuider


@dataclass(frozen=True)
class GivenGuidance:
    """The arguments of a call that are guidance; see `GraphPipeline`. What is None is the model's.

    Raises:
        InputError: there is no such mode.
    """

    guidance_scale: float | None
    graph_guidance_scale: float | Sequence[float] | None
    guidance_mode: GuidanceMode | None
    guidance_rescale: float | None
    guidance_start: float | None
    guidance_end: float | None
    guidance_text_start: float | None
    guidance_text_end: float | None
    guidance_reuse: int | None
    guidance_skip_below: float | None
    guider: BaseGuidance | None = None

    def __post_init__(self) -> None:
        if self.guidance_mode is not None:
            check_choice(self.guidance_mode, get_args(GuidanceMode), "guidance_mode")

    @classmethod
    def beside(cls, guider: BaseGuidance | None, **scales: Any) -> GivenGuidance:
        """The scales that are given beside a guider, or those of a `GraphGuider`.

        Raises:
            InputError: the guider does not fit, or scales are given that it has.
        """
        if guider is None:
            return cls(**scales)
        check_guider(guider)
        ours = isinstance(guider, GraphGuider)
        both = [name for name in scales if scales[name] is not None and (ours or name == "guidance_scale")]
        if both:
            raise InputError(
                f"it is a setting of the {type(guider).__name__}, too",
                place=both[0],
                remedy="give it to the guider alone, or leave the guider out",
            )
        if not ours:
            return cls(**scales, guider=guider)
        rule = guider.guidance
        intervals = rule.start, rule.end, rule.text_start, rule.text_end
        return cls(rule.text, rule.graphs, rule.mode, rule.rescale, *intervals, rule.reuse, rule.skip_below)

    def mode_of(self, model: GraphModel) -> GuidanceMode:
        """The mode."""
        return model.guidance.mode if self.guidance_mode is None else self.guidance_mode

    def over(self, model: GraphModel, graphs: Sequence[GuidedGraph], *, batched: bool) -> Guided:
        """The guidance of a call with these graphs.

        Raises:
            InputError: an argument is not a number or is out of range, the graphs are more or fewer than the
                scales, or the base has no prediction without text, which the scale of the text needs.
        """
        ours = model.guidance

        def number(value: Any, default: float, name: str) -> float:
            return default if value is None else as_number(value, name)

        sum_of_graphs = GraphGuidance(
            graphs=scales_of(model, graphs, self.graph_guidance_scale),
            conditions=tuple(graph.condition.name for graph in graphs),
            text=number(self.guidance_scale, ours.text, "guidance_scale"),
            mode=self.mode_of(model) if graphs else "separate",
            rescale=number(self.guidance_rescale, ours.rescale, "guidance_rescale"),
            start=number(self.guidance_start, ours.start, "guidance_start"),
            end=number(self.guidance_end, ours.end, "guidance_end"),
            text_start=number(self.guidance_text_start, ours.text_start, "guidance_text_start"),
            text_end=number(self.guidance_text_end, ours.text_end, "guidance_text_end"),
            batched=batched,
            reuse=ours.reuse if self.guidance_reuse is None else self.guidance_reuse,
            skip_below=number(self.guidance_skip_below, ours.skip_below, "guidance_skip_below"),
        )
        if self.guider is None:
            model.base.facts.check_text_scale(sum_of_graphs.text, "guidance_scale")
        elif self.guider.num_conditions > 1:
            model.base.facts.check_text_scale(float(getattr(self.guider, "guidance_scale", 0)), "guider")
        if model.base.facts.distilled and any(scale != 1 for scale in sum_of_graphs.graphs):
            warnings.warn(
                "the base is distilled: a graph with a scale other than 1 takes a second prediction a step",
                Notice,
                stacklevel=4,
            )
        return Guided(sum_of_graphs, deepcopy(self.guider))


@dataclass(frozen=True)
class Guided:
    """The guidance of one call.

    Args:
        graphs: the scales.
        guider: of diffusers, which combines the predictions with text and without in place of s_T; what
            graphs add remains. In the mode ``joint`` its pair shows the graphs. It keeps state.
    """

    graphs: GraphGuidance
    guider: BaseGuidance | None = None

    def with_text_scale(self, scale: Any, model: GraphModel) -> Guided:
        """This guidance with s_T as a callback sets it: as in diffusers, 1 or less is none.

        Raises:
            InputError: it is not a finite number, or the base has no prediction without text.
        """
        place = "callback_on_step_end, _guidance_scale"
        text = max(as_number(scale, place), 1.0)
        model.base.facts.check_text_scale(text, place)
        guider = deepcopy(self.guider)
        if guider is not None:
            vars(guider)["guidance_scale"] = text
        return Guided(replace(self.graphs, text=text), guider)

    def predict(
        self,
        number: int,
        count: int,
        timestep: Tensor,
        call: Call,
        predictions: BranchPredictions | None = None,
    ) -> Prediction:
        """The guided prediction of step ``number`` of ``count``; see `GraphGuidance.predict`.

        Raises:
            InputError: the guider fails.
        """
        if self.guider is None:
            return self.graphs.predict(number / count, call, predictions)
        guidance = self.graphs.at(number / count)
        joint = guidance.mode == "joint"
        first, *others = range(len(guidance.graphs)) if joint else (None,)
        text, empty = (Branch(with_text, first, 0.0, tuple(others)) for with_text in (True, False))
        self.guider.set_state(number, count, timestep)
        pair = self.guider.prepare_inputs({"branch": (text, empty)})
        graphs = () if joint else guidance.graph_branches()
        found = guidance.run([*(one.branch for one in pair), *graphs], call, predictions)
        half = found[0].dtype
        found = [one.to(torch.promote_types(half, torch.float32)) for one in found]
        for one, prediction in zip(pair, found, strict=False):
            one.noise_pred = prediction
        with_text = next(one.noise_pred for one in pair if one.branch.text)
        try:
            guided = self.guider(pair).pred
        except (IndexError, RuntimeError, TypeError, ValueError) as error:
            if out_of_memory(error):
                raise
            raise InputError(
                f"{type(self.guider).__name__} cannot combine the predictions ({error})",
                place="guider",
                remedy="give other settings, or another guider such as AdaptiveProjectedGuidance",
            ) from error
        for branch, prediction in zip(graphs, found[len(pair) :], strict=True):
            guided = guided + branch.weight * (prediction - with_text)
        if guidance.rescale:
            guided = rescaled(guided, found[-1] if graphs else with_text, guidance.rescale)
        return guided.to(half)


def check_guider(guider: object) -> None:
    """Check that a guider combines the predictions with text and without, or is a `GraphGuider`.

    Raises:
        InputError: it does not.
    """
    name = type(guider).__name__
    if not isinstance(guider, BaseGuidance):
        raise InputError(
            f"expected a guider of diffusers, got a {name}",
            place="guider",
            remedy="give one such as diffusers.guiders.AdaptiveProjectedGuidance()",
        )
    changes_layers = type(guider).prepare_models is not BaseGuidance.prepare_models
    if changes_layers or guider._input_predictions != PAIR:
        raise InputError(
            f"{name} needs a prediction of a denoiser whose layers it changes or skips, where graphs attach",
            place="guider",
            remedy="give one that combines the predictions with text and without, such as "
            "AdaptiveProjectedGuidance or ClassifierFreeZeroStarGuidance",
        )
