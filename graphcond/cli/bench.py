"""graphcond bench: measured comparisons on the tiny base."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Annotated

import typer

from graphcond.cli.options import MAX_SEED, base_name
from graphcond.errors import InputError
from graphcond.io.terminal import say

app = typer.Typer(help="Measured comparisons.", no_args_is_help=True)


@app.command()
def samplers(
    base: Annotated[str, typer.Option(help="The base to compare on: tiny.")] = "tiny",
    model: Annotated[
        Path | None, typer.Option(help="A model trained on the art world; one is trained unless given.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the table and its picture.")] = Path(
        "outputs/bench/samplers"
    ),
    limit: Annotated[int, typer.Option(min=20, help="Held-out targets at each level.")] = 120,
    seed: Annotated[int, typer.Option(min=0, help="Of worlds, noise and choices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Compare samplers at three levels of noise edges: neighbors, style and distance to the true picture.

    Example: graphcond bench samplers --base tiny --model outputs/demo/model --out outputs/bench
    """
    from graphcond.bench.samplers import bench_samplers, to_markdown, write_bench
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import progress_bars
    from graphcond.recipe import load_recipe
    from graphcond.training import train

    if base_name(base) is None:
        raise InputError("the base is missing", place="--base", remedy="use tiny")
    if model is None:
        seeds = [f"training.seed={seed}", f"data.seed={seed}"]
        recipe = load_recipe("instructg2i", base="tiny", overrides=seeds)
        shutil.rmtree(out / "run", ignore_errors=True)
        model = train(recipe, out=out / "run").folder / "final"
    pipe = GraphPipeline.from_pretrained(model)
    with progress_bars() as watch:
        bench, examples = bench_samplers(pipe, limit=limit, seed=seed, watch=watch)
    write_bench(bench, examples, out)
    say(json.dumps(bench.to_json()) if as_json else to_markdown(bench))


@app.command()
def scenes(
    base: Annotated[str, typer.Option(help="The base to compare on: tiny.")] = "tiny",
    out: Annotated[Path, typer.Option(help="Folder of the runs, the tables and their picture.")] = Path(
        "outputs/bench/scenes"
    ),
    limit: Annotated[int, typer.Option(min=4, help="Held-out graphs, at most.")] = 120,
    pairs: Annotated[int, typer.Option(min=2, help="Pairs of the swap test.")] = 100,
    only: Annotated[
        str | None, typer.Option(help="Experiments to compare, with commas between; all seven unless given.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=MAX_SEED - 1, help="Of world, training and noise.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Train and score SGCond's seven experiments on the scene world: objects, attributes, relations, swaps.

    Takes about half an hour on two CPU cores. What is trained or scored already is found again in --out, so
    a call that was stopped continues.

    Example: graphcond bench scenes --base tiny --out outputs/scenes --only sgcond-i,sgcond-v
    """
    from graphcond.bench.experiments import SGCOND, experiments_of
    from graphcond.bench.run_scenes import run_scenes
    from graphcond.bench.scene_table import to_markdown, write_bench
    from graphcond.io.files import check_writable

    chosen = base_name(base)
    names = SGCOND if only is None else [name.strip() for name in only.split(",") if name.strip()]
    experiments = experiments_of(names, out, base=chosen, seed=seed)
    check_writable(out / "scenes.md")
    bench, examples = run_scenes(experiments, limit=limit, pairs=pairs, seed=seed)
    write_bench(bench, examples, out)
    say(json.dumps(bench.to_json()) if as_json else to_markdown(bench))
