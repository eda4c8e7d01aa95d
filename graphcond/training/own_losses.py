"""The losses of conditions' own beside the denoising loss: objectives over the training examples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from graphcond.errors import TrainingError
from graphcond.model import GraphModel
from graphcond.objectives import Objective
from graphcond.training.gather import Contexts, Gatherer
from graphcond.training.pretrain_data import StageScenes, gather_scenes


@dataclass(frozen=True)
class OwnLoss:
    """The loss of one condition's own.

    Args:
        name: of the condition.
        share: of the loss of a step.
        objective: has no weights of its own.
        scenes: the examples that have a graph, in their order.
        places: the row in ``scenes`` of each example; of one without a graph, any.
    """

    name: str
    share: float
    objective: Objective
    scenes: StageScenes
    places: Int64[np.ndarray, " n"]

    def __call__(
        self, model: GraphModel, rows: Int64[np.ndarray, " b"], shown: Bool[np.ndarray, " b"]
    ) -> tuple[Float[Tensor, ""], dict[str, float]] | None:
        """The sum of the loss over samples, and its figures; None where no sample has a graph.

        Args:
            model: has the condition.
            rows: the examples.
            shown: those whose graph is not dropped.

        Raises:
            TrainingError: the loss is not finite.
        """
        rows = rows[shown]
        if not len(rows):
            return None
        encoder = model.conditions[self.name].encoder
        result = self.objective(encoder, self.scenes.batch(self.places[rows], model.device))
        if fault := result.fault():
            raise TrainingError(f"the own loss of the condition '{self.name}' is {fault}")
        return len(rows) * result.loss, {"loss": float(result.loss.detach()), **result.figures}


def gather_own_losses(
    model: GraphModel, gatherer: Gatherer, targets: Int64[np.ndarray, " n"], contexts: Contexts
) -> tuple[OwnLoss, ...]:
    """The own losses of a recipe's conditions over the examples of ``targets``, which have ``contexts``.

    Raises:
        InputError: the data lack what an objective needs, or it does not suit its encoder.
    """
    losses = []
    for number, condition in enumerate(gatherer.recipe.conditions):
        if (own := condition.own_loss) is None:
            continue
        scenes = gather_scenes(
            *(own.objective, gatherer, model.base, targets),
            condition=condition.name,
            seed=gatherer.recipe.training.seed,
            place=f"conditions.{number}.own_loss.objective",
        )
        objective = own.objective.build(
            encoder=model.conditions[condition.name].encoder, picture_width=scenes.picture_width
        ).to(model.device)
        places = np.cumsum(contexts[condition.name].has_graph) - 1
        losses.append(OwnLoss(condition.name, own.share, objective, scenes, places))
    return tuple(losses)


def mean_figures(found: list[tuple[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """The mean figures of each condition over several forward passes."""
    names = dict.fromkeys(name for name, _ in found)
    parts = {name: [figures for one, figures in found if one == name] for name in names}
    return {
        name: {key: sum(one[key] for one in all_) / len(all_) for key in all_[0]}
        for name, all_ in parts.items()
    }
