"""GraphPipeline: a prompt and one or several graphs to pictures."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property, partial
from inspect import signature
from operator import index
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar, cast, get_args

import numpy as np
import torch
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from graphcond.bases import Base
from graphcond.bases.cut_prompts import note_on_cut
from graphcond.condition import Condition
from graphcond.config import as_number
from graphcond.context import Context, NeighborFeatures, SceneFeatures
from graphcond.data.scene_features import scene_features
from graphcond.errors import InputError, Notice, did_you_mean
from graphcond.features.clip_vision import ClipVisionExtractor
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.load import PictureExtractor, WordExtractor
from graphcond.features.text_features import TextModelExtractor
from graphcond.features.words import WordTable
from graphcond.guidance import BranchCaller, GraphGuidance, GuidedGraph, release_null
from graphcond.io.pictures import from_pixels
from graphcond.model import GraphModel
from graphcond.progress import Progress
from graphcond.scene_graph import SceneGraph
from graphcond.signals import GraphTokens, Signal, TextTokens

Graph: TypeAlias = Sequence[Image.Image] | NeighborFeatures
"""One graph as a caller gives it: its neighbors' pictures, or their embeddings with a row per prompt."""

Graphs: TypeAlias = Graph | Sequence[Graph] | Mapping[str, Graph | Sequence[Graph]] | None
"""One graph, several, or those of each condition by its name."""

Scene: TypeAlias = SceneGraph | Sequence[SceneGraph] | SceneFeatures
"""The scene of all pictures, a scene for each prompt, or their features with a row per prompt."""

Scenes: TypeAlias = Scene | Mapping[str, Scene] | None
"""The scenes for all conditions that read scenes, or those of each condition by its name."""

Generators: TypeAlias = torch.Generator | list[torch.Generator] | None


def texts_of(given: Any, place: str) -> list[str]:
    """One text or several, as a list.

    Raises:
        InputError: there is none, or one is not a string.
    """
    texts = [given] if isinstance(given, str) or not isinstance(given, Sequence) else list(given)
    # Some JSON and file names hold lone surrogates, which tokenizers refuse.
    wrong = [
        text
        for text in texts
        if not isinstance(text, str) or any("\ud800" <= sign <= "\udfff" for sign in text)
    ]
    if wrong or not texts:
        problem = f"{wrong[0]!r} is not a text" if wrong else "there is none"
        raise InputError(problem, place=place, remedy="give a string or a list of strings")
    return texts


def graphs_by_condition(
    given: Any, conditions: Collection[str], argument: GraphArgument
) -> dict[str, list[Any]]:
    """The graphs of each condition, by its name, from one argument of the pipeline.

    Args:
        given: the argument's value; a mapping names conditions.
        conditions: those that read such graphs.
        argument: which argument it is.

    Raises:
        InputError: a condition does not exist or is not named, or a value is not a graph.
    """
    if given is None:
        return {}
    if not conditions:
        raise InputError(
            f"no condition of the model reads {argument.content}",
            place=argument.name,
            remedy=argument.alternative,
        )
    if not isinstance(given, Mapping):
        if len(conditions) > 1 and not argument.shared:
            raise InputError(
                "the model has several conditions",
                place=argument.name,
                remedy=f"give a mapping with keys {', '.join(conditions)}",
            )
        given = dict.fromkeys(conditions, given)
    for name in given:
        if name not in conditions:
            raise InputError(
                f"there is no condition '{name}' that reads {argument.content}",
                place=argument.name,
                remedy=did_you_mean(str(name), conditions),
            )
    return {name: argument.parse(value) for name, value in given.items()}


def graph_arguments(contexts: Mapping[str, Context] | None) -> dict[str, Any]:
    """The contexts of each condition, a row per prompt, as arguments of `GraphPipeline`."""
    arguments: dict[str, Any] = {}
    for name, context in (contexts or {}).items():
        arguments.setdefault(context.argument, {})[name] = context
    return arguments


def check_steps(steps: int, at_most: int) -> int:
    """``steps`` as an int, if the scheduler supports so many.

    Raises:
        InputError: it cannot.
    """
    steps = check_count(steps, "num_inference_steps")
    if steps > at_most:
        raise InputError(
            f"expected at most {at_most} steps, as many as the base's noise has, got {steps}",
            place="num_inference_steps",
            remedy=f"use {at_most} or fewer; 50 are plenty",
        )
    return steps


def check_count(count: int, place: str) -> int:
    """``count`` as an int, if it is a whole number, 1 or more.

    Raises:
        InputError: it is not.
    """
    try:
        number = None if isinstance(count, bool) else index(count)
    except TypeError:
        number = None
    if number is None:
        raise InputError(f"expected a whole number, got {count!r}", place=place, remedy="use 1 or more")
    if number < 1:
        raise InputError(f"expected at least 1, got {count}", place=place, remedy="use 1 or more")
    return number


def check_generators(generator: Generators, pictures: int) -> None:
    """Check that noise can be drawn from ``generator``.

    Raises:
        InputError: it is not a generator, or it is a list of another length.
    """
    each = generator if isinstance(generator, list) else [generator]
    if not all(one is None or isinstance(one, torch.Generator) for one in each):
        raise InputError(
            f"expected a torch.Generator, got a {type(generator).__name__}",
            place="generator",
            remedy="give a torch.Generator, or a list of one per picture",
        )
    if isinstance(generator, list) and len(generator) != pictures:
        raise InputError(
            f"expected one or {pictures} generators, got {len(generator)}",
            place="generator",
            remedy="give one, or one per picture",
        )


def check_choice(given: str, choices: Collection[str], place: str) -> None:
    """Check that ``given`` is one of ``choices``.

    Raises:
        InputError: it is not.
    """
    if given not in choices:
        raise InputError(f"there is no '{given}'", place=place, remedy=did_you_mean(str(given), choices))


def _as_graphs(given: Any) -> list[list[Image.Image] | NeighborFeatures]:
    """One graph of neighbors or several, as a list; one without pictures stays and is drawn as its null."""
    if isinstance(given, NeighborFeatures):
        return [given]
    items = _items(given)
    if all(isinstance(item, Image.Image) for item in items):
        return [items]
    if any(isinstance(item, Image.Image) for item in items):
        raise InputError(
            "pictures and other things are mixed",
            place="neighbors",
            remedy="give one list of pictures, or a list of lists",
        )
    return [item if isinstance(item, NeighborFeatures) else _pictures(item) for item in items]


def _pictures(graph: Any) -> list[Image.Image]:
    items = _items(graph)
    wrong = [item for item in items if not isinstance(item, Image.Image)]
    if wrong:
        raise _no_graph(wrong[0])
    return items


def _items(graph: Any) -> list[Any]:
    if isinstance(graph, Image.Image | str) or not isinstance(graph, Sequence):
        raise _no_graph(graph)
    return list(graph)


def _no_graph(found: object) -> InputError:
    return InputError(
        f"a graph is a list of pictures, not {type(found).__name__}",
        place="neighbors",
        remedy="give a list of opened pictures, such as [PIL.Image.open('one.png')]",
    )


def _as_scenes(given: Any) -> list[list[SceneGraph] | SceneFeatures]:
    """One graph, since all scenes of a condition are its rows."""
    if isinstance(given, SceneFeatures):
        return [given]
    scenes = list(given) if isinstance(given, list | tuple) else [given]
    wrong = [one for one in scenes if not isinstance(one, SceneGraph)]
    if wrong or not scenes:
        problem = f"a scene is a SceneGraph, not {type(wrong[0]).__name__}" if wrong else "there is none"
        raise InputError(
            problem,
            place="scene",
            remedy='give SceneGraph(["sky", "grass"], [[0, "above", 1]]), or a list with one per prompt',
        )
    return [scenes]


@dataclass(frozen=True)
class GraphArgument:
    """An argument of `GraphPipeline` that takes graphs.

    Args:
        name: of the argument.
        reads: the features that result; the argument is for conditions that read them.
        content: the word for the graphs that it takes.
        alternative: the remedy if no condition reads such graphs.
        parse: returns the graphs of one condition as a list: features, or lists of items to embed.
        shared: whether a value without names goes to all conditions.
        null: the graph beside the negative prompt in joint guidance; None for the condition's own null.
    """

    name: str
    reads: type[Context]
    content: str
    alternative: str
    parse: Callable[[Any], list[Any]]
    shared: bool
    null: Callable[[Any], Context] | None = None


NEIGHBORS = GraphArgument(
    name="neighbors",
    reads=NeighborFeatures,
    content="neighbors",
    alternative="give a scene instead (scene=, --scene)",
    parse=_as_graphs,
    shared=False,
    null=release_null,
)
SCENE = GraphArgument(
    name="scene",
    reads=SceneFeatures,
    content="scene graphs",
    alternative="give neighbors instead (neighbors=, --neighbors)",
    parse=_as_scenes,
    shared=True,
)


OutputType = Literal["pil", "np", "latent"]

Rows = TypeVar("Rows", NeighborFeatures, SceneFeatures)


@dataclass(frozen=True)
class PipelineOutput:
    """Pictures by ``output_type``: a list, an array (b, height, width, 3) with values in 0..1, or latents."""

    images: Any


class GraphPipeline:
    """Draws pictures with a graph-conditioned model.

    ``scheduler`` may be replaced by any of diffusers' schedulers that fits the base.

    Args:
        model: the model.
        extractor: embeds neighbor pictures (a CLIP) or the words of scene graphs (any text encoder);
            loaded from the recipe when first needed.
    """

    def __init__(self, model: GraphModel, extractor: PictureExtractor | WordExtractor | None = None) -> None:
        model.train(False)  # parts made by hand start in training mode, where dropout is on
        self.model = model
        self.scheduler = model.base.new_scheduler()
        self._given = extractor
        self._cut: set[str] = set()  # prompts that were said to be cut

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        *,
        device: torch.device | str = "cpu",
        base: Base | str | Path | None = None,
    ) -> GraphPipeline:
        """A pipeline from a saved model, or from a released checkpoint of InstructG2I.

        Args:
            name_or_folder: a folder, or an id on the Hugging Face hub.
            device: where to put everything.
            base: a loaded base to use in place of loading the model's, or the folder where its base is now.

        Raises:
            InputError: no such model, or one that cannot be loaded.
        """
        return cls(GraphModel.from_pretrained(name_or_folder, device=device, base=base))

    @classmethod
    def from_parts(
        cls, base: Base, *conditions: Condition, extractor: PictureExtractor | WordExtractor
    ) -> GraphPipeline:
        """A pipeline composed by hand, without a recipe. It draws; to save it, write a recipe.

        Args:
            base: the frozen base.
            conditions: the conditions of the base.
            extractor: whose embeddings the encoders read.
        """
        return cls(GraphModel(base, conditions, feature_width=extractor.width), extractor)

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the model; see `GraphModel.save_pretrained`."""
        self.model.save_pretrained(folder)

    def push_to_hub(self, repo_id: str, **options: Any) -> str:
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

    @torch.no_grad()
    def __call__(
        self,
        prompt: str | Sequence[str],
        neighbors: Graphs = None,
        *,
        scene: Scenes = None,
        negative_prompt: str | Sequence[str] | None = None,
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
        generator: Generators = None,
        latents: Float[Tensor, "b channels h w"] | None = None,
        output_type: OutputType = "pil",
        on_step: Progress | None = None,
    ) -> PipelineOutput:
        """Draw one or more pictures for each prompt.

        Args:
            prompt: one prompt or several.
            neighbors: one graph: a list of pictures, or their embeddings as `NeighborFeatures` with a row
                per prompt. Several graphs in one picture: a list of those. With several prompts, a list of
                lists of pictures is a graph for each prompt; several graphs in every picture are given as
                features then. For a model with several conditions: a mapping from a condition's name to its
                graph or graphs. None draws without graph.
            scene: a scene graph for all pictures, or one for each prompt (a single prompt is repeated); or
                their `SceneFeatures` with a row per prompt. For conditions that read different scenes: a
                mapping from their names. None draws without.
            negative_prompt: the text of the unconditional branch, one or one each; empty unless given.
            guidance_scale: s_T; the recipe's unless given.
            graph_guidance_scale: s_G, one for all graphs or one each; the recipe's unless given.
            guidance_mode: ``separate`` or ``joint``; see `GraphGuidance`.
            guidance_rescale: 0..1; see `GraphGuidance`.
            guidance_start: fraction of the steps from which graphs steer.
            guidance_end: fraction of the steps up to which they do.
            batched: all guidance branches in one denoiser call, or one after another to save memory.
            num_inference_steps: denoising steps.
            num_images_per_prompt: pictures of each prompt.
            height: in pixels; that of ``latents`` or the base's own unless given.
            width: in pixels, likewise.
            generator: of the initial noise (and of a scheduler that draws noise).
            latents: initial noise, standard normal, in place of drawing it.
            output_type: ``pil`` pictures, an ``np`` array in 0..1, or the final ``latent``.
            on_step: called after each step with its number and the number of steps.

        Raises:
            InputError: an argument has a wrong type or value, sizes or graphs do not fit, or the scales
                are so large that the picture has no finite values.
        """
        check_choice(output_type, get_args(OutputType), "output_type")
        self.model.base.process.check_scheduler(self.scheduler)
        steps = check_steps(num_inference_steps, self.scheduler.config.num_train_timesteps)
        copies = check_count(num_images_per_prompt, "num_images_per_prompt")
        ours = self.model.guidance
        mode = ours.mode if guidance_mode is None else guidance_mode
        check_choice(mode, ("separate", "joint"), "guidance_mode")
        given = {
            argument: graphs_by_condition(value, self.model.reading(argument.reads), argument)
            for argument, value in ((NEIGHBORS, neighbors), (SCENE, scene))
        }
        prompts = texts_of(prompt, "prompt")
        if isinstance(prompt, str) and given[SCENE]:
            (some,) = next(iter(given[SCENE].values()))
            prompts *= len(some) if isinstance(some, list) else some.present.shape[0]
        text, empty = self._encode(prompts, "" if negative_prompt is None else negative_prompt, copies)
        graphs = self._guided(given, text, empty, joint=mode == "joint", copies=copies)

        def number(value: Any, default: float, name: str) -> float:
            return default if value is None else as_number(value, name)

        guidance = GraphGuidance(
            graphs=self._scales(graphs, graph_guidance_scale),
            conditions=tuple(graph.condition.name for graph in graphs),
            text=number(guidance_scale, ours.text, "guidance_scale"),
            mode=mode if graphs else "separate",
            rescale=number(guidance_rescale, ours.rescale, "guidance_rescale"),
            start=number(guidance_start, ours.start, "guidance_start"),
            end=number(guidance_end, ours.end, "guidance_end"),
            batched=batched,
        )
        initial = self._initial_latents(text.ids.shape[0], height, width, generator, latents)
        model = self.model
        caller = BranchCaller(model.base, model.conditions, text, empty, graphs, lora=model.lora)
        final = self._denoise(initial, caller, guidance, steps, generator, on_step)
        return PipelineOutput(final if output_type == "latent" else self._pictures(final, output_type))

    def embed(
        self, pictures: Sequence[Image.Image], relations: Sequence[str] | None = None
    ) -> NeighborFeatures:
        """The embeddings of one graph's neighbor pictures, for one target.

        Args:
            pictures: of the neighbors.
            relations: the edge type between each and the target, or ""; for encoders with ``relations``.

        Raises:
            InputError: there are more or fewer relations than pictures.
        """
        rows = np.zeros((0, self.model.feature_width), np.float32)
        if _pictures(pictures):
            rows = self.extractor.embed_pictures(pictures)
        features = torch.from_numpy(np.asarray(rows, np.float32))[None]
        present = torch.ones(features.shape[:2], dtype=torch.bool)
        if relations is None:
            return NeighborFeatures(features, present).to(self.model.device)
        if len(relations) != len(pictures):
            raise InputError(
                f"expected {len(pictures)} relations, one for each picture, got {len(relations)}",
                place="relations",
                remedy="give one each",
            )
        names = tuple(sorted({*relations} - {""}))
        ids = torch.tensor([[("", *names).index(relation) for relation in relations]], dtype=torch.long)
        return NeighborFeatures(features, present, ids, names).to(self.model.device)

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

    def _encode(
        self, prompts: Sequence[str], negative: str | Sequence[str], copies: int
    ) -> tuple[TextTokens, TextTokens]:
        negatives = texts_of(negative, "negative_prompt")
        if isinstance(negative, str):
            negatives *= len(prompts)
        if len(negatives) != len(prompts):
            raise InputError(
                f"expected one or {len(prompts)} negative prompts, got {len(negatives)}",
                place="negative_prompt",
                remedy="give one, or one each",
            )
        self.warn_of_cut([*prompts, *negatives])
        encode = self.model.base.encode_prompt
        return encode(_repeated(prompts, copies)), encode(_repeated(negatives, copies))

    def _guided(
        self,
        given: Mapping[GraphArgument, Mapping[str, list[Any]]],
        text: TextTokens,
        empty: TextTokens,
        *,
        joint: bool,
        copies: int,
    ) -> list[GuidedGraph]:
        """The signal of every graph that was given, and beside the negative prompt that of its null."""
        guided = []
        for argument, by_condition in given.items():
            for name, graphs in by_condition.items():
                condition = self.model.conditions[name]
                for graph in self._one_each(graphs, text.ids.shape[0] // copies):
                    context = self._context(graph, argument, name)
                    context = _one_row_each(context, text.ids.shape[0], copies, argument.name)
                    if joint and argument.null is not None:
                        unconditional: Signal | None = condition.signal(argument.null(context), empty)
                    else:
                        unconditional = condition.null_signal(empty)
                    signal = condition.signal(context, text)
                    values = signal.tokens if isinstance(signal, GraphTokens) else signal.features
                    if not values[signal.present].isfinite().all():
                        raise InputError(
                            f"the encoder of the condition '{name}' gives values that are not finite",
                            place=argument.name,
                            remedy="train the model again, or give embeddings of a usual size",
                        )
                    guided.append(GuidedGraph(condition, signal, unconditional))
        return guided

    def _one_each(self, graphs: list[Any], prompts: int) -> list[Any]:
        """The graphs of one condition; lists of pictures for several prompts as one graph with a row each."""
        if prompts == 1 or len(graphs) == 1 or all(isinstance(graph, NeighborFeatures) for graph in graphs):
            return graphs
        if len(graphs) != prompts or any(isinstance(graph, NeighborFeatures) for graph in graphs):
            raise InputError(
                f"expected one graph, or a list of pictures for each of {prompts} prompts, got {len(graphs)}",
                place="neighbors",
                remedy="to show several graphs in every picture, give their features: "
                "[pipe.embed(one), pipe.embed(other)]",
            )
        rows = [self.embed(pictures) for pictures in graphs]
        most = max(row.present.shape[1] for row in rows)

        def padded(tensor: Tensor) -> Tensor:
            return torch.cat([tensor, tensor.new_zeros(1, most - tensor.shape[1], *tensor.shape[2:])], dim=1)

        return [
            NeighborFeatures(
                torch.cat([padded(row.embeddings) for row in rows]),
                torch.cat([padded(row.present) for row in rows]),
            )
        ]

    def _context(self, graph: Any, argument: GraphArgument, condition: str) -> Any:
        """A graph as the condition's encoder reads it, embedded unless it is so already."""
        if argument is SCENE:
            features = self.read(graph, condition) if isinstance(graph, list) else graph
            self._check_features(features, features.nodes, argument)
            return features.to(self.model.device)
        features = self.embed(graph) if isinstance(graph, list) else graph
        self._check_features(features, features.embeddings, argument)
        given = int(features.present.sum(dim=1).max()) if features.present.numel() else 0
        most = self.model.most_neighbors(condition)
        if most is not None and given > most:
            raise InputError(
                f"expected at most {most} neighbors of one target, as in training, got {given}",
                place="neighbors",
                remedy=f"give {most} or fewer",
            )
        return features.to(self.model.device)

    def _check_features(self, features: Context, embeddings: Tensor, argument: GraphArgument) -> None:
        present, wanted = features.present, self.model.feature_width
        if embeddings.ndim != 3 or present.shape != embeddings.shape[:2] or present.dtype != torch.bool:
            raise InputError(
                f"expected embeddings (rows, n, width) and present (rows, n) as bool, got "
                f"{tuple(embeddings.shape)} and {tuple(present.shape)} as {present.dtype}",
                place=argument.name,
                remedy="give each target a row",
            )
        if embeddings.shape[-1] != wanted:
            raise InputError(
                f"embeddings are {embeddings.shape[-1]} wide, the model reads {wanted}",
                place=argument.name,
                remedy="use the features that the model was trained with",
            )
        fault = features.fault()
        if fault is not None:
            raise InputError(fault, place=argument.name, remedy="correct it or leave it out")

    def _scales(
        self, graphs: Sequence[GuidedGraph], given: float | Sequence[float] | None
    ) -> tuple[float, ...]:
        if given is None:
            return tuple(self.model.guidance.graph_scale(graph.condition.name) for graph in graphs)
        several = isinstance(given, list | tuple) or getattr(given, "ndim", 0) > 0
        values = list(cast("Iterable[Any]", given)) if several else [given] * len(graphs)
        scales = tuple(as_number(value, "graph_guidance_scale") for value in values)
        if len(scales) != len(graphs):
            raise InputError(
                f"expected {len(graphs)} scales, one for each graph, got {len(scales)}",
                place="graph_guidance_scale",
                remedy="give one scale per graph",
            )
        return scales

    def _initial_latents(
        self, count: int, height: int | None, width: int | None, generator: Generators, latents: Tensor | None
    ) -> Tensor:
        base = self.model.base
        if latents is not None and not (isinstance(latents, Tensor) and latents.isfinite().all()):
            raise InputError("expected a tensor of finite numbers", place="latents", remedy="leave it out")
        drawn = [None, None] if latents is None or latents.ndim != 4 else [*latents.shape[2:]]
        sides = self._side("height", height, drawn[0]), self._side("width", width, drawn[1])
        shape = (count, *base.latent_shape(*sides))
        check_generators(generator, count)
        if latents is None:
            return randn_tensor(shape, generator=generator, device=base.device, dtype=base.dtype)
        if tuple(latents.shape) != shape:
            raise InputError(f"expected the shape {shape}, got {tuple(latents.shape)}", place="latents")
        return latents.to(base.device, base.dtype)

    def _side(self, name: str, pixels: int | None, drawn: int | None) -> int:
        """The requested side in pixels, else that of the given latents, else the base's own."""
        facts = self.model.base.facts
        if pixels is None:
            given = (drawn or 0) * facts.pixels_per_latent
            return given if given and given % facts.multiple == 0 else facts.default_size
        pixels = check_count(pixels, name)
        if pixels % facts.multiple:
            raise InputError(
                f"{pixels} pixels do not fit the base",
                place=name,
                remedy=f"use a multiple of {facts.multiple}",
            )
        return pixels

    def _denoise(
        self,
        latents: Tensor,
        caller: BranchCaller,
        guidance: GraphGuidance,
        steps: int,
        generator: Generators,
        on_step: Progress | None,
    ) -> Tensor:
        size = latents.shape[2], latents.shape[3]
        # A scheduler keeps state from step to step, and several threads may draw with one pipeline.
        scheduler = deepcopy(self.scheduler)
        self.model.base.process.set_timesteps(scheduler, steps, device=latents.device, size=size)
        timesteps = scheduler.timesteps
        latents = latents * getattr(scheduler, "init_noise_sigma", 1.0)  # flow matching starts at 1
        scaled = getattr(scheduler, "scale_model_input", lambda sample, timestep: sample)
        draws = "generator" in signature(scheduler.step).parameters
        options = {"generator": generator} if draws else {}
        for number, timestep in enumerate(timesteps):
            sample = scaled(latents, timestep)
            prediction = guidance.predict(number / len(timesteps), partial(caller, sample, timestep))
            try:
                latents = scheduler.step(prediction, timestep, latents, **options).prev_sample
            except (AttributeError, IndexError, TypeError, ValueError) as error:
                raise InputError(
                    f"{type(scheduler).__name__} cannot make a step ({str(error).splitlines()[0]})",
                    place="scheduler",
                    remedy="use one of diffusers' Stable Diffusion pipelines, such as DDIMScheduler",
                ) from error
            if on_step is not None:
                on_step(number + 1, len(timesteps))
        if not latents.isfinite().all():
            raise InputError(
                "the picture has no finite values",
                place="guidance",
                remedy="use lower scales, or another scheduler",
            )
        return latents

    def _pictures(self, latents: Tensor, output_type: str) -> Any:
        pixels = self.model.base.decode_latents(latents).cpu().numpy()
        if not np.isfinite(pixels).all():
            raise InputError(
                "the decoded picture has values that are not finite",
                place="base",
                remedy="set base.dtype to bf16 or fp32",
            )
        if output_type == "np":
            return ((pixels + 1) / 2).clip(0, 1).transpose(0, 2, 3, 1)
        return [from_pixels(picture) for picture in pixels]


def _one_row_each(features: Rows, rows: int, copies: int, place: str) -> Rows:
    have = features.has_graph.shape[0]
    if have == rows:
        return features
    if have not in (1, rows // copies):
        raise InputError(
            f"expected {rows} graphs, one for each picture, got {have}",
            place=place,
            remedy="give one row or scene per prompt",
        )
    times = rows if have == 1 else copies
    return features.select(torch.arange(have, device=features.present.device).repeat_interleave(times))


def _repeated(items: Sequence[str], times: int) -> list[str]:
    return [item for item in items for _ in range(times)]
