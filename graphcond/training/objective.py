"""The denoising objective as pure functions: drops and losses of samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from torch import Tensor

from graphcond.bases.base import LatentMoments
from graphcond.bases.config import check_training
from graphcond.bases.noise_process import Times
from graphcond.condition import Condition
from graphcond.context import Context
from graphcond.denoiser_inputs import GIVEN_SIZES
from graphcond.errors import InputError
from graphcond.model import GraphModel
from graphcond.pipeline.arguments import check_choice
from graphcond.recipe.sections import DropConfig
from graphcond.signals import TextTokens


@dataclass(frozen=True)
class Drops:
    """The inputs that are dropped from each sample: the text, and the graph of each condition by itself."""

    text: Bool[np.ndarray, " b"]
    graph: Bool[np.ndarray, "b conditions"]

    def without(self, rows: Bool[np.ndarray, " b"]) -> Drops:
        """The samples of a mask have their text and no graph."""
        return Drops(self.text & ~rows, self.graph | rows[:, None])

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


def squared_error(
    prediction: Latents, target: Latents, weights: Float[Tensor, "b height width"] | None = None
) -> Float[Tensor, " b"]:
    """The mean squared error of every sample, in float32; ``weights`` multiply that of each place."""
    errors = (prediction.float() - target.float()).square()
    return (errors if weights is None else errors * weights[:, None]).mean(dim=(1, 2, 3))


def denoising_loss(
    model: GraphModel,
    pictures: Float[Tensor, "b 3 pixel_height pixel_width"] | LatentMoments,
    prompts: Sequence[str] | TextTokens,
    contexts: Mapping[str, Context],
    *,
    posterior: Latents | None = None,
    noise: Latents | None = None,
    timesteps: Times | str = "auto",
    min_snr_gamma: float | None = None,
    sizes: Float[Tensor, "b 6"] | None = None,
    weights: Float[Tensor, "b height width"] | None = None,
    reduction: Literal["mean", "none"] = "mean",
    generator: torch.Generator | None = None,
) -> Float[Tensor, "*b"]:
    """The squared error of the denoiser's prediction, with all conditions applied, in float32.

    The denoiser predicts what its base was trained for: the noise, the velocity or the flow. This is the
    loss of `graphcond.train`. A sample whose context is empty gets the condition's null, so drop a graph by
    ``context.without(rows)``, and a prompt by writing "" in its place. The model is not a module that
    accelerate wraps, so several processes must average their gradients
    (`graphcond.training.optimizer.share_gradients`).

    Args:
        model: its base is frozen; gradients reach what `GraphModel.parameters` gives.
        pictures: with values in -1..1, or encoded by the model's base already.
        prompts: one for each picture; or encoded by the model's base already.
        contexts: one for each condition, by its name, with a row for each picture.
        posterior: standard normal numbers with which latents are drawn for the pictures.
        noise: standard normal numbers to add to the latents.
        timesteps: of the noise; or their distribution, as in ``training.timesteps`` of a recipe.
        min_snr_gamma: of the weights of `NoiseProcess.loss_weight`; all are 1 without.
        sizes: of the pictures, for SDXL, as of `graphcond.io.frames.Frame.numbers`; without, those with
            which pictures are drawn.
        weights: of the squared errors at each place of the latents; all are 1 without.
        reduction: the mean over the samples, or ``none`` for a loss of each.
        generator: on the CPU, for whatever is not given.

    Raises:
        InputError: not one context for each condition, not one prompt for each picture, a size that the base
            cannot encode, a tensor of another shape, pictures that are not floats, an unknown reduction, or
            timesteps or weights that do not fit what the base predicts.
    """
    base, device = model.base, model.device
    check_choice(reduction, ("mean", "none"), "reduction")
    if isinstance(prompts, str):
        raise InputError("expected a list of texts, got a text", place="prompts", remedy="give [prompt]")
    if not isinstance(pictures, LatentMoments):
        if not isinstance(pictures, Tensor) or pictures.ndim != 4 or not pictures.is_floating_point():
            got = type(pictures).__name__
            if isinstance(pictures, Tensor):
                got = f"{pictures.dtype} {tuple(pictures.shape)}"
            raise InputError(
                f"expected floats b x 3 x height x width, got {got}",
                place="pictures",
                remedy="stack the pictures as a tensor with values in -1..1; PictureDataset reads files so",
            )
        base.latent_shape(*pictures.shape[2:])
        pictures = base.encode_pictures(pictures)
    text = prompts if isinstance(prompts, TextTokens) else base.encode_prompt(list(prompts))
    pictures, text = pictures.to(device), text.to(device)
    _check_rows(model, len(pictures.mean), len(text.ids), contexts)
    shape = pictures.mean.shape
    if posterior is None:
        posterior = torch.randn(shape, generator=generator)
    if noise is None:
        noise = torch.randn(shape, generator=generator)
    if isinstance(timesteps, str):
        check_training(base.facts.predicts, timesteps, min_snr_gamma)
        uniform = torch.rand(shape[:1], generator=generator)
        timesteps = base.process.timesteps(uniform, timesteps, (shape[2], shape[3]))
    given = {"posterior": (posterior, shape), "noise": (noise, shape), "timesteps": (timesteps, shape[:1])}
    if weights is not None:
        given["weights"] = weights, torch.Size((shape[0], *shape[2:]))
    for name, (tensor, wanted) in given.items():
        if tensor.shape != wanted:
            raise InputError(
                f"expected the shape {tuple(wanted)}, got {tuple(tensor.shape)}",
                place=name,
                remedy="give one of this shape, or leave it out",
            )
    noise, timesteps = noise.to(device), timesteps.to(device)
    latents = pictures.mean + pictures.std * posterior.to(device)

    inputs = base.inputs(base.process.noisy(latents, noise, timesteps), timesteps, text)
    if sizes is not None:
        inputs = replace(inputs, extras={**inputs.extras, GIVEN_SIZES: sizes.to(device)})
    for adapter in model.adapters.values():
        inputs = adapter.apply(inputs, None)
    for name, condition in model.conditions.items():
        inputs = condition.apply(inputs, condition.signal(contexts[name].to(device), text))
    target = base.process.target(latents, noise, timesteps)
    losses = squared_error(base.denoise(inputs), target, None if weights is None else weights.to(device))
    if min_snr_gamma is not None:
        losses = losses * base.process.loss_weight(timesteps, min_snr_gamma)
    return losses.mean() if reduction == "mean" else losses


def _check_rows(model: GraphModel, pictures: int, prompts: int, contexts: Mapping[str, Context]) -> None:
    if contexts.keys() != model.conditions.keys():
        raise InputError(
            f"expected one of {_listed(model.conditions)}, got one of {_listed(contexts)}",
            place="contexts",
            remedy="give each condition of the model a context, under its name",
        )
    counts = {"prompts": prompts, **{name: len(one.has_graph) for name, one in contexts.items()}}
    for name, count in counts.items():
        if count != pictures:
            raise InputError(
                f"expected {pictures} rows, one for each picture, got {count}",
                place=name if name == "prompts" else f"contexts.{name}",
                remedy="give as many as there are pictures",
            )


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names) or "nothing"


def without_graph(
    contexts: Mapping[str, Context], rows: Bool[Tensor, "b conditions"] | None = None
) -> dict[str, Context]:
    """``contexts`` without the graphs of ``rows`` (a mask with a column for each), or without any if None."""
    return {
        name: context.without(torch.ones_like(context.has_graph) if rows is None else rows[:, number])
        for number, (name, context) in enumerate(contexts.items())
    }
