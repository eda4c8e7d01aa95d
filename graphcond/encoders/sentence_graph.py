"""A graph convolution over the words of the scene's sentence (SDXL-SG, LAION-SG, arXiv 2412.08580)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graphcond.config import checked
from graphcond.context import SceneFeatures
from graphcond.encoders.alignment import node_words, predicate_words
from graphcond.encoders.base import Encoder
from graphcond.encoders.config import SentenceGraphConfig
from graphcond.encoders.graph_network import GraphLayer
from graphcond.encoders.scene_graphs import PackedGraphs, pack, proposed
from graphcond.signals import Alignment, GraphTokens, TextTokens

DEFAULT = SentenceGraphConfig.model_construct()

ATTRIBUTE = "-"
"""The predicate between an attribute and its object, as the release writes it."""


class TripleConv(GraphLayer):
    """sg2im's convolution over triples with its own parameter names (arXiv 1804.01622).

    Args:
        width: of nodes and predicates.
        hidden: width of the hidden layers and of the proposals.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.sizes = [hidden, width, hidden]
        self.net1 = _mlp(3 * width, hidden, sum(self.sizes))
        self.net2 = _mlp(hidden, hidden, width)

    def forward(self, graph: PackedGraphs) -> PackedGraphs:
        """The graph with new vectors; nodes in no triple all get the same."""
        pooled, predicates = proposed(graph, self.net1, self.sizes)
        return graph.having(self.net2(pooled.to(predicates.dtype)), predicates)


class TripleConvs(nn.Module):
    """Several of them, named as in sg2im."""

    def __init__(self, width: int, hidden: int, layers: int) -> None:
        super().__init__()
        self.gconvs = nn.ModuleList([TripleConv(width, hidden) for _ in range(layers)])


@checked(SentenceGraphConfig)
class SentenceGraph(Encoder[SceneFeatures, GraphTokens]):
    """Vectors for the words of the sentence, which the injector adds to the sentence's tokens.

    A node is an object's label or an attribute, an edge a relation or the "-" from an attribute to its
    object; their vectors are the means of the sentence's own tokens at their words. (The release reads every
    phrase alone, has a node for each token, and does not connect the triples of one object.) Parameters are
    named and shaped as in the released file, in which ``clip_dim`` is 2048, and width and hidden are 512.

    Args:
        token_width: c, width of the base's context tokens.
        encode_prompt: the base's.
        token_spans: the base's.
        width: of the vectors inside.
        **settings: those of `SentenceGraphConfig`.
        masks_padding: hide the padding of the sentence, as the base hides that of prompts.
    """

    reads = SceneFeatures
    gives = GraphTokens

    def __init__(
        self,
        *,
        token_width: int,
        encode_prompt: Callable[[Sequence[str]], TextTokens],
        token_spans: Callable[[Sequence[str]], Int64[Tensor, "b n 2"]],
        width: int = 512,
        hidden: int = DEFAULT.hidden,
        layers: int = DEFAULT.layers,
        masks_padding: bool = False,
    ) -> None:
        super().__init__()
        self._encode, self._spans, self.masks_padding = encode_prompt, token_spans, masks_padding
        self.projection_mlp_1 = nn.Linear(token_width, width, bias=False)
        self.graph_conv = TripleConv(width, hidden)
        self.graph_net = TripleConvs(width, hidden, layers)
        self.projection_mlp_2 = nn.Linear(width, token_width, bias=False)
        # What it reads has length 1; so its result has the size of the tokens that it is added to.
        nn.init.normal_(self.projection_mlp_2.weight)

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, n + t, c) of nodes, then predicates, with their alignment; ``text`` is not read."""
        with torch.no_grad():
            sentence = self._encode(context.sentences)
            dash = self._encode([ATTRIBUTE]).hidden
        spans, dashes = self._spans(context.sentences), self._spans([ATTRIBUTE])[..., 1] > 0
        nodes, predicates = node_words(context, spans), predicate_words(context, spans)
        graph = pack(
            replace(
                context,
                nodes=_means(nodes, sentence.hidden),
                predicates=torch.where(
                    predicates.any(-1, keepdim=True),
                    _means(predicates, sentence.hidden),
                    _means(dashes[:, None].to(dash.device), dash),
                ),
            )
        )
        read = self.projection_mlp_1
        graph = graph.having(
            read(graph.nodes.to(read.weight.dtype)), read(graph.predicates.to(read.weight.dtype))
        )
        for layer in (self.graph_conv, *self.graph_net.gconvs):
            graph = layer(graph)
        write = self.projection_mlp_2
        vectors = graph.having(write(F.normalize(graph.nodes)), write(F.normalize(graph.predicates)))
        related = context.related
        edges = vectors.predicates.new_zeros(*related.shape, vectors.predicates.shape[-1])
        edges = edges.masked_scatter(related[..., None], vectors.predicates)
        attended = sentence.attended(self.masks_padding) & context.has_graph[:, None]
        return GraphTokens(
            torch.cat([vectors.unpack(), edges], dim=1),
            torch.cat([context.present, related], dim=1),
            alignment=Alignment(sentence.hidden, attended, torch.cat([nodes, predicates], dim=1)),
        )


def _means(words: Bool[Tensor, "b n l"], hidden: Float[Tensor, "b l c"]) -> Float[Tensor, "b n c"]:
    """The mean of the tokens of each item; zero where it has none."""
    weights = words.to(hidden.dtype)
    return weights @ hidden / weights.sum(-1, keepdim=True).clamp(min=1)


def _mlp(first: int, hidden: int, last: int) -> nn.Sequential:
    inner, outer = nn.Linear(first, hidden), nn.Linear(hidden, last)
    for layer in (inner, outer):
        nn.init.kaiming_normal_(layer.weight)
    return nn.Sequential(inner, nn.ReLU(), outer, nn.ReLU())
