"""The denoising objective as pure functions: drops and losses of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from graphcond.bases.noise_process import Times
from graphcond.condition import Condition
from graphcond.context import Context
from graphcond.model import GraphModel
from graphcond.recipe.sections import DropConfig
from graphcond.signals import TextTokens


@dataclass(frozen=True)
class Drops:
    """The inputs that are dropped from each sample: the text, and the graph of each condition by itself."""

    text: Bool[np.ndarray, " b"]
    graph: Bool[np.ndarray, "b conditions"]

    def select(self, rows: Bool[np.ndarray, " b"]) -> Drops:
        """The samples of a mask."""
        return Drops(self.text[rows], self.graph[rows])


def drops_of(chance: Float64[np.ndarray, "b conditions"], config: DropConfig) -> Drops:
    """Divide 0..1 into text only, graph only, both and nothing; ``chance`` says where a sample falls.

    The first condition's number decides on the text too. The others decide on their own graph, which is
    dropped as often, with the text and without it, as the first one's.
    """
    first = chance[:, :1]
    text_only = first < config.text
    graph_only = ~text_only & (first < config.text + config.graph)
    both = ~text_only & ~graph_only & (first < config.text + config.graph + config.both)
    text = text_only | both
    with_text = config.both / max(config.text + config.both, 1e-12)
    by_itself = config.graph / (1 - config.text - config.both)
    others = chance[:, 1:] < np.where(text, with_text, by_itself)
    return Drops(text[:, 0], np.concatenate([graph_only | both, others], axis=1))


def gives_gradient(drops: Drops, *, always: bool) -> Bool[np.ndarray, " b"]:
    """The samples to compute: over a frozen base, a sample without any graph gives no gradient.

    Args:
        drops: the dropped inputs of each sample.
        always: something learns without a graph too; see `learns_without_graph`.
    """
    return np.asarray(~drops.graph.all(axis=1) | always)


def learns_without_graph(conditions: Iterable[Condition], *, base: bool) -> bool:
    """True if samples without a graph give gradients.

    Args:
        conditions: one gets gradients if it has a null that its injector reads.
        base: whether a LoRA of the base, or the base itself, is trained.
    """
    return base or any(c.null == "zeros" and bool(c.injector.trainable_parameters()) for c in conditions)


Latents = Float[Tensor, "b channels height width"]


def squared_error(prediction: Latents, target: Latents) -> Float[Tensor, " b"]:
    """The mean squared error of every sample, in float32."""
    return (prediction.float() - target.float()).square().mean(dim=(1, 2, 3))


def sample_losses(
    model: GraphModel,
    *,
    latents: Float[Tensor, "b channels h w"],
    noise: Float[Tensor, "b channels h w"],
    timesteps: Times,
    text: TextTokens,
    contexts: Mapping[str, Context],
) -> Float[Tensor, " b"]:
    """The squared error of every sample, all conditions applied together, in float32.

    A sample whose context is empty gets the condition's null.
    """
    base = model.base
    inputs = base.inputs(base.process.noisy(latents, noise, timesteps), timesteps, text)
    for adapter in model.adapters.values():
        inputs = adapter.apply(inputs, None)
    for name, condition in model.conditions.items():
        inputs = condition.apply(inputs, condition.signal(contexts[name], text))
    return squared_error(base.denoise(inputs), base.process.target(latents, noise, timesteps))


def without_graph(
    contexts: Mapping[str, Context], rows: Bool[Tensor, "b conditions"] | None = None
) -> dict[str, Context]:
    """``contexts`` without the graphs of ``rows`` (a mask with a column for each), or without any if None."""
    return {
        name: context.without(torch.ones_like(context.has_graph) if rows is None else rows[:, number])
        for number, (name, context) in enumerate(contexts.items())
    }
