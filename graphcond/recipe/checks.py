"""Checks that the parts of a recipe fit each other, before any weight is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from graphcond.attributed_graph import Column
from graphcond.bases.config import BaseFacts, BaseFields
from graphcond.context import NeighborContext, NeighborFeatures, SceneContext, SceneFeatures
from graphcond.recipe.sections import TrainingConfig
from graphcond.samplers.similarity.config import SIMILARITIES
from graphcond.signals import why_no_zeros

READERS = {NeighborContext: NeighborFeatures, SceneContext: SceneFeatures}
"""The features that encoders read, by the context that a sampler makes."""

COLUMNS: dict[Column, str] = {
    "pictures": "embeddings of pictures",
    "texts": "embeddings of texts",
    "extra": "embeddings from a file",
}
"""Names of the tables of `NodeEmbeddings` in errors."""


def check_condition(place: str, condition: Any, facts: BaseFacts | None) -> None:
    """Check that the parts of a condition fit each other and the base.

    Raises:
        ValueError: they do not.
    """
    check_context(place, condition.sampler, condition.encoder)
    check_signal(place, condition.encoder, condition.injector)
    check_without_graph(place, condition.encoder, condition.without_graph)
    check_width(f"{place}.encoder", condition.encoder, facts)


def check_context(place: str, sampler: Any, encoder: Any) -> None:
    """Check that ``encoder`` reads the context that ``sampler`` makes.

    Raises:
        ValueError: it does not.
    """
    makes, reads = READERS[sampler.makes], encoder.reads
    if not issubclass(makes, reads):
        raise ValueError(
            f"{place}: the encoder '{encoder.kind}' reads {reads.__name__}, "
            f"but the sampler '{sampler.kind}' leads to {makes.__name__}; choose a pair that fits"
        )


def check_without_graph(place: str, encoder: Any, without_graph: str) -> None:
    """Check that the null can be made: zero tokens can replace only tokens of a fixed number.

    Raises:
        ValueError: it cannot.
    """
    reason = why_no_zeros(encoder.gives, encoder.token_count()) if without_graph == "zeros" else None
    if reason is not None:
        raise ValueError(f"{place}.without_graph: 'zeros' {reason} ('{encoder.kind}'); use 'absent'")


def check_data(data: Any, conditions: Iterable[Any]) -> None:
    """Check that the data hold what the samplers choose from.

    Raises:
        ValueError: scenes are sampled from a graph of nodes, or the other way round.
    """
    for number, condition in enumerate(conditions):
        wants_scenes = condition.sampler.makes is SceneContext
        if wants_scenes != data.has_scenes:
            wanted, found = ("scene graphs", "mmag") if wants_scenes else ("a graph of nodes", "scenes")
            raise ValueError(
                f"conditions.{number}.sampler: '{condition.sampler.kind}' reads {wanted}, "
                f"which data of kind '{data.kind}' do not have; set data.kind to "
                f"{'scenes' if found == 'mmag' else 'mmag'}"
            )


def check_signal(place: str, encoder: Any, injector: Any) -> None:
    """Check that ``injector`` reads the signal that ``encoder`` gives.

    Raises:
        ValueError: it does not.
    """
    gives, reads = encoder.gives, injector.reads
    if reads is None:
        raise ValueError(
            f"{place}.injector: '{injector.kind}' reads no signal; name it at the top of the recipe instead"
        )
    if gives is not reads:
        raise ValueError(
            f"{place}: the injector '{injector.kind}' reads {reads.__name__}, "
            f"but the encoder '{encoder.kind}' gives {gives.__name__}; choose a pair that fits"
        )
    if injector.needs_alignment and not encoder.gives_alignment:
        raise ValueError(
            f"{place}.injector.place: 'add' needs tokens that are aligned to words, which the encoder "
            f"'{encoder.kind}' does not give; use the encoder 'sentence_graph', or place 'replace'"
        )


def check_width(place: str, encoder: Any, facts: BaseFacts | None) -> None:
    """Check that the tokens of ``encoder`` are as wide as the base's, as far as its files tell.

    Raises:
        ValueError: they are not.
    """
    width = encoder.token_width()
    if width is not None and facts is not None and width != facts.token_width:
        raise ValueError(
            f"{place}.width: the width {width} does not fit, the base reads tokens of width "
            f"{facts.token_width}; "
            "leave it out to follow the base"
        )


def check_base(place: str, condition: Any, base: BaseFields) -> None:
    """Check that the base has what the encoder and the injector of a condition need.

    Raises:
        ValueError: it has no CLIP text encoder, or no site of a kind that the injector can attach to.
    """
    encoder, injector = condition.encoder, condition.injector
    if encoder.needs_text_tower and not base.text_tower:
        raise ValueError(
            f"{place}.encoder: '{encoder.kind}' with these settings starts from a CLIP text encoder, and the "
            f"base '{base.kind}' has none; choose another encoder, another start, or another base"
        )
    if injector.needs_sites and not injector.needs_sites & base.sites:
        raise ValueError(
            f"{place}.injector: '{injector.kind}' needs sites of the kind "
            f"{' or '.join(sorted(injector.needs_sites))}, the base '{base.kind}' has "
            f"{', '.join(sorted(base.sites)) or 'none'}; choose another injector or base"
        )
    if injector.needs_references and not base.takes_references:
        raise ValueError(
            f"{place}.injector: '{injector.kind}' needs a base that takes references, and '{base.kind}' "
            "does not; choose another injector or base"
        )
    if injector.weighs_places and not base.weighs_places:
        raise ValueError(
            f"{place}.injector: '{injector.kind}' shows tokens in parts of the picture, which the base "
            f"'{base.kind}' cannot; show them everywhere, or choose another base"
        )


def check_process(base: BaseFields, facts: BaseFacts) -> None:
    """Check that the scheduler in the files of a base is one for such a base.

    Raises:
        ValueError: it is made for a denoiser that predicts something else.
    """
    if facts.predicts not in base.predicts:
        raise ValueError(
            f"base: a base of the kind '{base.kind}' predicts {' or '.join(sorted(base.predicts))}, "
            f"the scheduler in its files is one for {facts.predicts}; restore that of the original model"
        )


def check_known(place: str, given: Mapping[str, Any], names: list[str]) -> None:
    """Check that settings by name are for names that exist.

    Raises:
        ValueError: one is not.
    """
    for name in given:
        if name not in names:
            raise ValueError(f"{place}: there is no '{name}'; known are {', '.join(names)}")


def check_features(features: Any, conditions: Iterable[Any]) -> None:
    """Check that the features give the embeddings that a sampler compares.

    Raises:
        ValueError: they do not.
    """
    for number, condition in enumerate(conditions):
        if condition.encoder.target_text_read() and "texts" not in features.columns:
            raise ValueError(
                f"conditions.{number}.encoder.target_text: features of kind '{features.kind}' embed no "
                "texts; leave it out, or use other features"
            )
        missing = condition.sampler.requires() - features.columns
        if missing:
            served = [
                kind for kind, one in SIMILARITIES.items() if one.reads and one.reads <= features.columns
            ]
            raise ValueError(
                f"conditions.{number}.sampler: '{condition.sampler.kind}' compares "
                f"{' and '.join(COLUMNS[column] for column in sorted(missing))}, which features of kind "
                f"'{features.kind}' do not give; use "
                + (f"a similarity that they serve ({', '.join(served)}), " if served else "")
                + "other features, or a sampler that compares nothing, such as ppr"
            )


def check_compile(base: BaseFields, training: TrainingConfig) -> None:
    """Check that torch can compile the denoiser, where it is asked to.

    Raises:
        ValueError: layers are computed again in the backward pass.
    """
    if training.compile and base.gradient_checkpointing:
        raise ValueError(
            "training.compile: torch does not compile what base.gradient_checkpointing computes again; "
            "set one of them to false"
        )
