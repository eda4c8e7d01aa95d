"""GraphPipeline: a prompt and one or several graphs to pictures, with the conventions of diffusers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from diffusers.guiders import BaseGuidance
from diffusers.pipelines.pipeline_utils import ImagePipelineOutput
from jaxtyping import Float, Int64
from torch import Tensor

from graphcond.bases import Base
from graphcond.bases.config import Quantize
from graphcond.bases.cut_prompts import note_on_cut
from graphcond.condition import Condition
from graphcond.config import as_number
from graphcond.context import NeighborFeatures, SceneFeatures
from graphcond.data.scene_features import scene_features
from graphcond.errors import InputError, Notice
from graphcond.features.clip_vision import ClipVisionExtractor
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.load import PictureExtractor, WordExtractor, features_of
from graphcond.features.text_features import TextModelExtractor
from graphcond.features.words import WordTable
from graphcond.guidance import BranchCaller
from graphcond.io.pictures import from_pixels, to_pixels, to_rgb, to_square
from graphcond.model import GraphModel
from graphcond.pipeline.arguments import (
    Generators,
    check_beside,
    check_choice,
    check_count,
    check_steps,
    texts_of,
)
from graphcond.pipeline.denoising import Canvas, Latents, Steps, read_given
from graphcond.pipeline.graphs import (
    SCENE,
    GraphReader,
    Graphs,
    Picture,
    Scenes,
    graphs_given,
    pictures_of,
)
from graphcond.pipeline.guided import GivenGuidance, Guided
from graphcond.pipeline.parts import ModelPipeline
from graphcond.pipeline.text import GivenText, texts, with_pictures
from graphcond.progress import Progress
from graphcond.scene_graph import SceneGraph

OutputType = Literal["pil", "np", "pt", "latent"]

PipelineOutput = ImagePipelineOutput
"""Pictures by ``output_type``: a list, an array (b, height, width, 3) or a tensor (b, 3, height, width) with
values in 0..1, or latents."""


class GraphPipeline(ModelPipeline):
    """Draws pictures with a graph-conditioned model, as diffusers' pipelines do.

    ``scheduler`` may be replaced by any of diffusers' schedulers that fits the base, and so may the base's
    other parts (``vae``, ``text_encoder`` ..., see ``components``), but not the denoiser. The methods of
    diffusers' pipelines of the base's family act on the base: ``to``, offloading, and the loaders of LoRAs,
    textual inversions and IP-Adapters. What was trained stays in float32.

    Args:
        model: the model.
        extractor: embeds neighbor pictures (a CLIP) or the words of scene graphs (any text encoder);
            loaded from the recipe when first needed.
    """

    def __init__(self, model: GraphModel, extractor: PictureExtractor | WordExtractor | None = None) -> None:
        model.train(False)  # parts made by hand start in training mode, where dropout is on
        super().__init__(model)
        self._given = extractor
        self._cut: set[str] = set()  # prompts that were said to be cut
        self.predictions_made: Int64[np.ndarray, " b"] = np.zeros(0, np.int64)
        """Predictions of the denoiser for each picture of the last call."""

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        name_or_folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        base: Base | str | Path | None = None,
        torch_dtype: torch.dtype | None = None,
        variant: str | None = None,
        quantize: Quantize | None = None,
        parts: Mapping[str, Any] | None = None,
        trust_remote_code: bool = False,
    ) -> GraphPipeline:
        """A pipeline from a saved model, or from a released checkpoint of InstructG2I.

        Args:
            name_or_folder: a folder, or an id on the Hugging Face hub.
            device: where to put everything.
            base: a loaded base to use in place of loading the model's, or the folder where its base is now.
            torch_dtype: number format of the base, instead of the recipe's.
            variant: of the base's weight files, such as ``fp16``.
            quantize: the base's linear layers in fewer bits, ``int8`` or ``nf4``, instead of the recipe's.
            parts: as for `GraphModel.from_pretrained`; and ``extractor``, in place of the model's.
            trust_remote_code: import classes outside of graphcond and PyG that the model's file names.

        Raises:
            InputError: no such model, or one that cannot be loaded.
        """
        format_ = {"dtype": torch_dtype, "variant": variant, "quantize": quantize}
        options: dict[str, Any] = {"device": device, "base": base, **format_}
        others = dict(parts or {})
        extractor = others.pop("extractor", None)
        model = GraphModel.from_pretrained(
            name_or_folder, parts=others, trust_remote_code=trust_remote_code, **options
        )
        return cls(model, extractor)

    @classmethod
    def from_parts(
        cls, base: Base, *conditions: Condition, extractor: PictureExtractor | WordExtractor
    ) -> GraphPipeline:
        """A pipeline composed by hand, without a recipe.

        `save_pretrained` writes the config or the class and arguments of each part; see `from_pretrained`.

        Args:
            base: the frozen base.
            conditions: the conditions of the base.
            extractor: whose embeddings the encoders read.
        """
        features = features_of(extractor)
        return cls(GraphModel(base, conditions, feature_width=extractor.width, features=features), extractor)

    def save_pretrained(self, folder: str | Path) -> None:  # type: ignore[override]
        """Write the model; see `GraphModel.save_pretrained`."""
        self.model.save_pretrained(folder)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:  # type: ignore[override]
        """Upload the model; see `GraphModel.push_to_hub`."""
        return self.model.push_to_hub(repo_id, **options)

    @property
    def extractor(self) -> PictureExtractor:
        """The CLIP that embeds neighbor pictures.

        Raises:
            InputError: the model has none.
        """
        if self._given is None or isinstance(self._given, TextModelExtractor):
            return self.model.extractors.pictures
        return self._given

    @property
    def words(self) -> WordExtractor:
        """The text encoder that embeds the words of scene graphs.

        Raises:
            InputError: the model has none.
        """
        if self._given is None or isinstance(self._given, ClipVisionExtractor):
            return self.model.extractors.words
        return self._given

    @cached_property
    def _words(self) -> WordTable:
        return WordTable(self.words, FeatureCache())

    def encode_prompt(
        self,
        prompt: str | Sequence[str],
        device: torch.device | str | None = None,
        num_images_per_prompt: int = 1,
        do_classifier_free_guidance: bool = True,
        negative_prompt: str | Sequence[str] | None = None,
        *,
        clip_skip: int | None = None,
        **beside: Any,
    ) -> tuple[Tensor | None, ...]:
        """What `__call__` takes as ``prompt_embeds`` and ``negative_prompt_embeds``, a row for each picture.

        For SDXL the pooled vectors of both follow.

        Args:
            prompt: one prompt or several.
            device: where to put them; that of the base unless given.
            num_images_per_prompt: rows of each prompt.
            do_classifier_free_guidance: otherwise there is None for the negative prompt.
            negative_prompt: one or one each; empty unless given.
            clip_skip: layers of the text encoder that are left out at its end, of the prompt.
            beside: `Base.text_arguments`, of SDXL ``prompt_2`` and ``negative_prompt_2``.
        """
        base = self.model.base
        further = check_beside(base, beside, base.text_arguments)
        given = GivenText(prompt, negative_prompt, clip_skip=clip_skip, beside=further)
        text, empty = texts(base, given, texts_of(prompt, "prompt"), num_images_per_prompt)
        rows = [one.hidden for one in (text, empty)]
        rows += [one.extras[name] for name in sorted(text.extras) for one in (text, empty)]
        return tuple(
            None if number % 2 and not do_classifier_free_guidance else row.to(device)
            for number, row in enumerate(rows)
        )

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str] | None = None,
        neighbors: Graphs = None,
        *,
        scene: Scenes = None,
        image: Any = None,
        mask_image: Any = None,
        strength: float | None = None,
        negative_prompt: str | Sequence[str] | None = None,
        guidance_scale: float | None = None,
        graph_guidance_scale: float | Sequence[float] | None = None,
        guidance_mode: Literal["separate", "joint"] | None = None,
        guidance_rescale: float | None = None,
        guidance_start: float | None = None,
        guidance_end: float | None = None,
        guidance_text_start: float | None = None,
        guidance_text_end: float | None = None,
        guidance_reuse: int | None = None,
        guidance_skip_below: float | None = None,
        guider: BaseGuidance | None = None,
        batched: bool = True,
        num_inference_steps: int = 50,
        timesteps: Sequence[int] | None = None,
        sigmas: Sequence[float] | None = None,
        denoising_end: float | None = None,
        eta: float = 0.0,
        num_images_per_prompt: int = 1,
        height: int | None = None,
        width: int | None = None,
        generator: Generators = None,
        latents: Float[Tensor, "b channels h w"] | None = None,
        prompt_embeds: Float[Tensor, "b n c"] | None = None,
        negative_prompt_embeds: Float[Tensor, "b n c"] | None = None,
        pooled_prompt_embeds: Float[Tensor, "b p"] | None = None,
        negative_pooled_prompt_embeds: Float[Tensor, "b p"] | None = None,
        ip_adapter_image: Any = None,
        ip_adapter_image_embeds: list[Tensor] | None = None,
        clip_skip: int | None = None,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callable[..., Any] | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        on_step: Progress | None = None,
        **beside: Any,
    ) -> Any:
        """Draw one or more pictures for each prompt.

        Arguments of diffusers' pipelines mean what they mean there. The pictures are in a `PipelineOutput`.

        Args:
            prompt: one prompt or several.
            neighbors: one graph: a picture or a list of them, opened or as files, or their embeddings as
                `NeighborFeatures` with a row per prompt. None draws without graph. If ``prompt`` is a list, a
                list of lists of pictures is a graph for each prompt. Several graphs in every picture are a
                list of features, `[pipe.embed(one), pipe.embed(other)]`, or, for a single prompt, a list
                of lists of pictures. For a model with several conditions: a mapping from a condition's name
                to its graph or graphs.
            scene: a scene graph for all pictures, or one for each prompt (a single prompt is repeated); or
                their `SceneFeatures` with a row per prompt. For conditions that read different scenes: a
                mapping from their names. None draws without.
            image: a picture to start from, or one for each prompt: PIL, a file, an array or tensor in 0..1.
            mask_image: where ``image`` is drawn anew (white) and where it is kept (black).
            strength: 0..1, how little is kept of ``image``; 0.8 unless given, and 1 with a mask.
            negative_prompt: the text of the unconditional branch, one or one each; empty unless given.
            guidance_scale: s_T; the recipe's unless given.
            graph_guidance_scale: s_G, one for all graphs or one each; the recipe's unless given.
            guidance_mode: ``separate`` or ``joint``; see `GraphGuidance`.
            guidance_rescale: 0..1; see `GraphGuidance`.
            guidance_start: fraction of the steps from which graphs steer.
            guidance_end: fraction of the steps up to which they do.
            guidance_text_start: fraction of the steps from which s_T acts; elsewhere it is 1.
            guidance_text_end: fraction of the steps up to which it does.
            guidance_reuse: steps from one measurement of the differences of predictions to the next; see
                `BranchPredictions`. `predictions_made` counts the predictions that were made.
            guidance_skip_below: 0..1; a branch is left out once its difference is below this share of its
                largest one.
            guider: a guider of diffusers, which combines the predictions with text and without in place of
                s_T, such as ``AdaptiveProjectedGuidance``; or a `GraphGuider`, which has all scales.
            batched: all guidance branches in one denoiser call, or one after another to save memory.
            num_inference_steps: denoising steps.
            timesteps: those of the steps, instead; descending.
            sigmas: the noise levels of the steps, instead; descending.
            denoising_end: 0..1, the share of the noise after whose removal the steps end, as in diffusers for
                SDXL's refiner.
            eta: of DDIM, 0..1: how much noise its steps add.
            num_images_per_prompt: pictures of each prompt.
            height: in pixels; that of ``latents`` or ``image``, or the base's own, unless given.
            width: in pixels, likewise.
            generator: of the initial noise (and of a scheduler that draws noise).
            latents: initial noise, standard normal, in place of drawing it.
            prompt_embeds: what `encode_prompt` gives, in place of encoding the prompt; a row for each prompt.
                With a graph give the prompt too, for encoders that read it.
            negative_prompt_embeds: likewise for the negative prompt.
            pooled_prompt_embeds: of SDXL, beside ``prompt_embeds``.
            negative_pooled_prompt_embeds: of SDXL, beside ``negative_prompt_embeds``.
            ip_adapter_image: of the IP-Adapters that `load_ip_adapter` loaded.
            ip_adapter_image_embeds: in place of encoding these.
            clip_skip: layers of the text encoder that are left out at its end; of the prompt, not of the
                negative one.
            output_type: ``pil`` pictures, an ``np`` array or a ``pt`` tensor in 0..1, or the last ``latent``.
            return_dict: otherwise a tuple of the pictures.
            callback_on_step_end: called after each step with the pipeline, the step, the timestep and a dict
                of tensors; what it returns takes their place.
            callback_on_step_end_tensor_inputs: their names: ``latents``, ``prompt_embeds`` and
                ``negative_prompt_embeds``, each as the branches with and without text have it.
            on_step: called after each step with its number and the number of steps, in place of the bar.
            beside: what diffusers' pipeline of the base takes beside the prompt (`Base.text_arguments`,
                `Base.size_arguments`): of SDXL ``prompt_2``, ``original_size``, ``crops_coords_top_left``,
                ``target_size`` and their ``negative_`` forms.

        Raises:
            InputError: an argument has a wrong type or value, sizes or graphs do not fit, or the scales
                are so large that the picture has no finite values.
        """
        base = self.model.base
        check_choice(output_type, get_args(OutputType), "output_type")
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            callback_on_step_end_tensor_inputs = callback_on_step_end.tensor_inputs
        for name in callback_on_step_end_tensor_inputs:
            check_choice(name, self._callback_tensor_inputs, "callback_on_step_end_tensor_inputs")
        base.process.check_scheduler(self.scheduler)
        steps = check_steps(num_inference_steps, self.scheduler.config.num_train_timesteps)
        copies = check_count(num_images_per_prompt, "num_images_per_prompt")
        scales = GivenGuidance.beside(
            guider,
            guidance_scale=guidance_scale,
            graph_guidance_scale=graph_guidance_scale,
            guidance_mode=guidance_mode,
            guidance_rescale=guidance_rescale,
            guidance_start=guidance_start,
            guidance_end=guidance_end,
            guidance_text_start=guidance_text_start,
            guidance_text_end=guidance_text_end,
            guidance_reuse=guidance_reuse,
            guidance_skip_below=guidance_skip_below,
        )
        joint = scales.mode_of(self.model) == "joint"
        given = graphs_given(self.model, neighbors, scene)
        known = base.text_arguments | base.size_arguments
        written = GivenText(
            *(prompt, negative_prompt, prompt_embeds, negative_prompt_embeds),
            *(
                pooled_prompt_embeds,
                negative_pooled_prompt_embeds,
                clip_skip,
                check_beside(base, beside, known),
            ),
        )
        with_graph = any(given.values())
        prompts = written.prompts(with_graph=with_graph)
        if isinstance(prompt, str) and given[SCENE]:
            (some,) = next(iter(given[SCENE].values()))
            prompts *= len(some) if isinstance(some, list) else some.present.shape[0]
        text, empty = texts(base, written, prompts, copies, words=with_graph)
        self.warn_of_cut([*prompts, *written.negatives(len(prompts))])
        text, empty = with_pictures(self, text, empty, ip_adapter_image, ip_adapter_image_embeds)
        self.model.follow_base()
        reader = GraphReader(self.model, self.embed, self.read)
        one_each = not isinstance(prompt, str)
        graphs = reader.guided(given, text, empty, joint=joint, copies=copies, one_each=one_each)
        guided = scales.over(self.model, graphs, batched=batched)
        canvas = Canvas.of(
            base,
            read_given(base, image, mask_image, strength, (height, width)),
            (height, width),
            rows=len(text.ids),
            copies=copies,
            generator=generator,
            latents=latents,
        )
        run = Steps(
            *(base, self.scheduler, steps, canvas),
            eta=as_number(eta, "eta"),
            generator=generator,
            timesteps=timesteps,
            sigmas=sigmas,
            end=denoising_end,
        )
        adapters = self.model.adapters.values()
        caller = BranchCaller(base, self.model.conditions, text, empty, graphs, adapters=adapters)
        self._guidance_scale = getattr(guider, "guidance_scale", guided.graphs.text)
        self._guidance_rescale, self._clip_skip = guided.graphs.rescale, clip_skip
        after = partial(self._after, caller, callback_on_step_end, callback_on_step_end_tensor_inputs)
        final = self._denoise(run, guided, caller, after, on_step)
        pictures = final if output_type == "latent" else self._pictures(final, output_type)
        self.maybe_free_model_hooks()
        return PipelineOutput(images=pictures) if return_dict else (pictures,)

    def embed(
        self, pictures: Picture | Sequence[Picture], relations: Sequence[str] | None = None
    ) -> NeighborFeatures:
        """The embeddings of one graph's pictures, for one target, and the pictures if an encoder reads them.

        Args:
            pictures: of the neighbors, opened or as files; or a single one.
            relations: the edge type between each and the target, or ""; for encoders with ``relations``.

        Raises:
            InputError: there are more or fewer relations than pictures.
        """
        pictures = pictures_of(pictures)
        rows = np.zeros((0, self.model.feature_width), np.float32)
        if pictures:
            rows = self.extractor.embed_pictures(pictures)
        features = torch.from_numpy(np.asarray(rows, np.float32))[None]
        present = torch.ones(features.shape[:2], dtype=torch.bool)
        shown = None
        if any(condition.encoder.reads_pictures for condition in self.model.conditions.values()):
            side = self.model.resolution
            squares = [to_pixels(to_square(to_rgb(picture), side)) for picture in pictures]
            shown = torch.from_numpy(np.array(squares, np.float32).reshape(1, len(pictures), 3, side, side))
        if relations is None:
            return NeighborFeatures(features, present, pictures=shown).to(self.model.device)
        if len(relations) != len(pictures):
            raise InputError(
                f"expected {len(pictures)} relations, one for each picture, got {len(relations)}",
                place="relations",
                remedy="give one each",
            )
        names = tuple(sorted({*relations} - {""}))
        ids = torch.tensor([[("", *names).index(relation) for relation in relations]], dtype=torch.long)
        return NeighborFeatures(features, present, ids, names, pictures=shown).to(self.model.device)

    def read(self, scene: SceneGraph | Sequence[SceneGraph], condition: str) -> SceneFeatures:
        """The features that a condition reads of one scene graph, or of several (a row for each).

        Raises:
            InputError: the model embeds no words.
        """
        scenes = scene if isinstance(scene, Sequence) else [scene]
        context = self.model.scene_sampler(condition).sample(scenes, None)
        return scene_features(context, self._words).to(self.model.device)

    def warn_of_cut(self, prompts: Sequence[str]) -> None:
        """Give a `Notice` if prompts are longer than the text encoder reads, once for each prompt."""
        base, distinct = self.model.base, {*prompts} - {""}
        cut = base.cut_prompts(prompts)
        if not self._cut.issuperset(one.prompt for one in cut):
            note = note_on_cut(cut, len(distinct), base.facts.token_count)
            warnings.warn(str(note), Notice, stacklevel=2)
            self._cut.update(one.prompt for one in cut)

    def _denoise(
        self,
        run: Steps,
        guided: Guided,
        caller: BranchCaller,
        after: Callable[[int, Tensor, Latents], Latents],
        on_step: Progress | None,
    ) -> Latents:
        latents, count, scale = run.start(), len(run.timesteps), self._guidance_scale
        predictions = guided.graphs.over_steps()
        self._interrupt, self._num_timesteps = False, count
        bar = nullcontext() if on_step is not None else self.progress_bar(total=count)
        with bar as shown:
            for number, timestep in enumerate(run.timesteps):
                if self.interrupt:
                    break
                if self._guidance_scale != scale:  # a callback has set it
                    scale = self._guidance_scale
                    guided = guided.with_text_scale(scale, self.model)
                call = partial(caller, run.scaled(latents, timestep), timestep)
                predicted = guided.predict(number, count, timestep, call, predictions)
                latents = run.step(predicted, timestep, latents)
                latents = after(number, timestep, run.kept(latents, number))
                if shown is not None:
                    shown.update()
                elif on_step is not None:
                    on_step(number + 1, count)
        self.predictions_made = predictions.made
        if not latents.isfinite().all():
            raise InputError(
                "the picture has no finite values",
                place="guidance",
                remedy="use lower scales, or another scheduler",
            )
        return latents

    def _after(
        self,
        caller: BranchCaller,
        callback: Callable[..., Any] | None,
        names: Sequence[str],
        number: int,
        timestep: Tensor,
        latents: Latents,
    ) -> Latents:
        """Call a callback of diffusers' sort after a step; returns the latents to go on with."""
        if callback is None:
            return latents
        tensors = {
            "latents": latents,
            "prompt_embeds": caller.text.hidden,
            "negative_prompt_embeds": caller.empty.hidden,
        }
        changed = callback(self, number, timestep, {name: tensors[name] for name in names}) or {}
        for name, tensor in tensors.items():
            found = changed.get(name, tensor)
            if found.shape != tensor.shape:
                raise InputError(
                    f"expected the shape {tuple(tensor.shape)} of '{name}', got {tuple(found.shape)}",
                    place="callback_on_step_end",
                    remedy="give back a row for each picture",
                )
        tensors |= changed
        caller.text = replace(caller.text, hidden=tensors["prompt_embeds"])
        caller.empty = replace(caller.empty, hidden=tensors["negative_prompt_embeds"])
        return tensors["latents"]

    def _pictures(self, latents: Latents, output_type: str) -> Any:
        pixels = self.model.base.decode_latents(latents)
        if not pixels.isfinite().all():
            raise InputError(
                "the decoded picture has values that are not finite",
                place="base",
                remedy="set base.dtype to bf16 or fp32",
            )
        if output_type == "pil":
            return [from_pixels(picture) for picture in pixels.cpu().numpy()]
        shares = ((pixels + 1) / 2).clamp(0, 1)
        return shares if output_type == "pt" else shares.cpu().numpy().transpose(0, 2, 3, 1)
