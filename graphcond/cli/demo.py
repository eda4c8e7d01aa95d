"""graphcond demo: see the whole thing work."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli.options import AsJson, Device
from graphcond.io.terminal import console, say

if TYPE_CHECKING:
    from graphcond.demo import DemoReport


def demo(
    out: Annotated[Path, typer.Option(help="Folder for pictures, model and report.")] = Path("outputs/demo"),
    world: Annotated[
        str | None, typer.Option(help="Its pictures: art (paintings) or emoji; paintings unless given.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="A base in the package that draws them: tiny or tiny-dit; emoji.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the world, the training and the noise.")] = 0,
    quick: Annotated[bool, typer.Option("--quick", help="A minute, not several; worse pictures.")] = False,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Train a graph adapter on the embedded base and draw held-out paintings, in minutes on a laptop.

    Example: graphcond demo --out outputs/demo
    """
    from graphcond.demo import run_demo
    from graphcond.demo.worlds import DEFAULT

    report = run_demo(
        out,
        world=world or DEFAULT,
        base=base,
        seed=seed,
        quick=quick,
        device=device,
        console=console(stderr=True),
    )
    if as_json:
        say(json.dumps(json.loads((out / "report.json").read_text(encoding="utf-8"))))
    else:
        say(in_words(report, out))


def in_words(report: DemoReport, out: Path) -> str:
    """Print the results, and commands to try next."""
    from graphcond.demo.worlds import WORLDS
    from graphcond.graphs import open_graph

    world, style, subject = WORLDS[report.world], report.style_accuracy, report.subject_accuracy
    judged, model, graph = report.judge, out / "model", out / "graph"
    nodes = open_graph(graph).nodes
    target = nodes.ids[int(nodes.in_split("test")[0])]
    # How a person calls graphcond here: by its name if a shell would find it.
    command = "graphcond" if which("graphcond") else os.path.relpath(sys.argv[0])
    mixed = f", and two {world.makers} mixed" if world.mixes else ""
    return f"""
What was seen, over {report.n} {world.things} that training never used as targets:
  With their graph, {style["graph"]:.0%} of the pictures are in the style of the right {world.maker};
  without a graph {style["no_graph"]:.0%}, with another target's graph {style["shuffled_graph"]:.0%}
  (chance {report.chance:.0%}).
  The prompt still decides the subject: {subject["graph"]:.0%} show it with the graph,
  {subject["no_graph"]:.0%} without.
  {world.makers.capitalize()} whose {world.things} were never targets:
  {report.unseen["graph"]:.0%} in their style (chance {report.unseen["chance"]:.0%}).
  Of the true pictures the judge itself tells {judged["style_accuracy"]["real"]:.0%} of the styles
  and {judged["subject_accuracy"]["real"]:.0%} of the subjects.

Look at
  {out / "grid.png"}: neighbors, truth, and what was drawn without, with, and with a wrong graph
  {out / "guidance.png"}: the graph's scale growing{mixed}
  {out / "run" / "previews"}: how it was learned

Try next
  {command} generate {model} --prompt "{world.prompt}" --graph {graph} --target {target} --out picture.png
  {command} evaluate {model} --graph {graph}
  {command} sample {graph} --target {target} --picture neighbors.png
  {command} recipe show instructg2i
"""
