"""``graphcond data``: from files to a graph folder, and what a graph folder holds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from graphcond.cli.data_export import export
from graphcond.cli.options import AsJson, SkipBadRows
from graphcond.errors import InputError, did_you_mean
from graphcond.io.tally import Tally
from graphcond.io.terminal import console, facts, say
from graphcond.progress import progress_bars

if TYPE_CHECKING:
    from graphcond.attributed_graph import AttributedGraph
    from graphcond.graphs import GraphReport

app = typer.Typer(help="Build graph folders and look at them.", no_args_is_help=True)

WORLDS = ("art", "emoji")
"""Sources that are drawn instead of read."""

HELD_OUT_NONE = {
    False: "none: the graph has no splits (`data build --hold-out 0.1` makes them)",
    True: "none: no split is called test; name the one to hold out in data.forbidden_splits",
}
"""Why no node is held out, by whether the graph has splits."""


@app.command()
def build(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A folder with metadata.jsonl (or with train/, val/, test/ that hold one); a folder with "
            "nodes.* and edges.* (csv, csv.gz, jsonl, parquet); a lone file of edges; a folder of DGL's CSV, "
            "OGB, MM-Graph or MAGB; a file of PyG or DGL (.pt, .bin); or a world: 'art' or 'emoji'.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="The graph folder to write; a graph folder is replaced."),
    ],
    directed: Annotated[bool, typer.Option("--directed", help="Keep the direction of edges.")] = False,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", metavar="NAME=COLUMN", help="What a column is called in the files."),
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument of the world.")
    ] = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="What building from tables may take in memory, such as 2GiB; edges that do not fit are "
            "sorted on disk, beside DIR. Half of the free memory unless given. Other formats are read whole "
            "and refuse it.",
        ),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Make this share of the nodes, such as 0.1, the split test of a graph without splits.",
        ),
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    as_json: AsJson = False,
) -> None:
    """Build a graph folder.

    Nodes have the columns id,text[,image,split,type] and edges src,dst[,type,weight]; metadata.jsonl has
    center, text and neighbors. Repeated edges are merged, their weights summed; self-loops and edges of
    weight 0 are dropped. Pictures of a folder stay where they are; a world's are drawn into the graph folder.

    For example:

        graphcond data build paintings/ --out graphs/paintings

        graphcond data build shop/ --out graphs/shop --column text=title

        graphcond data build links.csv.gz --out graphs/links --memory 2GiB

        graphcond data build art --out graphs/art --set noise=0.6 --set seed=1
    """
    if source in WORLDS:
        if column:
            raise InputError(
                "a world has no columns to rename", place="--column", remedy="leave the option out"
            )
        if memory:
            raise InputError("a world is drawn in memory", place="--memory", remedy="leave the option out")
        if hold_out is not None:
            raise InputError("a world has splits", place="--hold-out", remedy="leave the option out")
        summary = _build_world(source, out, directed, _pairs(set_, "--set"))
    elif set_:
        raise InputError("only a world takes arguments", place="--set", remedy="leave the option out")
    else:
        columns = _pairs(column, "--column")
        options = {"directed": directed, "hold_out": hold_out, "skip_bad_rows": skip_bad_rows}
        summary = _build_source(source, out, memory, columns=columns, **options)
    rows = {name.replace("_", " "): value for name, value in summary.items() if name != "tally"}
    rows |= _tally_rows(Tally(**summary.get("tally", {})))
    _show("graph folder written", rows, as_json, summary)


@app.command()
def inspect(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A graph folder, or any source of one.")],
    pictures: Annotated[bool, typer.Option("--pictures", help="Decode every picture.")] = False,
    picture: Annotated[
        Path | None, typer.Option("--picture", metavar="PNG", help="Draw a histogram of degrees.")
    ] = None,
    skip_bad_rows: SkipBadRows = False,
    as_json: AsJson = False,
) -> None:
    """Show counts, degrees, missing pictures and leaks.

    Exits with 2 if the folder is broken: a file is missing, cut short, changed or of another version.
    Missing pictures and leaks are reported and do not change the exit code.

    For example:

        graphcond data inspect graphs/paintings --pictures --picture degrees.png
    """
    from graphcond.graphs import inspect_graph, load_graph

    with progress_bars() as watch:
        report = inspect_graph(folder, pictures=pictures, skip_bad_rows=skip_bad_rows, progress=watch)
    if picture is not None:
        from graphcond.graphs.inspect import draw_degrees

        draw_degrees(load_graph(folder, skip_bad_rows=skip_bad_rows), picture)
    _show(str(folder), _report_rows(report), as_json, asdict(report))


app.command()(export)


@app.command()
def features(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="A source that `data build` reads.")],
    out: Annotated[
        Path | None, typer.Option(metavar="NPY", help="The file to write; without it they are listed.")
    ] = None,
    name: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which of them, if there are several.")
    ] = None,
) -> None:
    """Write the vectors that come with a graph's nodes as a file that --features reads.

    They are OGB's node-feat, columns of vectors in DGL's CSV folders, MM-Graph's *_feat.pt, and tensors in
    files of PyG and DGL. Rows are in the order of the nodes; types of nodes that have none get zeros.

    For example:

        graphcond data features products/ --out features.npy
    """
    from graphcond.graphs.load import find_features, read_features

    if out is None:
        say("\n".join(find_features(source)) or "there are none")
        return
    if out.suffix != ".npy":
        raise InputError(f"'{out.name}' is not a .npy file", place="--out", remedy="end the name in .npy")
    import numpy as np

    from graphcond.io.files import atomic_file

    rows = read_features(source, name)
    with atomic_file(out) as temporary, temporary.open("wb") as file:
        np.save(file, rows)
    say(f"{out}: {rows.shape[0]} rows of {rows.shape[1]}, {rows.dtype}")


def _build_source(source: str, out: Path, memory: str | None, **options: Any) -> dict[str, Any]:
    from graphcond.graphs import build_folder
    from graphcond.graphs.building.on_disk import parse_memory
    from graphcond.graphs.inspect import missing_pictures

    most = None if memory is None else parse_memory(memory)
    with progress_bars() as watch:
        built = build_folder(source, out, memory=most, watch=watch, **options)
    return {
        **_counts(built.graph, out),
        "edges_read": built.edges_read,
        "self_loops_dropped": built.self_loops,
        "missing_pictures": len(missing_pictures(built.graph)),
        "tally": asdict(built.graph.tally),
    }


def _build_world(name: str, out: Path, directed: bool, arguments: dict[str, str]) -> dict[str, Any]:
    from pydantic import TypeAdapter, ValidationError

    from graphcond.graphs import save_world
    from graphcond.worlds import GRAPH_WORLDS

    make = GRAPH_WORLDS[name]
    kinds, values = get_type_hints(make), {}
    for argument, value in arguments.items():
        if argument not in kinds:
            problem = f"the world '{name}' has no argument '{argument}'"
            raise InputError(problem, place="--set", remedy=did_you_mean(argument, kinds))
        try:
            values[argument] = TypeAdapter(kinds[argument]).validate_python(value)
        except ValidationError:
            problem = f"expected {kinds[argument].__name__}, got '{value}'"
            raise InputError(problem, place=f"--set {argument}", remedy="choose another value") from None
    try:
        world = make(**values)
    except ValueError as error:
        raise InputError(str(error), place="--set", remedy="choose another value") from None
    with progress_bars() as watch:
        graph = save_world(world, out, directed=directed, progress=watch("drawing pictures"))
    return _counts(graph, out)


def _pairs(options: list[str] | None, place: str) -> dict[str, str]:
    pairs = {}
    for option in options or ():
        name, equals, value = option.partition("=")
        if not (name and equals and value):
            raise InputError(f"'{option}' is not NAME=VALUE", place=place, remedy=f"write {place} name=value")
        if name in pairs:
            raise InputError(f"'{name}' is given twice", place=place, remedy="give it once")
        pairs[name] = value
    return pairs


def _counts(graph: AttributedGraph, out: Path) -> dict[str, Any]:
    edges = len(graph.indices) // (1 if graph.directed else 2)
    return {"folder": str(out), "nodes": len(graph), "edges": edges, "directed": graph.directed}


def _show(title: str, rows: dict[str, object], as_json: bool, value: dict[str, Any]) -> None:
    if as_json:
        say(json.dumps(value, indent=2, ensure_ascii=False))
    else:
        console().print(facts(title, rows))


def _report_rows(report: GraphReport) -> dict[str, object]:
    from graphcond.graphs.inspect import CLIP_TOKENS as CLIP

    degree, undecodable = report.degree, report.undecodable_pictures
    rows: dict[str, object] = {
        "nodes": report.nodes,
        "edges": f"{report.edges} ({'directed' if report.directed else 'undirected'})",
        "splits": _listed(report.splits),
        "held out": HELD_OUT_NONE[any(report.splits)] if not report.held_out else str(report.held_out),
        "node types": _listed(report.node_types),
        "edge types": _listed(report.edge_types),
        "degree": f"min {degree.min}, median {degree.median:g}, mean {degree.mean:g}, "
        f"99% {degree.p99:g}, max {degree.max}",
        "largest degrees": _listed(report.largest_degrees),
        "isolated nodes": report.isolated,
        "nodes with a text": report.with_text,
        "texts that are cut": f"{report.long_texts}: a text encoder of {CLIP} tokens leaves out their ends, "
        f"the longest has {report.longest_text} or more"
        if report.long_texts
        else "",
        "nodes with a picture": report.with_picture,
        "nodes with given neighbors": report.with_given_neighbors,
        "missing pictures": _some(report.missing_pictures),
        "broken pictures": "not looked at (--pictures)"
        if undecodable is None
        else _some([f"{node}: {reason}" for node, reason in undecodable.items()]),
        "leak: held-out pictures seen in training": _some(report.shared_pictures),
        "leak: targets among their given neighbors": _some(report.given_targets),
        "leak: held-out nodes given as neighbors": _some(report.given_held_out),
        **_tally_rows(report.tally),
    }
    return {name: entry for name, entry in rows.items() if entry != ""}


def _tally_rows(tally: Tally) -> dict[str, object]:
    return {f"{name} of the source": row for name, row in tally.rows().items()}


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or '(none)'} {count}" for name, count in counts.items())


def _some(entries: Sequence[str] | Sequence[tuple[str, str]], shown: int = 3) -> str:
    """The number of items, and the first of them."""
    names = [entry if isinstance(entry, str) else " and ".join(entry) for entry in entries[:shown]]
    more = ", ..." if len(entries) > shown else ""
    return f"{len(entries)}: {', '.join(names)}{more}" if entries else "none"
