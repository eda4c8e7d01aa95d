"""The phrase of each object, in the base's own text tokens, with the object's box."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from graphcond.context import SceneFeatures
from graphcond.encoders.alignment import names_of
from graphcond.encoders.base import Encoder
from graphcond.encoders.boxes import BoxPredictor
from graphcond.encoders.graph_network import GraphNetwork
from graphcond.signals import GraphTokens, TextTokens


class PhraseTokens(Encoder[SceneFeatures, GraphTokens]):
    """Each object's name ("a red circle"), read alone by the base's text encoder, as EliGen does it.

    The tokens of a name are those that stand for its words. All have the box of their object:
    the given one, otherwise the predicted one (sg2im's box head over a graph network, trained in a stage
    before). Nothing else is trained.

    Args:
        network: gives a vector for each node, from which boxes are predicted.
        encode_prompt: the base's.
        token_spans: the base's.
    """

    reads = SceneFeatures
    gives = GraphTokens
    predicts_boxes = True

    def __init__(
        self,
        network: GraphNetwork,
        *,
        encode_prompt: Callable[[Sequence[str]], TextTokens],
        token_spans: Callable[[Sequence[str]], Int64[Tensor, "b n 2"]],
    ) -> None:
        super().__init__()
        self._encode, self._spans = encode_prompt, token_spans
        self.box_predictor = BoxPredictor(network)

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, objects x words, c), an object's one after another; ``text`` is not read."""
        count = context.most_objects
        names = names_of(context)
        distinct = sorted({name for scene in names for name in scene})
        with torch.no_grad():
            hidden = self._encode(distinct or [""]).hidden
        # Start, end and padding stand for no characters.
        inner = (self._spans(distinct or [""])[..., 1] > 0).to(hidden.device)
        words = max(int(inner.sum(1).max()), 1)
        order = (~inner).int().argsort(dim=1, stable=True)[:, :words]
        inner, hidden = inner.take_along_dim(order, 1), hidden.take_along_dim(order[..., None], 1)
        number = torch.zeros(len(names), count, dtype=torch.long, device=hidden.device)
        for row, scene in enumerate(names):
            for place, name in enumerate(scene):
                number[row, place] = distinct.index(name)
        here = context.is_object[:, :count, None] & inner[number]
        boxes, boxed = context.boxes.float(), context.boxed
        boxes = torch.where(boxed[..., None], boxes, self.box_predictor(context).float())[:, :count, None]
        return GraphTokens(
            hidden[number].flatten(1, 2),
            here.flatten(1, 2),
            boxes.expand(-1, -1, words, -1).flatten(1, 2),
            here.flatten(1, 2),
        )

    def predicted_boxes(self, context: SceneFeatures) -> Float[Tensor, "b n 4"]:
        """Boxes x0 y0 x1 y1 in 0..1 of all nodes, as the graph alone tells; meant for objects only."""
        return self.box_predictor(context)
