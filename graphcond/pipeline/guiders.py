"""The sum over a text and graphs as a guider of diffusers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from diffusers.configuration_utils import register_to_config
from diffusers.guiders import BaseGuidance
from diffusers.guiders.guider_utils import GuiderOutput
from torch import Tensor

from graphcond.errors import InputError
from graphcond.guidance import Branch, GraphGuidance, Prediction

if TYPE_CHECKING:
    from diffusers.modular_pipelines import BlockState

PAIR = ["pred_cond", "pred_uncond"]
"""The predictions with text and without, as diffusers names them."""


class GraphGuider(BaseGuidance):
    """`GraphGuidance` in its mode ``separate`` as a guider of diffusers.

    The tuples that `prepare_inputs` takes have a value for each of `predictions`: with the text, without,
    and with the text and each graph, k + 2 for k graphs of one condition. Branches of weight 0 are left out.

    Args:
        guidance_scale: s_T.
        graph_guidance_scale: s_G of each graph.
        conditions: the condition of each graph; all are of one unless given.
        guidance_rescale: as ``rescale`` of `GraphGuidance`.
        start: graphs steer from this fraction of the steps ...
        stop: ... up to this one.
        enabled: otherwise all scales are 1.
        text_start: s_T acts from this fraction of the steps, elsewhere it is 1 ...
        text_stop: ... up to this one.
        reuse: as in `GraphGuidance`; in steps between measurements `prepare_inputs` gives one branch.

    Raises:
        InputError: as `GraphGuidance`.
    """

    _input_predictions = PAIR

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        guidance_scale: float = 7.5,
        graph_guidance_scale: Sequence[float] = (),
        conditions: Sequence[str] = (),
        guidance_rescale: float = 0.0,
        start: float = 0.0,
        stop: float = 1.0,
        enabled: bool = True,
        text_start: float = 0.0,
        text_stop: float = 1.0,
        reuse: int = 1,
    ) -> None:
        self._scales = GraphGuidance(
            text=guidance_scale,
            graphs=tuple(graph_guidance_scale),
            conditions=tuple(conditions),
            rescale=guidance_rescale,
            start=start,
            end=stop,
            text_start=text_start,
            text_end=text_stop,
            reuse=reuse,
        )
        self._predictions = self._scales.over_steps()
        super().__init__(start, stop, enabled)

    @property
    def guidance(self) -> GraphGuidance:
        """The rule, at all steps."""
        if self._enabled:
            return self._scales
        return replace(self._scales, text=1.0, graphs=(1.0,) * len(self._scales.graphs), rescale=0.0)

    @property
    def predictions(self) -> list[str]:
        """The names of the predictions, such as ``pred_cond_0`` with the text and the first graph."""
        guidance = self.guidance
        alone = [(number,) for number, scale in enumerate(guidance.graphs) if not scale]
        shown = sorted([*guidance.weights(), *alone], key=lambda numbers: (len(numbers), numbers))
        return [*PAIR, *(_name(Branch(True, first, 0.0, tuple(others))) for first, *others in shown)]

    @property
    def num_conditions(self) -> int:
        """The number of predictions that this step needs."""
        return len(self._asked)

    @property
    def is_conditional(self) -> bool:
        """Whether the branch that was prepared last has the text."""
        return self._asked[self._count_prepared - 1].text

    def set_state(self, step: int, num_inference_steps: int, timestep: Tensor) -> None:
        """The step that comes next; the first one begins a new drawing."""
        super().set_state(step, num_inference_steps, timestep)
        if step == 0:
            self._predictions = self._scales.over_steps()

    def prepare_inputs(self, data: Mapping[str, Any]) -> list[BlockState]:
        """The inputs of each branch; see `GraphGuider`.

        Raises:
            InputError: a tuple has another length.
        """
        return [self._prepare_batch(data, *one) for one in self._needed(data)]

    def prepare_inputs_from_block_state(
        self, data: BlockState, input_fields: Mapping[str, Any]
    ) -> list[BlockState]:
        """As `prepare_inputs`, of the attributes of ``data`` that ``input_fields`` names."""
        return [
            self._prepare_batch_from_block_state(input_fields, data, *one)
            for one in self._needed(input_fields)
        ]

    def forward(self, **predictions: Prediction) -> GuiderOutput:
        """The guided prediction, from those that the step needs by their names."""
        guidance = self._now
        branches, asked = guidance.branches(), self._asked
        made = [predictions[_name(branch)] for branch in asked]
        pred = guidance.combine(branches, self._predictions.completed(branches, asked, made))
        pair: dict[str, Any] = {name: predictions.get(name) for name in PAIR}
        return GuiderOutput(pred=pred, **pair)

    @property
    def _now(self) -> GraphGuidance:
        step, count = self._step, self._num_inference_steps
        return self.guidance if step is None or not count else self.guidance.at(step / count)

    @property
    def _asked(self) -> list[Branch]:
        """The branches of this step that the denoiser has to predict."""
        return self._predictions.needed(self._now.branches())

    def _needed(self, data: Mapping[str, Any]) -> list[tuple[int, str]]:
        """The place in a tuple and the name of each prediction that the step needs."""
        names = self.predictions
        for field, value in data.items():
            if isinstance(value, tuple) and len(value) != len(names):
                raise InputError(
                    f"expected {len(names)} values ({', '.join(names)}), got {len(value)}",
                    place=f"GraphGuider, {field}",
                    remedy="give one for each",
                )
        return [(names.index(name), name) for name in map(_name, self._asked)]


def _name(branch: Branch) -> str:
    return "_".join([PAIR[0], *map(str, branch.graphs)]) if branch.text else PAIR[1]
