"""A transformer over triples, each as head + relation - tail (Structure-CLIP, arXiv 2305.06152)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from graphcond.config import checked
from graphcond.context import SceneFeatures
from graphcond.encoders.alignment import name_words
from graphcond.encoders.base import Encoder
from graphcond.encoders.boxes import BoxPredictor
from graphcond.encoders.config import TripleTransformerConfig
from graphcond.encoders.graph_network import build_graph_network
from graphcond.encoders.object_tokens import at_objects, boxes_by, places_of
from graphcond.encoders.scene_graphs import averaged
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, TextTokens

DEFAULT = TripleTransformerConfig.model_construct()

ItemKind: TypeAlias = Literal["relation", "attribute", "object"]

ITEM_KINDS: tuple[ItemKind, ...] = ("relation", "attribute", "object")


@dataclass(frozen=True)
class Items:
    """The items of a batch, which are first in each row.

    Args:
        ends: positions of head and tail among the scene's nodes; a lone object has itself as both.
        predicates: embeddings of the predicates; zero for lone objects.
        kinds: numbers of the kinds in `ITEM_KINDS`.
        present: True for items, False for padding.
    """

    ends: Int64[Tensor, "b m 2"]
    predicates: Float[Tensor, "b m d"]
    kinds: Int64[Tensor, "b m"]
    present: Bool[Tensor, "b m"]


def items_of(context: SceneFeatures, most: int) -> Items:
    """The triples between objects, then those of attributes, then objects in no triple; at most ``most``.

    Within a kind the scene's order stays.
    """
    nodes = torch.arange(context.nodes.shape[1], device=context.present.device)
    lone = context.is_object & ~in_triple(context)
    lone_ends = nodes[None, :, None].expand(*lone.shape, 2)
    between = _at(context.is_object, context.triples[..., 1])
    kinds = torch.cat([torch.where(between, 0, 1), torch.full_like(lone, 2, dtype=torch.int64)], dim=1)
    present = torch.cat([context.related, lone], dim=1)
    ends = torch.cat([context.triples, lone_ends], dim=1)
    nothing = context.predicates.new_zeros(*lone.shape, context.predicates.shape[-1])
    predicates = torch.cat([context.predicates, nothing], dim=1)
    order = torch.where(present, kinds, len(ITEM_KINDS)).argsort(dim=1, stable=True)[:, :most]
    row = torch.arange(len(order), device=order.device)[:, None]
    return Items(ends[row, order], predicates[row, order], kinds[row, order], present[row, order])


def in_triple(context: SceneFeatures) -> Bool[Tensor, "b n"]:
    """True for nodes that are an end of a triple."""
    found = torch.zeros_like(context.present)
    scene, number = context.related.nonzero(as_tuple=True)
    for end in (0, 1):
        found[scene, context.triples[scene, number, end]] = True
    return found


def mean_attribute(context: SceneFeatures) -> Float[Tensor, "b n d"]:
    """The mean embedding of each object's attributes; zero where it has none."""
    subject, target = context.triples.unbind(-1)
    here = context.related & ~_at(context.is_object, target)
    scene, number = here.nonzero(as_tuple=True)
    words = context.nodes[scene, target[scene, number]]
    scenes, nodes = context.present.shape
    mean = averaged(words, scene * nodes + subject[scene, number], scenes * nodes)
    return mean.to(words.dtype).unflatten(0, (scenes, nodes))


def _at(values: Bool[Tensor, "b n"], places: Int64[Tensor, "b t"]) -> Bool[Tensor, "b t"]:
    """``values`` at ``places``; False if there are no nodes."""
    return values.gather(1, places) if values.shape[1] else torch.zeros_like(places, dtype=torch.bool)


class ObjectReadout(nn.Module):
    """A token for each object, from what stands beside the transformer and what the transformer gives.

    A node's vector is LayerNorm(word + mean attribute + mean over its items of W state), each projected, with
    one W for items whose head it is and one for those whose tail it is. An MLP makes tokens of them: "a red
    circle" is more than the sum of its words.

    Args:
        feature_width: d, width of the words' embeddings.
        width: w, of the transformer.
        token_width: c, of the tokens.
    """

    def __init__(self, feature_width: int, width: int, token_width: int) -> None:
        super().__init__()
        self.words = nn.Sequential(nn.LayerNorm(feature_width), nn.Linear(feature_width, width))
        self.attributes = nn.Sequential(nn.LayerNorm(feature_width), nn.Linear(feature_width, width))
        self.ends = nn.ModuleList(nn.Linear(width, width) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, token_width),
            nn.LayerNorm(token_width),
        )

    def forward(
        self, context: SceneFeatures, items: Items, states: Float[Tensor, "b m w"]
    ) -> Float[Tensor, "b n c"]:
        """Tokens of all nodes, meant for objects; ``states`` are those of ``items``."""
        scenes, nodes = context.present.shape
        scene, number = items.present.nonzero(as_tuple=True)
        told = torch.cat([read(states)[items.present] for read in self.ends])
        rows = torch.cat([scene * nodes + items.ends[scene, number, end] for end in (0, 1)])
        heard = averaged(told, rows, scenes * nodes).unflatten(0, (scenes, nodes))
        known = self.words(context.nodes) + self.attributes(mean_attribute(context))
        return self.out(self.norm(known + heard.to(known.dtype)))


@checked(TripleTransformerConfig)
class TripleTransformer(Encoder[SceneFeatures, GraphTokens]):
    """Graph tokens from a transformer whose positions are a scene's triples, in no order.

    A triple is head + relation - tail, so that "a above b" and "b above a" differ. Head and tail are an
    object's word and the mean of its attributes, each projected; Structure-CLIP's heads and tails are words
    alone, which leaves open *which* of two circles lies above. Attributes are triples too, objects in no
    triple are read on their own. Triples beyond ``triples`` are not read: relations go first. A learned first
    position gathers the scene.

    It gives that position's state and one token for each triple; or one token for each object
    (`ObjectReadout`); or, with ``sentence``, the hidden states of the scene's sentence with ``graph_weight``
    times the scene's embedding added to each. With ``token_spans`` the words of an object have its box.
    Predicted boxes come from a convolution over triples of their
    own: the transformer itself places worse (mean IoU 0.41 against 0.475, docs/scenes.md).

    Args:
        feature_width: d, width of the words' embeddings.
        token_width: c, width of the base's context tokens.
        width: of the transformer.
        sentence: the base's `encode_prompt`, to give the sentence with the graph added to it.
        token_spans: the base's `token_spans`, to give the words of an object its box.
        masks_padding: hide the padding of the sentence, as the base hides that of prompts.
        **settings: those of `TripleTransformerConfig`.
    """

    reads = SceneFeatures
    gives = GraphTokens

    def __init__(
        self,
        *,
        feature_width: int,
        token_width: int,
        width: int = 256,
        layers: int = DEFAULT.layers,
        heads: int = DEFAULT.heads,
        triples: int = DEFAULT.triples,
        sentence: Callable[[Sequence[str]], TextTokens] | None = None,
        token_spans: Callable[[Sequence[str]], Int64[Tensor, "b n 2"]] | None = None,
        graph_weight: float = DEFAULT.graph_weight,
        masks_padding: bool = False,
        tokens: Literal["triples", "objects"] = DEFAULT.tokens,
        predict_boxes: bool = DEFAULT.predict_boxes,
        box_layers: int = DEFAULT.box_layers,
    ) -> None:
        super().__init__()
        self.triples, self.embedding_width, self.predicts_boxes = triples, token_width, predict_boxes
        self.token_count = None if sentence is None else "prompt"
        self._sentence, self._spans = sentence, token_spans
        self.graph_weight, self.masks_padding = graph_weight, masks_padding
        self.read_words = nn.Sequential(nn.LayerNorm(feature_width), nn.Linear(feature_width, width))
        self.read_attributes = nn.Linear(feature_width, width, bias=False)
        self.read_predicates = nn.Sequential(nn.LayerNorm(feature_width), nn.Linear(feature_width, width))
        self.kinds = nn.Parameter(torch.randn(len(ITEM_KINDS), width) * 0.02)
        self.first = nn.Parameter(torch.randn(width) * 0.02)
        self.norm = nn.LayerNorm(width)
        layer = nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        self.transformer = nn.TransformerEncoder(
            layer, layers, norm=nn.LayerNorm(width), enable_nested_tensor=False
        )
        self.out = nn.Sequential(nn.Linear(width, token_width), nn.LayerNorm(token_width))
        self.objects = ObjectReadout(feature_width, width, token_width) if tokens == "objects" else None
        self.box_predictor = (
            BoxPredictor(build_graph_network("triple_gcn", feature_width, layers=box_layers))
            if predict_boxes
            else None
        )

    def forward(self, context: SceneFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, 1 + m, c) for up to m triples, or (b, n, c) for objects or as a prompt has.

        ``text`` is not read.
        """
        if self.objects is not None:
            return at_objects(self.object_tokens(context), context, self.box_predictor)
        states, items = self._states(context)
        present = torch.cat([context.has_graph[:, None], items.present], dim=1)
        if self._sentence is None:
            return GraphTokens(self.out(states), present)
        with torch.no_grad():
            sentence = self._sentence(context.sentences)
        graph = self.graph_weight * self.out(states[:, :1])
        hidden = sentence.hidden + graph.to(sentence.hidden.dtype)
        here = present[:, :1] & sentence.attended(self.masks_padding)
        if self._spans is None or not context.present.shape[1]:
            return GraphTokens(hidden, here)
        # The words of an object have its box.
        words = name_words(context, self._spans(context.sentences))
        boxes, boxed = places_of(context, self.box_predictor)
        owner = words.long().argmax(1, keepdim=True).transpose(1, 2)
        of_words = words.any(1) & boxed.take_along_dim(owner[..., 0], dim=1)
        return GraphTokens(hidden, here, boxes.take_along_dim(owner, dim=1), of_words)

    def embed_scenes(self, context: SceneFeatures) -> Float[Tensor, "b c"]:
        """Each scene as one vector, its first token; for an empty scene, the token of that position alone."""
        return self.out(self._states(context)[0][:, 0])

    def object_tokens(self, context: SceneFeatures) -> Float[Tensor, "b n c"]:
        """A token for each node; meant for objects only.

        Raises:
            InputError: the encoder gives no tokens of objects.
        """
        if self.objects is None:
            problem = "this encoder gives no tokens of objects"
            raise InputError(problem, place="encoder.tokens", remedy="set it to objects")
        states, items = self._states(context)
        return self.objects(context.masked().to(dtype=states.dtype), items, states[:, 1:])

    def predicted_boxes(self, context: SceneFeatures) -> Float[Tensor, "b n 4"]:
        """Boxes x0 y0 x1 y1 in 0..1 of all nodes, as the graph alone tells; meant for objects only.

        Raises:
            InputError: the encoder was built without ``predict_boxes``.
        """
        return boxes_by(self.box_predictor, context)

    def _states(self, context: SceneFeatures) -> tuple[Float[Tensor, "b m w"], Items]:
        """The states of the first position and of the items."""
        context = context.masked().to(dtype=self.first.dtype)
        items = items_of(context, self.triples)
        # Each item as one vector: head + relation - tail; a lone object is its head alone.
        words = self.read_words(context.nodes) + self.read_attributes(mean_attribute(context))
        # Not by indexing, whose gradients several threads sum in any order.
        head, tail = (words.take_along_dim(items.ends[..., end, None], dim=1) for end in (0, 1))
        triple = (items.kinds < ITEM_KINDS.index("object"))[..., None]
        link = self.read_predicates(items.predicates) - tail
        vectors = self.norm(head + link * triple + F.embedding(items.kinds, self.kinds))
        first = self.first.expand(len(vectors), 1, -1)
        everywhere = torch.ones_like(first[..., 0], dtype=torch.bool)
        hidden = ~torch.cat([everywhere, items.present], dim=1)
        states = self.transformer(torch.cat([first, vectors], dim=1), src_key_padding_mask=hidden)
        return states, items
