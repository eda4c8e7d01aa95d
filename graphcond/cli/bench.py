"""graphcond bench: the comparisons that ship with graphcond, which are sweeps on bases in the package."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from graphcond.cli.options import MAX_SEED, AsJson, Overrides, base_name
from graphcond.cli.sweep import Jobs, do_sweep
from graphcond.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from graphcond.attributed_graph import Column
    from graphcond.sweep import SweepConfig

app = typer.Typer(help="Measured comparisons.", no_args_is_help=True)

OnBase = Annotated[str, typer.Option("--base", help="The base to compare on: tiny or tiny-dit.")]
Only = Annotated[str | None, typer.Option(help="Rows to compare, with commas between; all unless given.")]
Seed = Annotated[int, typer.Option(min=0, max=MAX_SEED - 1, help="Of worlds, training, noise and choices.")]


@app.command()
def samplers(
    base: OnBase = "tiny",
    model: Annotated[
        Path | None,
        typer.Option(help="A model that draws; one is trained on the art world unless given."),
    ] = None,
    graph: Annotated[
        Path | None,
        typer.Option(help="In place of the art world, a graph folder or any source that `data build` reads."),
    ] = None,
    label: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The column of --graph that neighbors should share.")
    ] = None,
    out: Annotated[Path, typer.Option(help="Folder of the table and its pictures.")] = Path(
        "outputs/bench/samplers"
    ),
    limit: Annotated[int, typer.Option(min=20, help="Held-out targets at each level.")] = 120,
    seed: Seed = 0,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Compare samplers: the neighbors with a target's label, and the pictures that a model draws from them.

    On the art world, at three shares of misleading edges; or on a graph of yours, where only the share of
    neighbors with the label is measured unless --model is given.

    For example:

        graphcond bench samplers --base tiny --model outputs/demo/model --out outputs/bench

        graphcond bench samplers --graph graphs/products --label brand
    """
    if (graph is None) != (label is None):
        raise InputError(
            "expected a graph and a column of labels", place="--graph, --label", remedy="give both or none"
        )
    values = _shipped("samplers", base, seed)
    labels, evaluation = values["scores"]
    labels["limit"] = evaluation["limit"] = limit
    if graph is not None:
        _on_graph(values, graph, label, model)
    elif model is not None:
        values["model"] = str(model)
    _run(values, out, jobs, as_json)


@app.command()
def scenes(
    base: OnBase = "tiny",
    out: Annotated[Path, typer.Option(help="Folder of the runs, the tables and their pictures.")] = Path(
        "outputs/bench/scenes"
    ),
    limit: Annotated[int, typer.Option(min=4, help="Held-out graphs, at most.")] = 120,
    pairs: Annotated[int, typer.Option(min=2, help="Pairs of the swap test.")] = 100,
    only: Only = None,
    seed: Seed = 0,
    seeds: Annotated[
        str | None,
        typer.Option(metavar="N,N", help="Train each with these seeds, to compare rows over all of them."),
    ] = None,
    overrides: Overrides = None,
    exam: Annotated[
        list[str] | None,
        typer.Option(metavar="A.B=C", help="Score what --out holds with another setting; no swap test."),
    ] = None,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Train and score ways to read a scene graph on the scene world: objects, attributes, relations, swaps.

    Takes about half an hour on two CPU cores. What is trained or scored already is found again in --out, so
    a call that was stopped continues.

    For example:

        graphcond bench scenes --base tiny --out outputs/scenes --only sgcond-i,sgcond-v

        graphcond bench scenes --only sgcond-iv,sgcond-vi --seeds 0,1,2

        graphcond bench scenes --out outputs/scenes --exam data.difficulty=hard

        graphcond bench scenes --set data.difficulty=hard --out outputs/hard-scenes
    """
    values = _shipped("scenes", base, seed)
    if seeds is not None:
        values["seeds"] = _seeds(seeds)
    values["set"] = values.get("set", {}) | _settings(overrides)
    values["exam"] = _settings(exam, place="--exam")
    evaluation, swap = values["scores"]
    evaluation["limit"], swap["pairs"] = limit, pairs
    if exam:  # pairs are of their own scenes, which no exam changes
        values["scores"] = [evaluation]
    _keep_rows(values, only)
    _run(values, out, jobs, as_json)


@app.command()
def injectors(
    base: OnBase = "tiny",
    scenes: Annotated[
        bool, typer.Option("--scenes", help="Those that read scene graphs, on the scene world.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the runs, the tables and their pictures; outputs/bench/NAME unless given."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(min=20, help="Held-out targets.")] = 120,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Of every training, each of 16; 150, on scenes 200, unless given."),
    ] = None,
    only: Only = None,
    seed: Seed = 0,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Train and score every injector, and every update of the base beside prompt tokens, at equal steps.

    Takes half an hour of one CPU core on the art world, and as long on scenes. What is trained or scored
    already is found again in --out, so a call that was stopped continues.

    For example:

        graphcond bench injectors --only prompt_tokens,ip_adapter --steps 40

        graphcond bench injectors --scenes
    """
    values = _shipped("scene-injectors" if scenes else "injectors", base, seed)
    if steps is not None:
        values["set"] |= {"training.steps": steps, "training.checkpoint_every": max(1, steps // 2)}
        values["set"] |= {"training.validate_every": steps}
    values["scores"][0]["limit"] = limit
    _keep_rows(values, only)
    _run(values, out or Path("outputs/bench") / values["name"], jobs, as_json)


@app.command()
def references(
    base: OnBase = "tiny",
    out: Annotated[Path, typer.Option(help="Folder of the runs, the tables and their pictures.")] = Path(
        "outputs/bench/references"
    ),
    limit: Annotated[int, typer.Option(min=20, help="Held-out targets of each seed.")] = 40,
    steps: Annotated[int, typer.Option(min=1, help="Of every training, each of 16.")] = 150,
    only: Only = None,
    seeds: Annotated[
        str, typer.Option(metavar="N,N", help="Train and draw with each of these seeds.")
    ] = "0,1,2",
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Compare trained adapters with references, the neighbors' own pictures, by the number of neighbors.

    Graph-QFormer tokens and an IP-Adapter are trained once for each seed and drawn with 1 to 16 neighbors, on
    graphs with clean and with hard edges; references need no training. Takes a quarter of an
    hour of one CPU core.

    For example:

        graphcond bench references --only references --seeds 0
    """
    numbers = _seeds(seeds)
    values = _shipped("references", base, numbers[0]) | {"seeds": numbers}
    values["set"] |= {
        "training.steps": steps,
        "training.checkpoint_every": max(1, steps // 2),
        "training.validate_every": steps,
    }
    values["scores"][0]["limit"] = limit
    _keep_rows(values, only)
    _run(values, out, jobs, as_json)


@app.command()
def guidance(
    base: Annotated[
        str | None, typer.Option(help="The base to compare on; tiny unless given, and emoji for its world.")
    ] = None,
    world: Annotated[str, typer.Option(help="art (hard edges), scenes, or emoji.")] = "art",
    model: Annotated[
        Path | None, typer.Option(help="A model that draws; one is trained unless given.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder of the model and the tables; outputs/bench/guidance-WORLD.")
    ] = None,
    limit: Annotated[int, typer.Option(min=20, help="Held-out targets.")] = 240,
    only: Only = None,
    seed: Seed = 0,
    jobs: Jobs = 1,
    as_json: AsJson = False,
) -> None:
    """Compare options of guidance that save predictions: what is left of accuracy, and what a picture costs.

    One model draws all rows. Takes five minutes of one CPU core, and on scenes as many to train it; on emoji,
    whose pictures are real, three times as long.

    For example:

        graphcond bench guidance --only "full,reuse 2,reuse 3"
    """
    sweeps = {"art": "guidance", "scenes": "guidance-scenes", "emoji": "guidance-emoji"}
    if world not in sweeps:
        problem = f"there is no comparison on a world '{world}'"
        raise InputError(problem, place="--world", remedy=did_you_mean(world, sweeps))
    values = _shipped(sweeps[world], base, seed)
    values["scores"][0]["limit"] = limit
    if model is not None:
        values["model"] = str(model)
    _keep_rows(values, only)
    _run(values, out or Path(f"outputs/bench/guidance-{world}"), jobs, as_json)


def _seeds(text: str) -> list[int]:
    """Seeds with commas between."""
    names = [name.strip() for name in text.split(",")]
    if wrong := [name for name in names if not (name.isascii() and name.isdecimal())]:
        problem = f"expected numbers with commas between, got '{wrong[0]}'"
        raise InputError(problem, place="--seeds", remedy="write 0,1,2")
    return list(map(int, names))


def _keep_rows(values: dict[str, Any], only: str | None) -> None:
    """Leave the rows of a sweep that are named, with commas between; all of them for None."""
    if only is None:
        return
    wanted = [name.strip() for name in only.split(",") if name.strip()]
    known = [row["name"] for row in values["rows"]]
    unknown = [name for name in wanted if name not in known]
    if unknown or not wanted:
        problem = f"there is no experiment '{unknown[0]}'" if unknown else "no experiment is named"
        remedy = did_you_mean(unknown[0], known) if unknown else f"choose from {', '.join(known)}"
        raise InputError(problem, place="--only", remedy=remedy)
    values["rows"] = [row for row in values["rows"] if row["name"] in wanted]
    if values.get("reference") not in wanted:
        values["reference"] = None


def _shipped(name: str, base: str | None, seed: int) -> dict[str, Any]:
    """The plain values of a shipped sweep with another seed, and another base that draws the same world."""
    from graphcond.bases.config import packaged_bases
    from graphcond.io.strict_yaml import read_yaml
    from graphcond.sweep.config import shipped_sweeps

    values: dict[str, Any] = read_yaml(shipped_sweeps()[name])
    bases, base = packaged_bases(), base or values["base"]
    world = bases[values["base"]].graph_world
    drawing = [kind for kind, config in bases.items() if config.graph_world == world]
    if base_name(base) not in drawing:
        raise InputError(
            f"the comparison is on bases that draw the {world} world, got '{base}'",
            place="--base",
            remedy=f"use {' or '.join(drawing)}",
        )
    return values | {"base": base, "seed": seed, "seeds": [seed]}


def _settings(assignments: list[str] | None, place: str = "--set") -> dict[str, Any]:
    from graphcond.recipe.overrides import assignment

    found = (assignment(one, place=place) for one in assignments or ())
    return {".".join(path): value for path, value in found}


def _on_graph(values: dict[str, Any], graph: Path, label: str | None, model: Path | None) -> None:
    """Compare on a user's graph, in place of the levels of the art world."""
    from graphcond.cli.rivals import rivals
    from graphcond.graphs import load_graph
    from graphcond.saving.model_folder import saved_recipe

    labels, evaluation = values["scores"]
    columns: frozenset[Column] = frozenset({"pictures", "texts"})
    resolution = 64 if model is None else saved_recipe(model).data.resolution
    data = {"kind": "mmag", "path": str(graph), "resolution": resolution}
    same: dict[str, Any] = {"split": None, "limit": labels["limit"]}
    drawn = {"kind": "evaluation", "arms": evaluation["arms"], "protocol": "own", "label": label, **same}
    values |= {
        "rows": [
            {"name": name, "set": {"conditions.neighbors.sampler": config.model_dump(mode="json")}}
            for name, config in rivals(load_graph(graph), columns).items()
        ],
        "description": f"Which sampler chooses neighbors with the same {label}?",
        "set": {"data": data},
        "grid": {},
        "seed_keys": ["training.seed"],
        "scores": [{"kind": "labels", "column": label, **same}, *([drawn] if model else [])],
        "verdicts": [],
        "pictures": None,
        "model": None if model is None else str(model),
        "recipe": "instructg2i" if model is None else None,
    }


def _run(values: dict[str, Any], out: Path, jobs: int, as_json: bool) -> None:
    from graphcond.sweep import parse_sweep
    from graphcond.sweep.config import shipped_sweeps

    config: SweepConfig = parse_sweep(values, place=f"bench {values['name']}")
    do_sweep(config, shipped_sweeps()[values["name"]], out, jobs=jobs, as_json=as_json)
