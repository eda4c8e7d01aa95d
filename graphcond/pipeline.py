"""GraphPipeline: a prompt and one or several graphs to pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from graphcond.condition import Condition
from graphcond.errors import InputError, did_you_mean
from graphcond.guidance import Branch, GraphGuidance
from graphcond.model import GraphModel
from graphcond.models import StableDiffusionBase
from graphcond.models.features import ClipExtractor
from graphcond.pictures import from_pixels, to_rgb
from graphcond.types import DenoiserInputs, NeighborFeatures, Signal, TextTokens

Graph = Sequence[Image.Image] | NeighborFeatures
"""One graph as a caller gives it: the pictures of its neighbors, or their embeddings for each prompt."""


@dataclass(frozen=True)
class PipelineOutput:
    """Pictures: a list for ``pil``, an array (b, height, width, 3) in 0..1 for ``np``, latents for ``latent``."""

    images: Any


@dataclass(frozen=True)
class _Steering:
    """A graph ready for the denoiser: which condition reads it, and its signal."""

    condition: Condition
    signal: Signal


class GraphPipeline:
    """Draws pictures with a graph-conditioned model.

    Args:
        model: the model.
        extractor: the CLIP that embeds neighbor pictures; loaded from the recipe when first needed.
    """

    def __init__(self, model: GraphModel, extractor: ClipExtractor | None = None) -> None:
        self.model = model
        self.scheduler = model.base.new_scheduler()
        self._extractor = extractor

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        base: StableDiffusionBase | None = None,
    ) -> GraphPipeline:
        """A pipeline from a folder that `save_pretrained` wrote, or from a hub id.

        Raises:
            InputError: no such model, or one that cannot be loaded.
        """
        return cls(GraphModel.from_pretrained(name_or_folder, device=device, base=base))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model; see `GraphModel.save_pretrained`."""
        self.model.save_pretrained(folder)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
        """Upload the model; see `GraphModel.push_to_hub`."""
        return self.model.push_to_hub(repo_id, **options)

    @property
    def extractor(self) -> ClipExtractor:
        """The CLIP that embeds neighbor pictures."""
        if self._extractor is None:
            self._extractor = self.model.load_extractor()
        return self._extractor

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        neighbors: Graph | Sequence[Graph] | Mapping[str, Graph | Sequence[Graph]] | None = None,
        *,
        negative_prompt: str | Sequence[str] = "",
        guidance_scale: float | None = None,
        graph_guidance_scale: float | Sequence[float] | None = None,
        guidance_mode: Literal["separate", "joint"] | None = None,
        guidance_rescale: float | None = None,
        guidance_start: float | None = None,
        guidance_end: float | None = None,
        batched: bool = True,
        num_inference_steps: int = 50,
        num_images_per_prompt: int = 1,
        height: int | None = None,
        width: int | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | None = None,
        latents: Float[Tensor, "b channels h w"] | None = None,
        output_type: Literal["pil", "np", "latent"] = "pil",
        on_step: Callable[[int, int], None] | None = None,
    ) -> PipelineOutput:
        """Draw one or more pictures for each prompt.

        Args:
            prompt: one prompt or several.
            neighbors: one graph: a list of pictures, or their embeddings as `NeighborFeatures` with a row
                per prompt. Several graphs: a list of those. For a model with several conditions: a
                mapping from a condition's name to its graph or graphs. None draws without graph.
            negative_prompt: the text of the unconditional branch.
            guidance_scale: s_T; the recipe's unless given.
            graph_guidance_scale: s_G, one for all graphs or one each; the recipe's unless given.
            guidance_mode: ``separate`` or ``joint``; see `GraphGuidance`.
            guidance_rescale: 0..1; see `GraphGuidance`.
            guidance_start: fraction of the steps from which graphs steer.
            guidance_end: fraction of the steps up to which they do.
            batched: all guidance branches in one denoiser call, or one after another to save memory.
            num_inference_steps: denoising steps.
            num_images_per_prompt: pictures of each prompt.
            height: in pixels; the base's own size unless given.
            width: in pixels; the base's own size unless given.
            generator: of the initial noise (and of a scheduler that draws noise).
            latents: initial noise, standard normal, in place of drawing it.
            output_type: ``pil`` pictures, an ``np`` array in 0..1, or the final ``latent``.
            on_step: called after each step with its number and the number of steps.

        Raises:
            InputError: sizes, scales or graphs that do not fit.
        """
        prompts = _repeat([prompt] if isinstance(prompt, str) else list(prompt), num_images_per_prompt)
        negatives = (
            [negative_prompt] * len(prompts)
            if isinstance(negative_prompt, str)
            else _repeat(list(negative_prompt), num_images_per_prompt)
        )
        if len(negatives) != len(prompts):
            raise InputError(
                f"{len(negatives)} for {len(prompts)} prompts",
                place="negative_prompt",
                remedy="give one, or one each",
            )
        text, empty = self.model.base.encode_prompt(prompts), self.model.base.encode_prompt(negatives)
        steering = self._steering(neighbors, text, num_images_per_prompt)
        guidance = self._guidance(
            steering,
            guidance_scale=guidance_scale,
            graph_guidance_scale=graph_guidance_scale,
            overrides={
                "mode": guidance_mode,
                "rescale": guidance_rescale,
                "start": guidance_start,
                "end": guidance_end,
            },
            batched=batched,
        )
        initial = self._initial_latents(len(prompts), height, width, generator, latents)
        final = self._denoise(
            initial, text, empty, steering, guidance, num_inference_steps, generator, on_step
        )
        return PipelineOutput(final if output_type == "latent" else self._pictures(final, output_type))

    def embed(self, pictures: Sequence[Image.Image]) -> NeighborFeatures:
        """The embeddings of one graph's neighbor pictures, for one target."""
        rows = self.extractor.embed_pictures([to_rgb(picture) for picture in pictures])
        features = torch.from_numpy(np.asarray(rows, np.float32))[None].to(self.model.device)
        return NeighborFeatures(
            features, torch.ones(features.shape[:2], dtype=torch.bool, device=features.device)
        )

    def _steering(self, neighbors: Any, text: TextTokens, copies: int) -> list[_Steering]:
        steering = []
        for name, graphs in _by_condition(neighbors, self.model.conditions).items():
            condition = self.model.conditions[name]
            for graph in graphs:
                features = (
                    graph if isinstance(graph, NeighborFeatures) else self.embed(graph) if graph else None
                )
                if features is not None:
                    features = _one_row_each(features.to(self.model.device), text.ids.shape[0], copies)
                    self._check_width(features)
                    steering.append(_Steering(condition, condition.signal(features, text)))
        return steering

    def _check_width(self, features: NeighborFeatures) -> None:
        found, wanted = features.embeddings.shape[-1], self.model.feature_width
        if found != wanted:
            raise InputError(
                f"embeddings are {found} wide, the model reads {wanted}",
                place="neighbors",
                remedy="use the features that the model was trained with",
            )

    def _guidance(
        self,
        steering: Sequence[_Steering],
        *,
        guidance_scale: float | None,
        graph_guidance_scale: float | Sequence[float] | None,
        overrides: Mapping[str, Any],
        batched: bool,
    ) -> GraphGuidance:
        ours = self.model.recipe.guidance
        settings = {
            name: getattr(ours, name) if value is None else value for name, value in overrides.items()
        }
        if not steering and settings["mode"] == "joint":
            settings["mode"] = "separate"
        return GraphGuidance(
            text=ours.text if guidance_scale is None else guidance_scale,
            graphs=self._scales(steering, graph_guidance_scale),
            batched=batched,
            **settings,
        )

    def _scales(
        self, steering: Sequence[_Steering], given: float | Sequence[float] | None
    ) -> tuple[float, ...]:
        if given is None:
            defaults = self.model.recipe.graph_scales()
            return tuple(defaults[graph.condition.name] for graph in steering)
        scales = tuple(given) if isinstance(given, Sequence) else (given,) * len(steering)
        if len(scales) != len(steering):
            raise InputError(
                f"{len(scales)} scales for {len(steering)} graphs",
                place="graph_guidance_scale",
                remedy="give one scale per graph",
            )
        return scales

    def _initial_latents(
        self, count: int, height: int | None, width: int | None, generator: Any, latents: Tensor | None
    ) -> Tensor:
        base = self.model.base
        side = base.pixels_per_latent
        for name, pixels in (("height", height), ("width", width)):
            if pixels is not None and (pixels < side or pixels % side):
                raise InputError(
                    f"{pixels} is not a multiple of {side}", place=name, remedy=f"use a multiple of {side}"
                )
        shape = (
            count,
            base.unet.config.in_channels,
            (height or base.default_size) // side,
            (width or base.default_size) // side,
        )
        if latents is None:
            return randn_tensor(shape, generator=_generators(generator), device=base.device, dtype=base.dtype)
        if tuple(latents.shape) != shape:
            raise InputError(f"are of shape {tuple(latents.shape)} instead of {shape}", place="latents")
        return latents.to(base.device, base.dtype)

    def _denoise(
        self,
        latents: Tensor,
        text: TextTokens,
        empty: TextTokens,
        steering: Sequence[_Steering],
        guidance: GraphGuidance,
        steps: int,
        generator: Any,
        on_step: Callable[[int, int], None] | None,
    ) -> Tensor:
        if steps < 1:
            raise InputError(f"{steps} is too few", place="num_inference_steps", remedy="use 1 or more")
        caller = _BranchCaller(self.model, text, empty, steering, joint=guidance.mode == "joint")
        self.scheduler.set_timesteps(steps, device=latents.device)
        latents = latents * self.scheduler.init_noise_sigma
        extra = _step_options(self.scheduler, _generators(generator))
        for number, timestep in enumerate(self.scheduler.timesteps):
            sample = self.scheduler.scale_model_input(latents, timestep)
            fraction = number / len(self.scheduler.timesteps)
            prediction = guidance.predict(
                fraction, lambda branches, s=sample, t=timestep: caller(s, t, branches)
            )
            latents = self.scheduler.step(prediction, timestep, latents, **extra).prev_sample
            if on_step is not None:
                on_step(number + 1, len(self.scheduler.timesteps))
        return latents

    def _pictures(self, latents: Tensor, output_type: str) -> Any:
        pixels = self.model.base.decode_latents(latents).cpu().numpy()
        if output_type == "np":
            return ((pixels + 1) / 2).clip(0, 1).transpose(0, 2, 3, 1)
        return [from_pixels(picture) for picture in pixels]


class _BranchCaller:
    """Runs guidance branches through the denoiser: all in one call, padded to one context length."""

    def __init__(
        self,
        model: GraphModel,
        text: TextTokens,
        empty: TextTokens,
        steering: Sequence[_Steering],
        *,
        joint: bool,
    ) -> None:
        self.model, self.text, self.empty, self.steering = model, text, empty, steering
        self.unconditional = [
            graph.condition.encoder(_no_features(model, empty, graph), empty) if joint else None
            for graph in steering
        ]

    def __call__(self, sample: Tensor, timestep: Tensor, branches: Sequence[Branch]) -> list[Tensor]:
        """One prediction per branch."""
        inputs = [self._inputs(sample, timestep, branch) for branch in branches]
        return list(self.model.base.denoise(stacked(inputs)).chunk(len(branches)))

    def _inputs(self, sample: Tensor, timestep: Tensor, branch: Branch) -> DenoiserInputs:
        text = self.text if branch.text else self.empty
        inputs = DenoiserInputs(sample, timestep.expand(sample.shape[0]), text.hidden)
        chosen = None if branch.graph is None else self.steering[branch.graph]
        for name, condition in self.model.conditions.items():
            if chosen is not None and chosen.condition.name == name:
                inputs = condition.apply(inputs, self._signal(branch))
            else:
                like = next((graph.signal for graph in self.steering if graph.condition.name == name), None)
                inputs = condition.apply(inputs, condition.null_signal(text, like=like))
        return inputs

    def _signal(self, branch: Branch) -> Signal:
        number = branch.graph or 0
        unconditional = self.unconditional[number]
        return self.steering[number].signal if branch.text or unconditional is None else unconditional


def stacked(inputs: Sequence[DenoiserInputs]) -> DenoiserInputs:
    """Several calls as one: contexts of unequal length are padded with hidden tokens."""
    if len(inputs) == 1:
        return inputs[0]
    longest = max(one.context.shape[1] for one in inputs)
    plain = all(one.context_weight is None and one.context.shape[1] == longest for one in inputs)
    return DenoiserInputs(
        sample=torch.cat([one.sample for one in inputs]),
        timestep=torch.cat([one.timestep for one in inputs]),
        context=torch.cat([_padded(one.context, longest) for one in inputs]),
        context_weight=None if plain else torch.cat([_padded(_weight(one), longest) for one in inputs]),
    )


def _weight(inputs: DenoiserInputs) -> Tensor:
    if inputs.context_weight is not None:
        return inputs.context_weight
    return torch.ones(inputs.context.shape[:2], device=inputs.context.device)


def _padded(tensor: Tensor, length: int) -> Tensor:
    missing = length - tensor.shape[1]
    return torch.cat([tensor, tensor.new_zeros(tensor.shape[0], missing, *tensor.shape[2:])], dim=1)


def _no_features(model: GraphModel, text: TextTokens, graph: _Steering) -> NeighborFeatures:
    """All-zero embeddings that are there: the release's unconditional graph in joint mode."""
    count, per_neighbor = text.ids.shape[0], 1
    shape = (count, per_neighbor, model.feature_width)
    return NeighborFeatures(
        torch.zeros(shape, device=model.device), torch.ones(shape[:2], dtype=torch.bool, device=model.device)
    )


def _by_condition(neighbors: Any, conditions: Mapping[str, Condition]) -> dict[str, list[Graph]]:
    if neighbors is None:
        return {}
    if not isinstance(neighbors, Mapping):
        if len(conditions) > 1:
            raise InputError(
                "the model has several conditions",
                place="neighbors",
                remedy=f"give a mapping with keys {', '.join(conditions)}",
            )
        neighbors = {next(iter(conditions)): neighbors}
    for name in neighbors:
        if name not in conditions:
            raise InputError(
                f"there is no condition '{name}'", place="neighbors", remedy=did_you_mean(name, conditions)
            )
    return {name: _as_graphs(graphs) for name, graphs in neighbors.items()}


def _as_graphs(graphs: Any) -> list[Graph]:
    if isinstance(graphs, NeighborFeatures):
        return [graphs]
    graphs = list(graphs)
    if all(isinstance(item, Image.Image) for item in graphs):
        return [graphs] if graphs else []
    if any(isinstance(item, Image.Image) for item in graphs):
        raise InputError(
            "pictures and lists are mixed",
            place="neighbors",
            remedy="give one list of pictures, or a list of lists",
        )
    return graphs


def _one_row_each(features: NeighborFeatures, rows: int, copies: int) -> NeighborFeatures:
    have = features.embeddings.shape[0]
    if have == rows:
        return features
    if have not in (1, rows // copies):
        raise InputError(
            f"{have} rows of embeddings for {rows} pictures",
            place="neighbors",
            remedy="give one row per prompt",
        )
    times = rows if have == 1 else copies
    return NeighborFeatures(
        features.embeddings.repeat_interleave(times, 0), features.present.repeat_interleave(times, 0)
    )


def _generators(generator: Any) -> Any:
    return list(generator) if isinstance(generator, Sequence) else generator


def _step_options(scheduler: Any, generator: Any) -> dict[str, Any]:
    import inspect

    return {"generator": generator} if "generator" in inspect.signature(scheduler.step).parameters else {}


def _repeat(items: Sequence[str], times: int) -> list[str]:
    return [item for item in items for _ in range(times)]
