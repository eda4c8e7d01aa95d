"""graphcond generate: pictures from a prompt and graphs, or from scene graphs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from graphcond.cli.options import MAX_SEED, row_of
from graphcond.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import Progress, Watch
    from graphcond.types import NeighborFeatures, SceneGraph

LONGEST = 2048
"""Neighbor pictures are read at most this large; CLIP looks at far fewer pixels."""

SCENES_AT_ONCE = 8
"""Scenes that are drawn in one go."""

_TOGETHER = "\0"
"""Joins the values that stand after one ``--neighbors``; no file name can hold it."""


class ManyValues(TyperCommand):
    """A command whose ``--neighbors`` and ``--graph-scale`` take all values up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Gather the values, then parse as ever."""
        return super().parse_args(ctx, gather(args))


def gather(args: Sequence[str]) -> list[str]:
    """``--neighbors a b`` as one value, ``--graph-scale 1 2`` as the option given twice.

    Raises:
        InputError: no value stands after one of them.
    """
    gathered: list[str] = []
    rest = list(args)
    while rest:
        option = rest.pop(0)
        if option not in ("--neighbors", "--graph-scale"):
            gathered.append(option)
            continue
        values = []
        while rest and (not rest[0].startswith("-") or _is_number(rest[0])):
            values.append(rest.pop(0))
        if not values:
            raise InputError(
                "needs a value", place=option, remedy="name one or more after it, or leave it out"
            )
        if option == "--neighbors":
            gathered += [option, _TOGETHER.join(values)]
        else:
            gathered += [part for value in values for part in (option, value)]
    return gathered


def generate(
    model: Annotated[str, typer.Argument(help="Folder of a trained model, or a hub id.")],
    prompt: Annotated[
        str | None, typer.Option(help="The text; with --graph the target's own unless given.")
    ] = None,
    graph: Annotated[
        Path | None, typer.Option(help="A graph folder, or any source that `data build` reads.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="Id of the node to make a picture for. Repeat to mix graphs.")
    ] = None,
    neighbors: Annotated[
        list[str] | None,
        typer.Option(metavar="IMG ...", help="Pictures of one graph. Repeat the option for another graph."),
    ] = None,
    scene: Annotated[
        Path | None, typer.Option(help="A scene graph as JSON, or a list of them: a sheet of all pictures.")
    ] = None,
    index: Annotated[
        int | None, typer.Option(min=0, help="Which scene of the file, counted from 0; all unless given.")
    ] = None,
    negative_prompt: Annotated[str, typer.Option(help="What to keep away from.")] = "",
    text_scale: Annotated[float | None, typer.Option(help="s_T, how strongly the text steers.")] = None,
    graph_scale: Annotated[
        list[float] | None, typer.Option(metavar="S ...", help="s_G, one for all graphs or one each.")
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="separate, or joint: one scale for text and graph.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 50,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Decides the initial noise.")] = 0,
    size: Annotated[int | None, typer.Option(help="Side in pixels; the base's own unless given.")] = None,
    device: Annotated[
        str | None, typer.Option(help="cuda, mps or cpu; the best there is unless given.")
    ] = None,
    out: Annotated[Path, typer.Option(help="The picture to write.")] = Path("picture.png"),
    as_json: Annotated[bool, typer.Option("--json", help="Print what was made as JSON.")] = False,
) -> None:
    """Draw a picture for a prompt and its graph: a node of a graph folder, a few pictures, or a scene graph.

    For example:

        graphcond generate outputs/demo/model --prompt "a star" --neighbors one.png two.png

        graphcond generate outputs/demo/model --graph outputs/demo/graph --target 000012 --graph-scale 3

        graphcond generate outputs/scenes/sgcond-v/final --scene scene.json --seed 3
    """
    from graphcond.cli.options import pick_device
    from graphcond.progress import progress_bars

    _one_source(prompt, graph, target, neighbors, scene)
    if index is not None and scene is None:
        raise InputError("names a scene, but no file", place="--index", remedy="add --scene FILE")
    scenes = [] if scene is None else _scenes(scene, index)
    kind, guidance_mode = _picture_format(out), _mode(mode)
    with progress_bars() as watch:
        loaded = watch("loading")
        loaded(0, 1)
        pipe = _load(model, pick_device(device))
        loaded(1, 1)
        graphs: list[NeighborFeatures] = []
        if graph is not None:
            graphs, text = _from_graph(pipe, graph, target or [], watch)
        elif scenes:
            text = _scene_prompt(pipe)
        else:
            graphs, text = _from_pictures(pipe, neighbors or []), ""
        pictures = _draw(
            pipe,
            prompt if prompt is not None else text,
            graphs,
            scenes,
            watch,
            negative_prompt=negative_prompt,
            guidance_scale=text_scale,
            graph_guidance_scale=_one_or_each(graph_scale),
            guidance_mode=guidance_mode,
            num_inference_steps=steps,
            height=size,
            width=size,
            seed=seed,
        )
    made = {
        "out": str(out),
        "prompt": prompt if prompt is not None else text,
        "graphs": len(graphs) or len(scenes),
        "seed": seed,
    }
    _write(pictures[0] if len(pictures) == 1 else _sheet(scenes, pictures), out, kind, made)
    print(
        json.dumps(made)
        if as_json
        else f"{out}: '{made['prompt']}' with {made['graphs']} graph(s), seed {seed}"
    )


def _one_source(
    prompt: str | None,
    graph: Path | None,
    target: list[str] | None,
    neighbors: list[str] | None,
    scene: Path | None,
) -> None:
    if scene is not None and (graph is not None or neighbors):
        raise InputError(
            "give a scene or a graph of pictures, not both",
            place="--scene",
            remedy="drop one; a model with both kinds of conditions is used from Python",
        )
    if graph is not None and neighbors:
        raise InputError(
            "give a graph or neighbors, not both", place="--graph, --neighbors", remedy="drop one"
        )
    if graph is not None and not target:
        raise InputError("says which graph, but not which node", place="--graph", remedy="add --target ID")
    if target and graph is None:
        raise InputError("names a node, but no graph", place="--target", remedy="add --graph DIR")
    if prompt is None and graph is None and scene is None:
        raise InputError("is missing", place="--prompt", remedy="say what to draw")


def _scenes(file: Path, index: int | None) -> list[SceneGraph]:
    """All scenes of a file, or one of them."""
    from graphcond.scenes import read_scenes

    scenes = read_scenes(file)
    if index is None:
        return list(scenes)
    if index >= len(scenes):
        raise InputError(
            f"there is no scene {index}", place=file, remedy=f"count from 0 to {len(scenes) - 1}"
        )
    return [scenes[index]]


def _scene_prompt(pipe: GraphPipeline) -> str:
    """The prompt that the model was trained with."""
    return str(getattr(pipe.model.recipe.data, "prompt", "an image"))


def _sheet(scenes: Sequence[SceneGraph], pictures: Sequence[Any]) -> Any:
    """Each graph beside its picture."""
    from graphcond.scenes import draw_graph
    from graphcond.sheets import contact_sheet

    size = max(256, pictures[0].height)
    rows = [(draw_graph(scene, size), picture) for scene, picture in zip(scenes, pictures, strict=True)]
    numbers = [str(number) for number in range(len(rows))]
    return contact_sheet(rows, row_labels=numbers, column_labels=("graph", "picture"), cell=size)


def _load(model: str, device: Any) -> GraphPipeline:
    from graphcond.pipeline import GraphPipeline

    return GraphPipeline.from_pretrained(model, device=device)


def _from_pictures(pipe: GraphPipeline, groups: Sequence[str]) -> list[NeighborFeatures]:
    from graphcond.pictures import open_picture

    return [
        pipe.embed([open_picture(Path(name), longest=LONGEST) for name in group.split(_TOGETHER)])
        for group in groups
    ]


def _from_graph(
    pipe: GraphPipeline, folder: Path, targets: Sequence[str], watch: Watch
) -> tuple[list[NeighborFeatures], str]:
    """One graph per target, and the first target's text."""
    from graphcond.data import contexts_of, embed_data
    from graphcond.graphs import load_graph

    graph = load_graph(folder)
    rows = [row_of(graph, node, folder) for node in targets]
    recipe = pipe.model.recipe
    embeddings = embed_data(recipe, graph, device=pipe.model.device, progress=watch("embedding the graph"))
    contexts = contexts_of(recipe, graph, embeddings)
    if len(contexts) > 1:
        raise InputError("the model has several conditions", place="--graph", remedy="use it from Python")
    (source,) = contexts.values()
    graphs = []
    for row, node in zip(rows, targets, strict=True):
        context = source.sample(_array([row]))
        if not context.present.any():
            raise InputError(
                f"the node '{node}' has no neighbors", place=folder, remedy="choose another, or --neighbors"
            )
        graphs.append(source.features(context))
    return graphs, graph.nodes.texts[rows[0]]


def _array(rows: list[int]) -> Any:
    import numpy as np

    return np.array(rows, np.int64)


def _one_or_each(scales: list[float] | None) -> float | list[float] | None:
    return scales[0] if scales and len(scales) == 1 else scales


def _mode(mode: str | None) -> Any:
    if mode not in (None, "separate", "joint"):
        raise InputError(
            f"there is no mode '{mode}'", place="--mode", remedy=did_you_mean(mode, ["separate", "joint"])
        )
    return mode


def _draw(
    pipe: GraphPipeline,
    prompt: str,
    graphs: Sequence[NeighborFeatures],
    scenes: Sequence[SceneGraph],
    watch: Watch,
    *,
    seed: int,
    **options: Any,
) -> list[Any]:
    """One picture, or one for each scene, all from the same noise, `SCENES_AT_ONCE` at a time."""
    import torch

    pictures: list[Any] = []
    starts = range(0, max(len(scenes), 1), SCENES_AT_ONCE)
    for go, start in enumerate(starts):
        part = list(scenes[start : start + SCENES_AT_ONCE])
        noise = [torch.Generator("cpu").manual_seed(seed) for _ in range(max(len(part), 1))]
        pictures += pipe(
            prompt,
            list(graphs) or None,
            scene=part or None,
            generator=noise,
            on_step=_share(watch("drawing"), go, len(starts)),
            **options,
        ).images
    return pictures


def _share(progress: Progress, go: int, goes: int) -> Progress:
    """What counts the steps of one go, as those of all goes together."""
    return lambda step, steps: progress(go * steps + step, goes * steps)


def _picture_format(out: Path) -> str:
    """What the file's name says it is, in Pillow's words, if it can be written."""
    from PIL import Image

    from graphcond.files import check_writable

    kind = Image.registered_extensions().get(out.suffix.lower())
    if kind is None:
        raise InputError("is no picture format", place=f"--out {out}", remedy="end the name in .png or .jpg")
    check_writable(out)
    return kind


def _write(picture: Any, out: Path, kind: str, made: dict[str, Any]) -> None:
    """The picture; in a PNG also what made it."""
    from PIL.PngImagePlugin import PngInfo

    from graphcond.files import atomic_file

    note = PngInfo()
    note.add_itxt("graphcond", json.dumps(made))
    with atomic_file(out) as temporary:
        picture.save(temporary, format=kind, **({"pnginfo": note} if kind == "PNG" else {}))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
