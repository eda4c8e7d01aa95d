"""From the files of a released checkpoint to a recipe and the weights of our encoder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import CLIPTextConfig

from graphcond.bases import BASES
from graphcond.bases.config import BaseFacts
from graphcond.bases.loading import load_part
from graphcond.encoders.graph_qformer import GraphQFormer
from graphcond.encoders.text_transformer import TransformerShape
from graphcond.errors import InputError
from graphcond.features.clip_vision import vision_config
from graphcond.io.tensors import check_weights, load_torch_file
from graphcond.recipe import Recipe, parse_recipe
from graphcond.saving.bundled import BASE
from graphcond.saving.instructg2i.layout import (
    BASE_KIND,
    IMAGE_ENCODER,
    OURS,
    PROJECTOR,
    QFORMER,
    TEXT_MODEL,
    cross_attention_every,
    tokens_per_neighbor,
)

AGAIN = "fetch the checkpoint again"

NEIGHBORS = 5
"""Neighbors of a target in the release's data. No file of a checkpoint records this number."""

RESOLUTION = 256
"""Side in pixels of the pictures that the release was trained on, at most that of its base."""


@dataclass(frozen=True)
class Release:
    """A released checkpoint, read and checked; its base and its image encoder stay in their files.

    Args:
        recipe: the checkpoint as a graphcond recipe.
        feature_width: d, width of the image encoder's embeddings.
        encoder: the weights of our `GraphQFormer`, in float32.
        parts: folders that belong to the checkpoint alone: ``base``, and ``image_encoder`` if it is one.
    """

    recipe: Recipe
    feature_width: int
    encoder: Mapping[str, Tensor]
    parts: Mapping[str, Path]


def read_release(
    folder: str | Path,
    *,
    image_encoder: str | Path | None = None,
    neighbors: int = NEIGHBORS,
    sampler: str = "given",
) -> Release:
    """Read a released checkpoint. Sizes follow from the weights; nothing in the files is executed.

    Args:
        folder: a checkpoint in the release's layout.
        image_encoder: folder or hub id of the CLIP that embeds neighbors, if not that of the checkpoint.
        neighbors: how many neighbors it was trained with at most.
        sampler: the kind that chooses them from a graph, where no pictures are given.

    Raises:
        InputError: a part is missing, a file is damaged or not a tensor file, or weights do not fit.
    """
    folder = Path(folder).resolve()
    facts = _checked_facts(folder)
    vision = _image_encoder(folder, image_encoder)
    feature_width = vision_config(vision).projection_dim
    qformer = read_ckpt(folder / QFORMER, prefix=TEXT_MODEL)
    projector = read_ckpt(folder / PROJECTOR)
    shape = TransformerShape.of(load_part(CLIPTextConfig, str(folder), "text_encoder"))
    every, tokens = cross_attention_every(qformer, shape.layers), tokens_per_neighbor(projector)
    if every is None:
        raise InputError(
            "the Graph-QFormer has no cross-attention in layers 0, n, 2n and so on",
            place=folder / QFORMER,
            remedy=AGAIN,
        )
    if tokens is None:
        raise InputError(
            "the sizes of 'proj.weight' and 'norm.weight' do not say how many tokens a neighbor becomes",
            place=folder / PROJECTOR,
            remedy=AGAIN,
        )
    wanted = _expected(
        folder,
        shape=shape,
        feature_width=feature_width,
        token_width=facts.token_width,
        tokens_per_neighbor=tokens,
        cross_attention_every=every,
    )
    _check(projector, wanted.projector.state_dict(), folder / PROJECTOR)
    _check(qformer, _with_prefix(TEXT_MODEL, wanted.text_model.state_dict()), folder / QFORMER)
    return Release(
        recipe=_recipe(
            folder,
            vision,
            resolution=min(RESOLUTION, facts.default_size),
            sampler={"kind": sampler, "neighbors": neighbors},
            tokens=tokens,
            every=every,
        ),
        feature_width=feature_width,
        encoder=qformer | _with_prefix(OURS, projector),
        parts={BASE: folder, IMAGE_ENCODER: Path(vision)} if Path(vision).is_dir() else {BASE: folder},
    )


def _checked_facts(folder: Path) -> BaseFacts:
    for part in (*map(Path, BASES[BASE_KIND].parts), PROJECTOR, QFORMER):
        if not (folder / part).exists():
            raise InputError(f"the release has no '{part}'", place=folder, remedy=AGAIN)
    facts = BASES[BASE_KIND].model_validate({"model": str(folder)}).facts()
    assert facts is not None, "a folder always tells its facts"
    return facts


def _image_encoder(folder: Path, given: str | Path | None) -> str:
    path = folder / IMAGE_ENCODER if given is None else Path(given)
    if path.is_dir():
        return str(path.resolve())
    if given is None:
        raise InputError(
            f"the release has no folder '{IMAGE_ENCODER}'",
            place=folder,
            remedy="name the CLIP that it was trained with: graphcond convert instructg2i --image-encoder",
        )
    return str(given)


def _expected(folder: Path, **sizes: Any) -> GraphQFormer:
    """An encoder of these sizes, without memory for its weights."""
    try:
        with torch.device("meta"):
            return GraphQFormer(**sizes)
    except (RuntimeError, ValueError, TypeError, KeyError) as error:
        raise InputError(
            f"its config gives sizes that no encoder can have ({type(error).__name__}: {error})",
            place=folder / "text_encoder",
            remedy=AGAIN,
        ) from None


def _with_prefix(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: value for name, value in weights.items()}


def _check(found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], file: Path) -> None:
    check_weights(found, wanted, place=file, remedy="see that all parts come from one checkpoint")


def _recipe(
    folder: Path, image_encoder: str, *, resolution: int, sampler: dict[str, Any], tokens: int, every: int
) -> Recipe:
    if sampler["kind"] == "semantic_ppr":
        # By default it compares texts, which the image encoder does not embed.
        sampler = sampler | {"similarity": {"kind": "consensus"}}
    condition = {
        "name": "neighbors",
        "sampler": sampler,
        "encoder": {
            "kind": "graph_qformer",
            "tokens_per_neighbor": tokens,
            "cross_attention_every": every,
        },
        "injector": {"kind": "prompt_tokens"},
        "without_graph": "zeros",
    }
    values = {
        "name": "instructg2i_release",
        "description": "InstructG2I as its authors released it.",
        "base": {"kind": BASE_KIND, "model": str(folder)},
        "data": {"kind": "mmag", "resolution": resolution},
        "features": {"kind": "clip_vision", "model": image_encoder},
        "conditions": [condition],
        "guidance": {"text": 7.5, "graph": {"neighbors": 1.5}},
        "evaluation": {"protocol": "instructg2i"},
    }
    return parse_recipe(values, place=folder)


def read_ckpt(file: Path, *, prefix: str = "") -> dict[str, Tensor]:
    """The weights in ``file`` in float32, without the numbers of positions that older CLIPs save with them.

    Args:
        file: a file written by ``torch.save``.
        prefix: the prefix of all names; it is added to all of them if none has it.

    Raises:
        InputError: the file is damaged, or holds anything but finite weights.
    """
    found = load_torch_file(file)
    if not isinstance(found, Mapping):
        raise InputError(
            f"expected weights by their names, got a {type(found).__name__}", place=file, remedy=AGAIN
        )
    weights = {name: one for name, one in found.items() if not str(name).endswith("position_ids")}
    for name, one in weights.items():
        # A weight is a dense tensor of numbers whose data are all in the file.
        dense = isinstance(one, Tensor) and one.layout == torch.strided and one.is_floating_point()
        there = dense and not one.is_meta and one.nbytes <= one.untyped_storage().nbytes()
        if not (isinstance(name, str) and there):
            raise InputError(f"the entry {name!r} is not a weight", place=file, remedy=AGAIN)
        if not one.isfinite().all():
            raise InputError(f"'{name}' holds values that are not finite", place=file, remedy=AGAIN)
    named = any(name.startswith(prefix) for name in weights)
    return {name if named else prefix + name: one.float() for name, one in weights.items()}
