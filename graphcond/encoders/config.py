"""Configs of encoders. Nothing here imports torch."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

from jaxtyping import Float
from pydantic import BeforeValidator, Field, NonNegativeFloat, model_validator

from graphcond.config import ComponentConfig, by_kind, lazy_registry
from graphcond.context import Context, NeighborFeatures, SceneFeatures
from graphcond.errors import InputError
from graphcond.signals import GraphTokens, LayoutMap, ReferenceLatents, Signal, TokenCount

if TYPE_CHECKING:
    from torch import Tensor

    from graphcond.bases.base import Base
    from graphcond.encoders.base import Encoder
    from graphcond.encoders.graph_network import GraphNetwork
    from graphcond.encoders.graph_qformer import GraphQFormer

Projection: TypeAlias = Literal["plain", "plus"]
Backend: TypeAlias = Literal["auto", "dgl", "torch"]
Need: TypeAlias = Literal["text_projection"]
GraphNetworkKind: TypeAlias = Literal["triple_gcn", "gcn", "sage", "gat"]


def _checked(value: Any) -> Any:
    named = isinstance(value, list | tuple) and value and all(isinstance(name, str) for name in value)
    if not isinstance(value, bool) and not (named and len(set(value)) == len(value)):
        raise ValueError("write true, false, or a list of the names of relations, each once")
    return value


Relations: TypeAlias = Annotated[bool | tuple[str, ...], BeforeValidator(_checked)]
"""An encoder's setting: no relations, those of the training graph, or those with these names."""


class EncoderFields(ComponentConfig):
    """Config of an encoder, with what a recipe is checked by before the encoder's module is imported."""

    reads: ClassVar[type[Context] | UnionType] = NeighborFeatures
    """The context that the encoder reads, or a union of those that it can be built for."""

    gives: ClassVar[type[Signal]] = GraphTokens
    """The signal that it gives."""

    gives_alignment: ClassVar[bool] = False
    """True if its tokens come with a `graphcond.signals.Alignment` to the words of a sentence."""

    not_taken: ClassVar[tuple[str, ...]] = ()
    """Settings that the class does not take; `arguments` makes others of them."""

    offers: ClassVar[frozenset[str]] = frozenset()
    """Methods by which a pretraining objective may train it."""

    def has(self, method: str) -> bool:
        """True if the encoder has ``method``, as far as can be told before it is imported."""
        return method in self.offers or (isinstance(self.component, type) and hasattr(self.component, method))

    def reading(self, context: type[Context]) -> EncoderFields:
        """The same config where the sampler leads to ``context``, which it reads.

        Raises:
            ValueError: a setting does not suit such a context.
        """
        return self

    def structure_read(self) -> bool:
        """True if the encoder reads the edges among neighbors."""
        return False

    def target_text_read(self) -> bool:
        """True if the encoder reads the embedding of the target's own text."""
        return False

    @property
    def needs_text_tower(self) -> bool:
        """True if the encoder starts from a CLIP text encoder of the base."""
        return False

    @property
    def needs(self) -> frozenset[Need]:
        """The networks that `build` needs, beside the base."""
        return frozenset()

    def token_width(self) -> int | None:
        """Width of the tokens, where the user chose one; None where tokens are as wide as the base's."""
        return None

    def token_count(self) -> TokenCount:
        """Tokens that the encoder gives for any graph, as its class says."""
        return getattr(self.component_class(), "token_count", None)

    def most_triples(self) -> int | None:
        """Most triples of a scene graph that are read, objects in none counted as one each; None for all."""
        return None

    def relations_read(self) -> bool | tuple[str, ...]:
        """The relations of neighbors that are read: none, all of the graph (True), or the named ones."""
        return False

    def with_relations(self, names: tuple[str, ...]) -> EncoderFields:
        """The same config for a graph with relations of these names."""
        return self

    def build(
        self, *, feature_width: int, base: Base, text_projection: Float[Tensor, "d w"] | None = None
    ) -> Encoder[Any, Any]:
        """The encoder for a base, with new weights.

        Args:
            feature_width: d, width of the embeddings of neighbors or words that it reads.
            base: the base that its signal is for.
            text_projection: of the CLIP that makes the embeddings, for encoders that start from it.

        Raises:
            InputError: it does not fit the base.
        """
        given = {
            "feature_width": feature_width,
            "token_width": base.facts.token_width,
            "encode_prompt": base.encode_prompt,
            "token_spans": base.token_spans,
            "masks_padding": base.masks_padding,
            "encode_pictures": base.encode_pictures,
            "latent_shape": base.latent_shape,
            "advised_references": base.advised_references,
        }
        return self.make(without=self.not_taken, **given | self.arguments(feature_width, base))

    def arguments(self, feature_width: int, base: Base) -> dict[str, Any]:
        """Arguments of the class that are made from settings."""
        return {}


class RelatingFields(EncoderFields):
    """The settings of encoders that distinguish neighbors by their relation to the target."""

    relations: Relations = False
    """Tell neighbors apart by their relation to the target: `true` takes the names from the graph."""

    def relations_read(self) -> bool | tuple[str, ...]:
        """As the setting says."""
        return self.relations

    def with_relations(self, names: tuple[str, ...]) -> RelatingFields:
        """The same config, where it takes the graph's relations with these names."""
        return self.model_copy(update={"relations": names}) if self.relations is True else self

    def relation_names(self) -> tuple[str, ...]:
        """The names of the relations; none where none are read.

        Raises:
            InputError: they are those of a graph that is not known yet.
        """
        if self.relations is True:
            raise InputError(
                "the relations are those of the graph that the model is trained on, which is not known here",
                place="encoder.relations",
                remedy="name them: relations: [...]",
            )
        return self.relations or ()


class GraphQFormerConfig(RelatingFields):
    """A text transformer whose every n-th layer also attends to the neighbors' embeddings.

    It is the base's CLIP text encoder. On a base without one it is new, reads the states of the prompt, and
    adds to them.
    """

    component = "graphcond.encoders.graph_qformer:GraphQFormer"
    not_taken = ("width", "init", "freeze_text", "layers")
    kind: Literal["graph_qformer"] = "graph_qformer"
    tokens_per_neighbor: int = Field(4, ge=1, le=256)
    """Tokens that each neighbor's embedding is projected to."""
    cross_attention_every: int = Field(2, ge=1)
    """Layers 0, n, 2n ... attend to the neighbors."""
    width: int | None = Field(None, ge=1)
    """Width of the graph tokens; follows the base's text encoder unless given."""
    init: Literal["text_encoder", "clip", "random"] = "text_encoder"
    """From the base's text encoder (without CLIP: from its states); `clip`: and reading pictures through
    CLIP's projection; or from noise."""
    layers: int | None = Field(None, ge=1, le=48)
    """Layers of a transformer that is new; 12 unless given. A base's CLIP text encoder has its own."""
    tokens: int | None = Field(None, ge=1)
    """Graph tokens, one for each of the prompt's first tokens; as many as the prompt has unless given."""
    zero_start: bool = True
    """Cross-attention starts at zero (with `clip`: all but the last), so that training starts at the base."""
    freeze_text: bool = False
    """Train only what reads the neighbors: projector and cross-attention; the text transformer stays."""
    neighbor_self_attention: bool = False
    """Let neighbor tokens attend to each other first, as the paper says and the release does not."""
    normalize_embeddings: bool = False
    """Scale neighbor embeddings to length one times the square root of their width."""

    @property
    def needs_text_tower(self) -> bool:
        """To start from CLIP, or to freeze it."""
        return self.init == "clip" or self.freeze_text

    @property
    def needs(self) -> frozenset[Need]:
        """CLIP's projection, to start from it."""
        return frozenset({"text_projection"} if self.init == "clip" else ())

    def token_count(self) -> TokenCount:
        """As the setting says, or as many as the prompt has."""
        return self.tokens or "prompt"

    def token_width(self) -> int | None:
        """As the setting says."""
        return self.width

    def arguments(self, feature_width: int, base: Base) -> dict[str, Any]:
        """The sizes of the base's text encoder, and the names of the relations."""
        from graphcond.encoders.text_transformer import TransformerShape

        tower: Any = base.text_tower
        if tower is None and self.needs_text_tower:
            problem = f"{type(base).__name__} has no CLIP text encoder to start from"
            raise InputError(problem, place="encoder", remedy="leave out init 'clip' and freeze_text")
        if self.width not in (None, base.facts.token_width):
            wanted = f"the base reads tokens of width {base.facts.token_width}"
            problem = f"the width {self.width} does not fit, {wanted}"
            raise InputError(problem, place="encoder.width", remedy="leave it out to follow the base")
        if self.tokens is not None and self.tokens > base.facts.token_count:
            problem = f"a prompt of the base has {base.facts.token_count} tokens, got {self.tokens}"
            raise InputError(problem, place="encoder.tokens", remedy="ask for at most as many")
        if tower is None:
            sizes = (base.facts.token_width, base.facts.token_count, self.layers or 12)
            shape = TransformerShape.over_states(*sizes)
        elif self.layers is not None:
            raise InputError(
                f"{type(base).__name__} has a CLIP text encoder to start from, with layers of its own",
                place="encoder.layers",
                remedy="leave it out",
            )
        else:
            shape = replace(TransformerShape.of(tower.config), width=self.width or tower.config.hidden_size)
        return {"shape": shape, "relations": self.relation_names()}

    def build(
        self, *, feature_width: int, base: Base, text_projection: Float[Tensor, "d w"] | None = None
    ) -> GraphQFormer:
        """The encoder for a base, reading neighbor embeddings of ``feature_width``.

        Args:
            feature_width: d.
            base: the base.
            text_projection: of the CLIP that makes the embeddings, for ``init: clip``; without it the
                start is that of ``text_encoder``, as for a model whose weights are loaded anyway.

        Raises:
            InputError: the base has no CLIP text encoder and settings need one, or has one and settings give
                its layers; the tokens would not be as wide as the base's, or more than a prompt has; the
                projection does not lead from its text encoder to the embeddings; or ``relations`` have no
                names yet.
        """
        qformer: Any = super().build(feature_width=feature_width, base=base)
        if base.text_tower is None and self.init != "random":
            qformer.start_at_states()
        elif self.init != "random":
            qformer.start_from(base.text_tower, base.tower_columns)
        if self.init == "clip" and text_projection is not None:
            try:
                qformer.start_from_clip(base.encode_prompt([""]).ids.cpu(), text_projection)
            except ValueError as error:
                place, remedy = "encoder.init: clip", "use init: text_encoder"
                raise InputError(str(error), place=place, remedy=remedy) from None
        if self.freeze_text:
            qformer.freeze_text()
        return qformer


class NeighborMeanConfig(RelatingFields):
    """The mean of the neighbors' embeddings, turned into a few tokens by an MLP."""

    component = "graphcond.encoders.neighbor_mean:NeighborMean"
    kind: Literal["neighbor_mean"] = "neighbor_mean"
    tokens: int = Field(4, ge=1, le=1024)
    """Graph tokens per target."""
    hidden: int = Field(512, ge=1)
    """Width of the MLP's hidden layer."""

    def token_count(self) -> TokenCount:
        """As the setting says."""
        return self.tokens

    def arguments(self, feature_width: int, base: Base) -> dict[str, Any]:
        """The names of the relations.

        Raises:
            InputError: they have none yet.
        """
        return {"relations": self.relation_names()}


class ImagePromptsConfig(EncoderFields):
    """A few tokens of each neighbor's embedding: neighbors as the image prompts of an IP-Adapter."""

    component = "graphcond.encoders.image_prompts:ImagePrompts"
    kind: Literal["image_prompts"] = "image_prompts"
    projection: Projection = "plain"
    """One layer (`plain`), or a perceiver resampler (`plus`)."""
    tokens: int | None = Field(None, ge=1, le=1024)
    """Tokens of each neighbor; 4 with `plain` and 16 with `plus`, as released, unless given."""
    states: int = Field(1, ge=1)
    """With `plus`, how many embeddings that stand one after another are those of one picture."""
    hidden: int | None = Field(None, ge=1)
    """Width of the resampler; as wide as the tokens unless given."""
    init: str | None = Field(None, min_length=1)
    """A released IP-Adapter (safetensors) to start from."""


class ReferencesConfig(EncoderFields):
    """The latents of the neighbors' pictures, for the injector `references`."""

    component = "graphcond.encoders.references:ReferencesEncoder"
    gives = ReferenceLatents
    kind: Literal["references"] = "references"


class ObjectTokensConfig(RelatingFields):
    """The common settings of graph networks: a token for each object of a scene, or for each neighbor."""

    component: ClassVar[str | type[Any]] = "graphcond.encoders.object_tokens:ObjectTokens"
    reads = SceneFeatures | NeighborFeatures
    offers = frozenset({"predicted_boxes", "object_tokens"})
    over: Literal["scenes", "neighbors"] | None = None
    """What the graph is made of; in a recipe the sampler says it."""
    node_width: int = Field(128, ge=1, le=65_536)
    """Width of the vectors inside the graph network."""
    predict_boxes: bool = False
    """Of scenes: predict a box for objects without one, and pass it to the injector."""
    target_text: bool = False
    """Of neighbors: start the target from the embedding of its own text. Pictures that are given by hand have
    none."""

    @model_validator(mode="after")
    def _suits(self) -> ObjectTokensConfig:
        self._check(self.over)
        return self

    def _check(self, over: str | None) -> None:
        """Check that no setting is for another context.

        Raises:
            ValueError: one is.
        """
        if over == "scenes" and (self.relations or self.target_text):
            name = "relations" if self.relations else "target_text"
            raise ValueError(f"{name}: is for neighbors, and the encoder reads scene graphs; leave it out")
        if over == "neighbors" and self.predict_boxes:
            raise ValueError("predict_boxes: neighbors have no places; leave it out")

    def reading(self, context: type[Context]) -> ObjectTokensConfig:
        """The same config over scenes or neighbors, as the sampler leads to."""
        if self.over not in (None, context.over):
            raise ValueError(
                f"over: expected {context.over}, which the sampler leads to, got {self.over}; leave it out"
            )
        self._check(context.over)
        return self.model_copy(update={"over": context.over})

    def has(self, method: str) -> bool:
        """As the class over scenes; over neighbors there is nothing that an objective trains."""
        return self.over != "neighbors" and super().has(method)

    def structure_read(self) -> bool:
        """True over neighbors."""
        return self.over == "neighbors"

    def target_text_read(self) -> bool:
        """As the setting says."""
        return self.target_text

    @abstractmethod
    def network(self, input_width: int) -> GraphNetwork:
        """The graph network over embeddings of ``input_width``."""

    def build(
        self, *, feature_width: int, base: Base, text_projection: Float[Tensor, "d w"] | None = None
    ) -> Encoder[Any, Any]:
        """The encoder for a base, reading embeddings of ``feature_width``; no projection is used."""
        from graphcond.encoders.neighbor_tokens import NeighborTokens
        from graphcond.encoders.object_tokens import ObjectTokens

        network, token_width = self.network(feature_width), base.facts.token_width
        if self.over == "neighbors":
            return NeighborTokens(
                network,
                feature_width=feature_width,
                token_width=token_width,
                relations=self.relation_names(),
                target_text=self.target_text,
            )
        return ObjectTokens(network, token_width=token_width, predict_boxes=self.predict_boxes)


class TripleGCNConfig(ObjectTokensConfig):
    """Tokens of objects, or of neighbors, from sg2im's convolution over triples."""

    kind: Literal["triple_gcn"] = "triple_gcn"
    layers: int = Field(5, ge=1, le=64)
    """Rounds; after n of them an object has heard of others up to n relations away."""
    hidden: int | None = Field(None, ge=1)
    """Width of the layers' MLPs; four times `node_width` unless given, as in sg2im."""

    def network(self, input_width: int) -> GraphNetwork:
        """The graph network over embeddings of ``input_width``."""
        from graphcond.encoders.graph_network import GraphNetwork
        from graphcond.encoders.triple_gcn import TripleConvolution

        hidden = self.hidden or 4 * self.node_width
        layers = [TripleConvolution(self.node_width, hidden) for _ in range(self.layers)]
        return GraphNetwork(input_width, self.node_width, layers)


class GCNConfig(ObjectTokensConfig):
    """Tokens of objects, or of neighbors, from graph convolutions over nodes and predicates."""

    kind: Literal["gcn"] = "gcn"
    layers: int = Field(6, ge=1, le=64)
    """Convolutions; a relation is two steps long."""
    backend: Backend = "auto"
    """DGL or torch, which give the same; `auto` takes DGL on a CPU where it is installed."""

    def network(self, input_width: int) -> GraphNetwork:
        """The graph network over embeddings of ``input_width``."""
        from graphcond.encoders.gcn import GCNLayer
        from graphcond.encoders.graph_network import GraphNetwork

        layers = [GCNLayer(self.node_width, self.backend) for _ in range(self.layers)]
        return GraphNetwork(input_width, self.node_width, layers)


class SageConfig(ObjectTokensConfig):
    """Tokens of objects, or of neighbors, from the mean of what is next to them (GraphSAGE)."""

    kind: Literal["sage"] = "sage"
    layers: int = Field(4, ge=1, le=64)
    """Rounds; a relation is one step long."""

    def network(self, input_width: int) -> GraphNetwork:
        """The graph network over embeddings of ``input_width``."""
        from graphcond.encoders.graph_network import GraphNetwork
        from graphcond.encoders.sage import SageLayer

        layers = [SageLayer(self.node_width) for _ in range(self.layers)]
        return GraphNetwork(input_width, self.node_width, layers)


class GatConfig(ObjectTokensConfig):
    """Tokens of objects, or of neighbors, that attend to what is next to them along predicates."""

    kind: Literal["gat"] = "gat"
    layers: int = Field(4, ge=1, le=64)
    """Rounds; a relation is one step long."""
    heads: int = Field(4, ge=1, le=1024)
    """Attentions side by side; they share `node_width` among them."""

    @model_validator(mode="after")
    def _heads_fit(self) -> GatConfig:
        if self.node_width % self.heads:
            raise ValueError(f"node_width {self.node_width} is not a multiple of {self.heads} heads")
        return self

    def network(self, input_width: int) -> GraphNetwork:
        """The graph network over embeddings of ``input_width``."""
        from graphcond.encoders.gat import GatLayer
        from graphcond.encoders.graph_network import GraphNetwork

        layers = [GatLayer(self.node_width, self.heads) for _ in range(self.layers)]
        return GraphNetwork(input_width, self.node_width, layers)


class PygConfig(ObjectTokensConfig):
    """Tokens of objects, or of neighbors, from a layer of PyG, or a module that is called in the same way."""

    kind: Literal["pyg"] = "pyg"
    module: str = Field("torch_geometric.nn.GATv2Conv", pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$")
    """Where Python imports the class of the layer from. It is made with `in_channels` and `out_channels`, and
    called with `x` and `edge_index`, and with `edge_attr` and `edge_type` where it reads them."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of that class: `{heads: 4, concat: false}`."""
    layers: int = Field(2, ge=1, le=64)
    """Rounds, each with a layer of its own."""

    def imports(self) -> str | None:
        """The module, unless it is of PyG."""
        return None if self.module.startswith("torch_geometric.") else self.module

    def network(self, input_width: int) -> GraphNetwork:
        """The graph network over embeddings of ``input_width``.

        Raises:
            InputError: there is no such module, or it cannot be made or called in this way.
        """
        from graphcond.encoders.graph_network import GraphNetwork
        from graphcond.encoders.pyg import pyg_layer

        scenes = self.over != "neighbors"
        names = () if scenes else self.relation_names()
        layers = [
            pyg_layer(
                *(self.module, self.settings, self.node_width),
                relations=0 if scenes else 1 + len(names),
                predicates=scenes or bool(names),
            )
            for _ in range(self.layers)
        ]
        return GraphNetwork(input_width, self.node_width, layers)


class SentenceConfig(EncoderFields):
    """The scene as a sentence, in the base's own text tokens."""

    component = "graphcond.encoders.sentence:SentenceEncoder"
    reads = SceneFeatures
    kind: Literal["sentence"] = "sentence"

    def token_count(self) -> TokenCount:
        """As many as a prompt has."""
        return "prompt"


class NetworkFields(EncoderFields):
    """The settings of encoders over a graph network of any kind."""

    not_taken = ("layers", "node_width", "backend")
    network: GraphNetworkKind = "triple_gcn"
    """The graph network, by the kind of the encoder that has it."""
    layers: int | None = Field(None, ge=1, le=64)
    """Its rounds; as many as the encoder of that kind takes unless given."""
    node_width: int = Field(128, ge=1, le=65_536)
    """Width of the vectors inside the graph network."""

    def arguments(self, feature_width: int, base: Base) -> dict[str, Any]:
        """The graph network."""
        from graphcond.encoders.graph_network import build_graph_network

        settings: dict[str, Any] = {"layers": self.layers, "backend": self.network_backend()}
        return {
            "network": build_graph_network(self.network, feature_width, width=self.node_width, **settings)
        }

    def network_backend(self) -> Backend:
        """DGL or torch, for the network `gcn`."""
        return "auto"


class PhraseTokensConfig(NetworkFields):
    """The name of each object, in the base's own text tokens; a graph network predicts boxes not given."""

    component = "graphcond.encoders.phrase_tokens:PhraseTokens"
    reads = SceneFeatures
    offers = frozenset({"predicted_boxes"})
    kind: Literal["phrase_tokens"] = "phrase_tokens"


class SGAdapterConfig(EncoderFields):
    """The scene's sentence, whose tokens look at the triples that they belong to (SG-Adapter)."""

    component = "graphcond.encoders.sg_adapter:SGAdapter"
    reads = SceneFeatures
    kind: Literal["sg_adapter"] = "sg_adapter"
    heads: int = Field(8, ge=1, le=64)
    """Heads of the attention over triples."""
    masked: bool = True
    """Tokens look at the triples that they belong to alone; otherwise at all triples of the scene."""

    def token_count(self) -> TokenCount:
        """As many as a prompt has."""
        return "prompt"


class SentenceGraphConfig(EncoderFields):
    """Vectors for the words of the scene's sentence, from convolutions over triples (SDXL-SG)."""

    component = "graphcond.encoders.sentence_graph:SentenceGraph"
    reads = SceneFeatures
    gives_alignment = True
    not_taken = ("node_width",)
    kind: Literal["sentence_graph"] = "sentence_graph"
    node_width: int = Field(512, ge=1, le=65_536)
    """Width of the vectors inside."""
    hidden: int = Field(512, ge=1, le=65_536)
    """Width of the hidden layers of a convolution."""
    layers: int = Field(5, ge=1, le=64)
    """Convolutions behind the first."""

    def arguments(self, feature_width: int, base: Base) -> dict[str, Any]:
        """The width under the class's name for it."""
        return {"width": self.node_width}


class LayoutConfig(NetworkFields):
    """A map of the picture from a graph: boxes, masks and a vector for each object.

    One graph network describes each object, and another of its kind places it.
    """

    component = "graphcond.encoders.layout:Layout"
    reads = SceneFeatures
    gives = LayoutMap
    offers = frozenset({"predicted_boxes"})
    kind: Literal["layout"] = "layout"
    backend: Backend = "auto"
    """For the network `gcn`: DGL or torch."""
    channels: int = Field(128, ge=1, le=4_096)
    """Width of the layout's features."""
    size: int | None = Field(None, ge=1, le=512)
    """Cells a side; as many as the base's latents have unless given."""
    given_boxes: bool = True
    """Put objects into the boxes that a scene gives; otherwise always into predicted ones."""

    def network_backend(self) -> Backend:
        """As the setting says."""
        return self.backend

    def arguments(self, feature_width: int, base: Base) -> dict[str, Any]:
        """The graph network, and the size that follows the base."""
        size = self.size or base.facts.default_size // base.facts.pixels_per_latent
        return {**super().arguments(feature_width, base), "size": size}


class TripleTransformerConfig(EncoderFields):
    """A transformer over head + relation - tail, for grounding tokens or beside the scene's sentence."""

    component = "graphcond.encoders.triple_transformer:TripleTransformer"
    reads = SceneFeatures
    offers = frozenset({"embed_scenes", "predicted_boxes", "object_tokens"})
    not_taken = ("node_width", "added_to")
    kind: Literal["triple_transformer"] = "triple_transformer"
    node_width: int = Field(256, ge=1, le=65_536)
    """Width of the transformer; 768 is BERT's."""
    layers: int = Field(6, ge=1, le=64)
    """Its layers."""
    heads: int = Field(4, ge=1, le=64)
    """Heads of its attention; they divide `node_width`."""
    triples: int = Field(6, ge=1, le=1_024)
    """Triples that are read, relations before attributes before objects in neither."""
    added_to: Literal["text"] | None = None
    """`text`: give the scene's sentence, as the base's text encoder reads it, with the graph added."""
    graph_weight: NonNegativeFloat = 0.2
    """Weight of the graph beside the sentence, with `added_to`."""
    tokens: Literal["triples", "objects"] = "triples"
    """A token for each triple, or for each object, from its words and the triples that it is part of."""
    predict_boxes: bool = False
    """Predict a box for objects without one, by a convolution over triples beside the transformer. With
    `added_to`, the words of an object then have its box."""
    box_layers: int = Field(5, ge=1, le=64)
    """Rounds of that convolution."""

    @model_validator(mode="after")
    def _parts_fit(self) -> TripleTransformerConfig:
        if self.node_width % self.heads:
            raise ValueError(f"heads: {self.heads} do not divide node_width {self.node_width}")
        if self.added_to and self.tokens == "objects":
            raise ValueError("tokens: the sentence has its own tokens; leave out 'objects' or added_to")
        if self.predict_boxes and not self.added_to and self.tokens == "triples":
            raise ValueError("predict_boxes: a triple has no place; set tokens: objects")
        return self

    def most_triples(self) -> int | None:
        """As the setting says."""
        return self.triples

    def token_count(self) -> TokenCount:
        """As many as a prompt has, for the sentence; by themselves, one for each triple."""
        return "prompt" if self.added_to else None

    def arguments(self, feature_width: int, base: Base) -> dict[str, Any]:
        """What reads the sentence that the graph is added to, if it is."""
        return {
            "width": self.node_width,
            "sentence": base.encode_prompt if self.added_to else None,
            "token_spans": base.token_spans if self.added_to and self.predict_boxes else None,
        }


class ClipGraphConfig(NetworkFields):
    """Tokens of a graph and its objects, from its embedding in CLIP's space and those of their labels."""

    component = "graphcond.encoders.clip_graph:ClipGraph"
    reads = SceneFeatures
    offers = frozenset({"embed_scenes", "object_tokens"})
    kind: Literal["clip_graph"] = "clip_graph"
    node_vectors: bool = True
    """Fuse each object's vector too, which knows its attributes and relations; the paper does not."""


OWN = (
    GraphQFormerConfig,
    NeighborMeanConfig,
    ImagePromptsConfig,
    ReferencesConfig,
    TripleGCNConfig,
    GCNConfig,
    SageConfig,
    GatConfig,
    PygConfig,
    SentenceConfig,
    PhraseTokensConfig,
    SGAdapterConfig,
    SentenceGraphConfig,
    LayoutConfig,
    TripleTransformerConfig,
    ClipGraphConfig,
)
"""The configs of the package's own encoders."""

if TYPE_CHECKING:
    ENCODERS: dict[str, type[ComponentConfig]]
    """Every encoder config by its kind, plug-ins included."""
    EncoderConfig: TypeAlias = EncoderFields
    """The pydantic type of an encoder in a recipe."""
else:
    __getattr__ = lazy_registry(
        __name__,
        "ENCODERS",
        "EncoderConfig",
        lambda: by_kind(OWN, "graphcond.encoders", EncoderFields),
    )
