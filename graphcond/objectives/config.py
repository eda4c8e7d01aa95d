"""Configs of pretraining objectives. Nothing here imports torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from pydantic import Field, NonNegativeFloat

from graphcond.config import ComponentConfig, by_kind, lazy_registry
from graphcond.errors import InputError

if TYPE_CHECKING:
    from graphcond.encoders import Encoder
    from graphcond.objectives.base import Objective

Need: TypeAlias = Literal["boxes", "pictures", "texts", "negatives", "phrases"]
"""The parts of a batch that an objective needs, beside the scenes themselves.

- ``boxes``: boxes of the objects in the context (masks too, where the data has them).
- ``pictures``: CLIP embeddings of the scenes' pictures.
- ``texts``: CLIP embeddings of the scenes' sentences, in the same space.
- ``negatives``: scenes with a swap that changes their meaning, and their sentences' embeddings.
- ``phrases``: the base's own states of the objects' phrases.
"""


class ObjectiveConfig(ComponentConfig):
    """Config of an objective, with what a recipe is checked by before the objective's module is imported."""

    needs: ClassVar[frozenset[Need]]
    """The required parts of every batch, beside the context and its scenes."""

    asks: ClassVar[str]
    """The method that an encoder must have for it."""

    has_weights: ClassVar[bool] = False
    """True if it trains parameters of its own beside the encoder's."""

    def build(self, *, encoder: Encoder[Any, Any], picture_width: int | None = None) -> Objective:
        """The objective for an encoder.

        Args:
            encoder: the encoder to train.
            picture_width: d, width of CLIP's embeddings; may be None where no picture is needed.

        Raises:
            InputError: the encoder cannot be trained by this objective.
        """
        self.check_encoder(encoder, picture_width)
        objective: Objective = self.make(picture_width=picture_width)
        return objective

    def check_encoder(self, encoder: Encoder[Any, Any], picture_width: int | None) -> None:
        """Check that the encoder has the methods that the objective calls, and that pictures have embeddings.

        Raises:
            InputError: something is missing.
        """
        if not hasattr(encoder, self.asks):
            raise InputError(
                f"'{self.kind}' cannot train a {type(encoder).__name__}, which has no {self.asks}()",
                place="objective",
                remedy="choose an objective and an encoder that fit",
            )
        if "pictures" in self.needs and picture_width is None:
            raise InputError(
                "the objective needs CLIP embeddings of pictures and sentences",
                place=f"objective '{self.kind}'",
                remedy="take features from a CLIP model",
            )


class LayoutObjectiveConfig(ObjectiveConfig):
    """Predict boxes and masks; keep the spatial relations that the graph states."""

    component = "graphcond.objectives.layout:LayoutObjective"
    needs = frozenset({"boxes"})
    asks = "predicted_boxes"
    kind: Literal["layout"] = "layout"
    box: NonNegativeFloat = 1.0
    """Weight of the distance to the known boxes."""
    mask: NonNegativeFloat = 0.1
    """Weight of the masks' cross-entropy."""
    relation: NonNegativeFloat = 5.0
    """Weight of the stated relations that predicted boxes break."""
    overlap: NonNegativeFloat = 0.5
    """Weight of the overlap of objects that should be apart."""


class PhrasesObjectiveConfig(ObjectiveConfig):
    """Teach an object's token what the base's text encoder makes of its phrase ("a red circle")."""

    component = "graphcond.objectives.phrases:PhrasesObjective"
    needs = frozenset({"phrases"})
    asks = "object_tokens"
    kind: Literal["phrases"] = "phrases"


class TripleContrastConfig(ObjectiveConfig):
    """Bring a graph and its sentence to their picture, and away from the swapped graph."""

    component = "graphcond.objectives.triple_contrast:TripleContrast"
    has_weights = True
    needs = frozenset({"pictures", "texts", "negatives"})
    asks = "embed_scenes"
    kind: Literal["triple_contrast"] = "triple_contrast"
    graph_weight: NonNegativeFloat = 0.2
    """Weight of the graph's embedding beside the text's."""
    margin: NonNegativeFloat = 0.2
    """Margin by which the right pair must be closer."""
    swap: NonNegativeFloat = 5.0
    """Weight of the loss against the swapped scene."""

    def build(self, *, encoder: Encoder[Any, Any], picture_width: int | None = None) -> Objective:
        """The objective for an encoder that embeds whole scenes."""
        self.check_encoder(encoder, picture_width)
        objective: Objective = self.make(picture_width=picture_width, embedding_width=encoder.embedding_width)
        return objective


class ClipSpaceFields(ObjectiveConfig):
    """The common facts of objectives that compare graphs and pictures in CLIP's space."""

    needs = frozenset({"pictures"})
    asks = "embed_scenes"

    def check_encoder(self, encoder: Encoder[Any, Any], picture_width: int | None) -> None:
        """As for every objective, and that the graphs' embeddings are as wide as the pictures'.

        Raises:
            InputError: something is missing, or they are not.
        """
        super().check_encoder(encoder, picture_width)
        if encoder.embedding_width != picture_width:
            raise InputError(
                f"expected embeddings of width {picture_width}, as CLIP's of pictures, got "
                f"{encoder.embedding_width}",
                place=f"objective '{self.kind}'",
                remedy="use the encoder clip_graph, which embeds scenes in CLIP's own space",
            )


class ClipAlignmentConfig(ClipSpaceFields):
    """Bring each graph's embedding to CLIP's of its picture, and the graphs as a whole to the pictures."""

    component = "graphcond.objectives.clip_alignment:ClipAlignment"
    kind: Literal["clip_alignment"] = "clip_alignment"
    beta: float = Field(0.5, ge=0, le=1)
    """Share of the loss that knows which picture is whose; the rest is the discrepancy of all (MMD)."""


class ClipGanConfig(ClipSpaceFields):
    """Make embeddings of graphs that a discriminator cannot tell from CLIP's of pictures."""

    component = "graphcond.objectives.clip_alignment:ClipGan"
    has_weights = True
    kind: Literal["clip_gan"] = "clip_gan"
    hidden: int = Field(256, ge=1, le=65_536)
    """Width of the discriminator."""
    pair: NonNegativeFloat = 1.0
    """Weight of the loss that knows which picture is whose; the discriminator does not."""


def _objectives() -> dict[str, type[ComponentConfig]]:
    return by_kind(
        (
            LayoutObjectiveConfig,
            PhrasesObjectiveConfig,
            TripleContrastConfig,
            ClipAlignmentConfig,
            ClipGanConfig,
        ),
        "graphcond.objectives",
        ObjectiveConfig,
    )


if TYPE_CHECKING:
    OBJECTIVES: dict[str, type[ComponentConfig]]
    """Every objective config by its kind, plug-ins included."""
    AnyObjectiveConfig: TypeAlias = ObjectiveConfig
    """The pydantic type of an objective in a recipe."""
else:
    __getattr__ = lazy_registry(__name__, "OBJECTIVES", "AnyObjectiveConfig", _objectives)
