"""Named protocols: how many pictures, drawn how, seen by which networks, scored by which metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

import torch

from graphcond.errors import InputError, did_you_mean
from graphcond.evaluation.metrics.distribution import InceptionExtractor
from graphcond.evaluation.metrics.oracle import OracleReader
from graphcond.evaluation.metrics.registry import Networks, networks_of
from graphcond.evaluation.samples import SceneDetector
from graphcond.features.clip import ClipExtractor, DinoExtractor
from graphcond.features.load import Extractors
from graphcond.guidance import GraphGuidance


@dataclass(frozen=True)
class EvaluationProtocol:
    """Everything that must be equal for two figures to compare.

    Args:
        name: how recipes and the command line call it.
        samples: how many test nodes or scenes, at most.
        resolution: side of the pictures in pixels; the recipe's if None.
        steps: denoising steps; those of the recipe's previews if None.
        neighbors: how many a target gets; 0 for scenes, which are read whole; as many as the recipe says if
            None.
        guidances: each way of guiding that is reported, by name; the first is the headline. None takes the
            scales of the model's recipe.
        metrics: names of `graphcond.evaluation.metrics.registry`.
        clip: folder or hub id of the CLIP of clip_i and clip_t, and of feature_distance and the like if the
            features of the model's recipe embed no pictures.
        dino: folder or hub id of the DINOv2 of dino_i.
        distribution: the network of fid and kid: ``inception``, or ``clip`` for the same CLIP.
    """

    name: str
    samples: int
    resolution: int | None
    steps: int | None
    neighbors: int | None
    guidances: Mapping[str, GraphGuidance | None]
    metrics: tuple[str, ...]
    clip: str
    dino: str = "facebook/dinov2-large"
    distribution: Literal["inception", "clip"] = "inception"

    def load_networks(
        self,
        *,
        device: str | torch.device = "cpu",
        oracle: OracleReader | None = None,
        detector: SceneDetector | None = None,
        metrics: tuple[str, ...] | None = None,
        extractors: Extractors | None = None,
    ) -> Networks:
        """Load the networks that ``metrics`` (the protocol's own if None) need, and no others.

        Args:
            device: where the networks run.
            oracle: of the art world.
            detector: of scene graphs.
            metrics: names.
            extractors: of the model under evaluation, whose CLIP is used where it is the protocol's too.

        Raises:
            InputError: a metric does not exist, or a network cannot be loaded.
        """
        needed = networks_of(metrics or self.metrics)
        own = extractors is not None and "pictures" in extractors.features.columns
        by_clip = {"clip"} | ({"distribution"} if self.distribution == "clip" else set())
        clip = None
        if needed & (by_clip if own else {*by_clip, "features"}):
            clip = None if extractors is None else extractors.loaded_from(self.clip)
            clip = clip or ClipExtractor.from_pretrained(self.clip, device=device)
        found: dict[str, Any] = {"clip": clip, "oracle": oracle, "detector": detector}
        if "dino" in needed:
            found["dino"] = DinoExtractor.from_pretrained(self.dino, device=device)
        if "distribution" in needed:
            found["distribution"] = clip if self.distribution == "clip" else InceptionExtractor(device)
        if "features" in needed:
            found["features"] = extractors.pictures if extractors is not None and own else clip
        return Networks(**found)


INSTRUCTG2I = EvaluationProtocol(
    name="instructg2i",
    samples=1000,
    resolution=256,
    steps=100,
    neighbors=5,
    guidances=MappingProxyType(
        {
            "separate": GraphGuidance(text=7.5, graphs=(1.5,)),
            "joint": GraphGuidance(text=7.5, graphs=(1.0,), mode="joint"),
        }
    ),
    metrics=("clip_i", "clip_t", "dino_i", "fid", "kid"),
    clip="openai/clip-vit-large-patch14",
)
"""As the InstructG2I release evaluates (1,000 test nodes, 256 px, 100 steps, joint guidance 7.5), and
with the paper's two scales, which the release does not evaluate."""

ART = EvaluationProtocol(
    name="art",
    samples=240,
    resolution=64,
    steps=8,
    neighbors=5,
    guidances=MappingProxyType({"separate": GraphGuidance(text=2.0, graphs=(2.0,))}),
    metrics=(
        "style_accuracy",
        "subject_accuracy",
        "oracle_distance",
        "clip_i",
        "clip_t",
        "fid",
        "kid",
    ),
    clip="tiny",
    distribution="clip",
)
"""The art world on the tiny base: its oracle, and the CLIP in the package as every other network."""

SCENES = EvaluationProtocol(
    name="scenes",
    samples=120,
    resolution=64,
    steps=8,
    neighbors=0,
    guidances=MappingProxyType({"recipe": None}),
    metrics=(
        "object_occurrence",
        "attribute_accuracy",
        "relation_accuracy",
        "relation_accuracy_found",
        "entity_iou",
        "relation_iou",
        "sg_iou",
        "box_iou",
        "diversity",
    ),
    clip="tiny",
)
"""The scene world on the tiny base: its oracle as detector, each recipe guided by its own scales."""

OWN = EvaluationProtocol(
    name="own",
    samples=200,
    resolution=None,
    steps=None,
    neighbors=None,
    guidances=MappingProxyType({"recipe": None}),
    metrics=("feature_distance", "retrieval", "retrieval_rank"),
    clip="tiny",
)
"""Any data with pictures, without a download: pictures at the recipe's own size and scales are compared with
the true ones through the network that embeds pictures for the model itself."""

PROTOCOLS: Mapping[str, EvaluationProtocol] = MappingProxyType(
    {protocol.name: protocol for protocol in (INSTRUCTG2I, ART, SCENES, OWN)}
)


def get_protocol(name: str, *, place: object = "evaluation") -> EvaluationProtocol:
    """The protocol of that name.

    Raises:
        InputError: there is none.
    """
    if name not in PROTOCOLS:
        raise InputError(f"there is no protocol '{name}'", place=place, remedy=did_you_mean(name, PROTOCOLS))
    return PROTOCOLS[name]
