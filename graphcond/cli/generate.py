"""graphcond generate: pictures from a prompt and graphs, or from scene graphs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphcond.cli.asked import Asked
from graphcond.cli.guidance_settings import guidance_settings
from graphcond.cli.many_values import apart
from graphcond.cli.options import (
    LOCAL,
    MAX_SEED,
    AsJson,
    BaseFolder,
    Device,
    Model,
    On,
    RayWorkers,
    TrustRemoteCode,
)
from graphcond.errors import InputError, did_you_mean
from graphcond.io.terminal import say

if TYPE_CHECKING:
    from graphcond.context import NeighborFeatures
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import Progress, Watch
    from graphcond.scene_graph import SceneGraph

SCENES_AT_ONCE = 8
"""Scenes that are drawn in one batch."""


def generate(
    model: Model,
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
    targets: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SPLIT",
            help="Many nodes or scenes: a file of ids, a split, or all. Writes a folder; can be restarted.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Pictures of --targets that are drawn at once.")] = 8,
    on: On = LOCAL,
    workers: RayWorkers = None,
    image: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A picture to start from, instead of noise.")
    ] = None,
    strength: Annotated[
        float | None, typer.Option(help="0..1, how little is kept of --image; 0.8, and 1 with --mask.")
    ] = None,
    mask: Annotated[
        Path | None, typer.Option(metavar="FILE", help="White where --image is drawn anew; of its size.")
    ] = None,
    negative_prompt: Annotated[str, typer.Option(help="What to keep away from.")] = "",
    text_scale: Annotated[float | None, typer.Option(help="s_T, how strongly the text steers.")] = None,
    graph_scale: Annotated[
        list[float] | None,
        typer.Option(metavar="S ...", help="s_G, one for all graphs or one each; none in mode joint."),
    ] = None,
    mode: Annotated[
        str | None, typer.Option(help="separate, or joint: one scale for text and graph.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="GUIDANCE.A=B", help="Change a setting of guidance, such as guidance.reuse=2."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.")] = 50,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED, help="Decides the initial noise.")] = 0,
    size: Annotated[int | None, typer.Option(help="Side in pixels; the base's own unless given.")] = None,
    base: BaseFolder = None,
    device: Device = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The picture to write; picture.png, or with --targets the folder pictures."),
    ] = None,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Draw a picture for a prompt and its graph: a node of a graph folder, a few pictures, or a scene graph.

    For example:

        graphcond generate outputs/demo/model --prompt "a star" --neighbors one.png two.png

        graphcond generate outputs/demo/model --graph outputs/demo/graph --target 000012 --graph-scale 3

        graphcond generate outputs/scenes/sgcond-v/final --scene scene.json --seed 3

        graphcond generate outputs/demo/model --prompt "a star" --image a.png --mask hole.png

        graphcond generate outputs/demo/model --graph outputs/demo/graph --targets test --out pictures
    """
    modes = ["separate", "joint"]
    if mode is not None and mode not in modes:
        raise InputError(f"there is no mode '{mode}'", place="--mode", remedy=did_you_mean(mode, modes))
    guided = guidance_settings(set_)
    if targets is not None:
        from graphcond.cli.draw_targets import Loading, check_alone, draw_targets
        from graphcond.precompute.places import place_named

        single = {"prompt": prompt, "target": target, "neighbors": neighbors, "scene": scene}
        check_alone(**single, index=index is not None, image=image, mask=mask, strength=strength is not None)
        if graph_scale and len(graph_scale) > 1:
            problem = f"expected one scale for all targets, got {len(graph_scale)}"
            raise InputError(problem, place="--graph-scale", remedy="give one")
        settings = {
            "steps": steps,
            "text_scale": text_scale,
            "graph_scale": graph_scale[0] if graph_scale else None,
            "mode": mode,
            "resolution": size,
            "negative_prompt": negative_prompt or None,
            "guidance": guided or None,
        }
        local, home = Path(model), None if base is None else base.absolute()
        name = str(local.absolute()) if local.is_dir() else model
        draw_targets(
            targets,
            out or Path("pictures"),
            Loading(name, batch, seed, settings, device, home, trust_remote_code),
            graph=graph,
            place=place_named(on, workers, gpu=device != "cpu"),
            as_json=as_json,
        )
        return
    if on != LOCAL or workers is not None:
        raise InputError("only many targets are divided", place="--on, --workers", remedy="add --targets")
    out = out or Path("picture.png")
    from PIL.PngImagePlugin import PngInfo

    from graphcond.io.files import check_writable
    from graphcond.io.pictures import picture_format, write_picture
    from graphcond.io.tensors import pick_device
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import during, progress_bars

    asked = Asked(prompt, graph, target or (), [apart(group) for group in neighbors or ()], scene, index)
    scenes, kind = asked.scenes(), picture_format(out)
    check_writable(out)
    options: dict[str, Any] = {
        "image": image,
        "mask_image": mask,
        "strength": strength,
        "negative_prompt": negative_prompt,
        "guidance_scale": text_scale,
        "graph_guidance_scale": graph_scale[0] if graph_scale and len(graph_scale) == 1 else graph_scale,
        "guidance_mode": mode,
        "num_inference_steps": steps,
        "height": size,
        "width": size,
        **{f"guidance_{name}": value for name, value in guided.items()},
    }
    with progress_bars() as watch:
        with during(watch, "loading"):
            pipe = GraphPipeline.from_pretrained(
                model,
                device=pick_device(device, place="--device"),
                base=base,
                trust_remote_code=trust_remote_code,
            )
        text, graphs = asked.prompt_and_graphs(pipe, watch)
        pictures = _draw(pipe, text, graphs, scenes, watch, seed=seed, **options)
    if image is not None and mask is not None:
        pictures = [_into(one, image, mask) for one in pictures]
    made = {"out": str(out), "prompt": text, "graphs": len(graphs) or len(scenes), "seed": seed}
    note = PngInfo()  # a PNG also holds the settings that produced it
    note.add_itxt("graphcond", json.dumps(made))
    picture = pictures[0] if len(pictures) == 1 else _sheet(scenes, pictures)
    write_picture(out, picture, **({"pnginfo": note} if kind == "PNG" else {}))
    predictions = float(pipe.predictions_made.mean())
    if as_json:
        say(json.dumps({**made, "predictions": predictions}))
    else:
        say(
            f"{out}: '{text}' with {made['graphs']} graph(s), seed {seed}, "
            f"{predictions:g} predictions of the denoiser"
        )


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
        bar = watch("drawing (steps)")

        def count(step: int, steps: int, bar: Progress = bar, go: int = go) -> None:
            bar(go * steps + step, len(starts) * steps)  # one bar for all goes

        part = list(scenes[start : start + SCENES_AT_ONCE])
        noise = [torch.Generator("cpu").manual_seed(seed) for _ in range(max(len(part), 1))]
        pictures += pipe(
            prompt,
            list(graphs) or None,
            scene=part or None,
            generator=noise,
            on_step=count,
            **options,
        ).images
    return pictures


def _into(drawn: Any, image: Path, mask: Path) -> Any:
    """The drawn picture where the mask is white, and the given one elsewhere, which decoding would change."""
    from PIL import Image

    from graphcond.io.pictures import open_picture

    kept, hole = (open_picture(file).resize(drawn.size) for file in (image, mask))
    return Image.composite(drawn, kept, hole.convert("L"))


def _sheet(scenes: Sequence[SceneGraph], pictures: Sequence[Any]) -> Any:
    """Each graph beside its picture, and its boxes between them where any scene has some."""
    from graphcond.drawing.sheets import contact_sheet
    from graphcond.scenes import draw_boxes, draw_graph, readable_size

    size = max(pictures[0].height, *(readable_size(scene) for scene in scenes))
    boxed = any(scene.boxes for scene in scenes)
    rows = []
    for scene, picture in zip(scenes, pictures, strict=True):
        boxes = [draw_boxes(scene, size) if scene.boxes else None] if boxed else []
        rows.append([draw_graph(scene, size), *boxes, picture])
    numbers = [str(number) for number in range(len(rows))]
    heads = ("graph", "boxes", "picture") if boxed else ("graph", "picture")
    return contact_sheet(rows, row_labels=numbers, column_labels=heads, cell=size)
