"""The boxes that a model predicts for the objects of scene graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from graphcond.errors import InputError
from graphcond.pipeline.graph_pipeline import GraphPipeline
from graphcond.scene_graph import Box, SceneGraph

SMALLEST = 1e-3
"""Side of a predicted box whose edges meet, as a share of the picture."""


@torch.no_grad()
def with_predicted_boxes(pipe: GraphPipeline, scenes: Sequence[SceneGraph]) -> list[SceneGraph]:
    """The scenes, with predicted boxes for objects that have none.

    Args:
        pipe: of a model with a condition that predicts boxes; the first such condition counts.
        scenes: at least one.

    Raises:
        InputError: the model has no such condition, or reads fewer objects than a scene has.
    """
    conditions = pipe.model.conditions
    name = next((name for name, one in conditions.items() if one.encoder.predicts_boxes), None)
    if name is None:
        raise InputError(
            "no condition of the model predicts boxes",
            place="layout",
            remedy="use a model that was trained with the objective 'layout', such as sgcond-iv",
        )
    encoder: Any = conditions[name].encoder
    placed = []
    for scene in scenes:
        context = pipe.read(scene, name)
        if int(context.is_object.sum()) < len(scene):
            raise InputError(
                f"the model reads {int(context.is_object.sum())} of {len(scene)} objects",
                place="layout",
                remedy="give boxes, or fewer objects",
            )
        edges = encoder.predicted_boxes(context)[0, : len(scene)].float().clamp(0, 1)
        low = edges[:, :2].clamp(max=1 - SMALLEST)
        found = torch.cat([low, edges[:, 2:].maximum(low + SMALLEST)], dim=1).tolist()
        boxes = (scene.box_of(number) or Box(*box) for number, box in enumerate(found))
        placed.append(replace(scene, boxes=tuple(boxes), masks=None))
    return placed
