"""``graphcond scene``: scene graphs drawn, counted, and written for other models."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli.options import AsJson, SkipBadRows
from graphcond.errors import InputError, at, did_you_mean
from graphcond.io.terminal import console, facts, say

if TYPE_CHECKING:
    from PIL import Image

    from graphcond.scene_graph import SceneGraph
    from graphcond.scenes import SceneReport

app = typer.Typer(
    help="Draw scene graphs, count what is in them, and write them for other models.", no_args_is_help=True
)

COLUMNS = 4
"""Pictures side by side on a contact sheet."""

MOST_SHOWN = 24
"""Scenes on one contact sheet."""

CELL = 400
"""Side of a picture on a contact sheet, in pixels."""

Source = Annotated[
    Path,
    typer.Argument(
        metavar="SOURCE",
        help="A scene graph as JSON or JSON Lines, SGCond's data.json, a LAION-SG file, or a folder of "
        "Visual Genome, sg2im, COCO-Stuff, LAION-SG or scenes.",
    ),
]


@app.command()
def show(
    source: Source,
    out: Annotated[Path, typer.Option("--out", metavar="PNG", help="The picture to write.")],
    index: Annotated[
        int | None, typer.Option("--index", min=0, help="Which scene of several, counted from 0.")
    ] = None,
    size: Annotated[int, typer.Option("--size", min=64, max=4096, help="Side of a graph in pixels.")] = 640,
) -> None:
    """Draw a scene graph, and its boxes where they are known; several scenes become a contact sheet.

    For example:

        graphcond scene show scene.json --out graph.png

        graphcond scene show scenes.json --out third.png --index 2
    """
    from graphcond.io.files import check_writable
    from graphcond.io.pictures import write_picture
    from graphcond.scenes import draw_graph, read_scene, read_scenes

    if out.suffix.lower() != ".png":
        raise InputError(f"'{out.name}' is not a PNG file", place="--out", remedy="end its name in .png")
    check_writable(out)
    scenes = read_scenes(source) if index is None else [read_scene(source, index)]
    picture = draw_graph(scenes[0], size, boxes=True) if len(scenes) == 1 else _sheet(scenes, source.name)
    write_picture(out, picture)
    shown = min(len(scenes), MOST_SHOWN)
    rest = f" of {len(scenes)} (choose others with --index)" if shown < len(scenes) else ""
    say(f"{out}: {shown} {'scene' if shown == 1 else 'scenes'}{rest}")


@app.command()
def inspect(
    source: Source,
    pictures: Annotated[
        Path | None, typer.Option("--pictures", metavar="DIR", help="Folder of the pictures.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", help="The format, where its content does not tell.")
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    as_json: AsJson = False,
) -> None:
    """Count scenes, objects, predicates and their classes, and say what looks wrong.

    For example:

        graphcond scene inspect visual_genome/ --pictures VG/
    """
    from graphcond.scenes import inspect_scenes

    report = inspect_scenes(source, format=format_, pictures=pictures, skip_bad_rows=skip_bad_rows)
    if as_json:
        say(json.dumps(asdict(report), indent=2, ensure_ascii=False))
        return
    console().print(facts(str(source), _rows(report)))
    for note in report.notes:
        say(f"note: {note}")


@app.command()
def export(
    source: Source,
    to: Annotated[
        str,
        typer.Option("--to", metavar="TARGET", help="flux3, ideogram4, fibo or comfyui.", show_default=False),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", metavar="FILE", help="A .jsonl file for several scenes; otherwise it is printed."
        ),
    ] = None,
    index: Annotated[
        int | None, typer.Option("--index", min=0, help="Which scene of several, counted from 0.")
    ] = None,
    prompt: Annotated[str, typer.Option("--prompt", help="What the picture is.")] = "an image",
    background: Annotated[
        str, typer.Option("--background", help="What is behind the objects (ideogram4, fibo).")
    ] = "a plain background",
    layout: Annotated[
        str | None,
        typer.Option("--layout", metavar="MODEL", help="Predict missing boxes with this model of graphcond."),
    ] = None,
) -> None:
    """Write scene graphs as the layout prompts of FLUX 3, Ideogram 4, FIBO, or ComfyUI's boxes.

    Every command that takes scenes reads them, too. For example:

        graphcond scene export scene.json --to flux3

        graphcond scene export scenes.json --to ideogram4 --layout outputs/sgcond-iv/final --out prompts.jsonl
    """
    from graphcond.io.files import atomic_file, check_writable
    from graphcond.scenes import read_scene, read_scenes
    from graphcond.scenes.layout_prompts import TARGETS, layout_prompt

    if to not in TARGETS:
        raise InputError(f"there is no target '{to}'", place="--to", remedy=did_you_mean(to, TARGETS))
    scenes = read_scenes(source) if index is None else [read_scene(source, index)]
    lines = out is not None and out.suffix == ".jsonl"
    if out is not None:
        check_writable(out)
        if len(scenes) > 1 and not lines:
            raise InputError(
                f"there are {len(scenes)} scenes, and {out.name} holds one prompt",
                place="--out",
                remedy="end its name in .jsonl, or choose a scene with --index",
            )
    if layout is not None:
        from graphcond.pipeline import GraphPipeline, with_predicted_boxes

        scenes = with_predicted_boxes(GraphPipeline.from_pretrained(layout), scenes)
    prompts = []
    for number, scene in enumerate(scenes, index or 0):
        with at(f"{source}: scene {number}"):
            prompts.append(layout_prompt(scene, to, prompt=prompt, background=background))
    if out is None:
        say("\n".join(prompts))
        return
    if lines and to == "flux3":  # the others are JSON already
        prompts = [json.dumps(one, ensure_ascii=False) for one in prompts]
    with atomic_file(out) as temporary:
        temporary.write_text("".join(f"{one}\n" for one in prompts), encoding="utf-8")
    say(f"{out}: {len(prompts)} {'prompt' if len(prompts) == 1 else 'prompts'}")


def _sheet(scenes: list[SceneGraph], name: str) -> Image.Image:
    from graphcond.drawing.sheets import Cell, contact_sheet
    from graphcond.scenes import draw_boxes, draw_graph, readable_size

    shown = scenes[:MOST_SHOWN]
    boxed = any(scene.boxes for scene in shown)
    cell = max(CELL, *(readable_size(scene) for scene in shown))
    cells: list[Cell] = []
    for number, scene in enumerate(shown):
        words = f"{number}: {len(scene)} objects, {len(scene.relationships)} relations"
        cells.append(Cell(draw_graph(scene, cell), words))
        if boxed:
            cells.append(Cell(draw_boxes(scene, cell), f"{number}: boxes") if scene.boxes else Cell(None))
    columns = min(COLUMNS, len(cells))
    cells += [Cell(None)] * (-len(cells) % columns)
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    rest = f" The first {MOST_SHOWN} of {len(scenes)}." if len(scenes) > MOST_SHOWN else ""
    what = "graph with its boxes to the right" if boxed else "graph"
    return contact_sheet(rows, title=name, subtitle=f"One {what} for each scene.{rest}", cell=cell)


def _rows(report: SceneReport) -> dict[str, object]:
    least, mean, most = report.objects_per_scene
    rows: dict[str, object] = {
        "scenes": report.scenes,
        "splits": ", ".join(f"{name} {count}" for name, count in report.splits.items()),
        "objects": f"{report.objects} of {report.object_classes} classes",
        "relations": f"{report.relationships} of {report.predicate_classes} predicates",
        "attributes": f"{report.attributes} of {report.attribute_classes} words",
        "objects in a scene": f"min {least}, mean {mean:g}, max {most}",
        "most frequent objects": _counted(report.frequent_objects),
        "most frequent predicates": _counted(report.frequent_predicates),
        "scenes with boxes": report.with_boxes,
        "scenes with masks": report.with_masks,
        "scenes with a picture": report.with_picture,
        "scenes without relations": report.without_relationships,
        "relations of an object to itself": report.self_relations,
    }
    return {name: value for name, value in rows.items() if value != ""}


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{word} {count}" for word, count in counts.items())
