"""A token for each object of a scene, from any graph network."""

from __future__ import annotations

from copy import deepcopy

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from graphcond.context import SceneFeatures
from graphcond.encoders.base import Encoder
from graphcond.encoders.boxes import BoxPredictor
from graphcond.encoders.graph_network import GraphNetwork
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, TextTokens


class ObjectTokens(Encoder[SceneFeatures, GraphTokens]):
    """Graph tokens, one for each object; attributes are heard along the graph and get no token.

    Tokens know their objects' boxes where the scene gives them. With ``predict_boxes`` an object without
    one gets a predicted box (sg2im's box head), so that a graph alone says where things are. Boxes come from
    a copy of the network, so that training the tokens leaves them alone (docs/decisions/0011).

    Args:
        network: gives a vector for each node.
        token_width: c, width of the base's context tokens.
        predict_boxes: predict the boxes that a scene does not give.
    """

    reads = SceneFeatures
    gives = GraphTokens

    def __init__(self, network: GraphNetwork, *, token_width: int, predict_boxes: bool = False) -> None:
        super().__init__()
        self.network = network
        self.out = nn.Sequential(nn.Linear(network.width, token_width), nn.LayerNorm(token_width))
        self.box_predictor = BoxPredictor(deepcopy(network)) if predict_boxes else None
        self.predicts_boxes = predict_boxes

    def object_tokens(self, context: SceneFeatures) -> Float[Tensor, "b n c"]:
        """A token for each node; meant for objects only."""
        return self.out(self.network(context))

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, n, c) for up to n objects in a scene; ``text`` is not read."""
        return at_objects(self.object_tokens(context), context, self.box_predictor)

    def predicted_boxes(self, context: SceneFeatures) -> Float[Tensor, "b n 4"]:
        """Boxes x0 y0 x1 y1 in 0..1 of all nodes, as the graph alone tells; meant for objects only.

        Raises:
            InputError: the encoder was built without ``predict_boxes``.
        """
        return boxes_by(self.box_predictor, context)


def at_objects(
    tokens: Float[Tensor, "b n c"], context: SceneFeatures, predictor: BoxPredictor | None
) -> GraphTokens:
    """The tokens of the objects among all nodes, at their places."""
    count = context.most_objects
    boxes, boxed = places_of(context, predictor)
    return GraphTokens(tokens[:, :count], context.is_object[:, :count], boxes[:, :count], boxed[:, :count])


def places_of(
    context: SceneFeatures, predictor: BoxPredictor | None
) -> tuple[Float[Tensor, "b n 4"], Bool[Tensor, "b n"]]:
    """The scene's boxes, else predicted ones if there is a predictor; and which objects have one."""
    if predictor is None:
        return context.boxes, context.boxed
    predicted = predictor(context)
    return torch.where(context.boxed[..., None], context.boxes.to(predicted), predicted), context.is_object


def boxes_by(predictor: BoxPredictor | None, context: SceneFeatures) -> Float[Tensor, "b n 4"]:
    """The predictor's boxes of all nodes.

    Raises:
        InputError: there is no predictor.
    """
    if predictor is None:
        problem = "this encoder predicts no boxes"
        raise InputError(problem, place="encoder.predict_boxes", remedy="set it to true")
    return predictor(context)
