"""``graphcond scene``: scene graphs drawn and counted."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli.options import AsJson, SkipBadRows
from graphcond.errors import InputError
from graphcond.io.terminal import console, facts, say

if TYPE_CHECKING:
    from PIL import Image

    from graphcond.scene_graph import SceneGraph
    from graphcond.scenes import SceneReport

app = typer.Typer(help="Draw scene graphs and count what is in them.", no_args_is_help=True)

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
