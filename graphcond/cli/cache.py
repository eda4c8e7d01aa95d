"""graphcond cache: fill the cache before a training, list it, and delete what is not used."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import Annotated

import typer

from graphcond.cli.options import LOCAL, AsJson, Base, Device, On, Overrides, RayWorkers, base_name
from graphcond.errors import InputError
from graphcond.io.terminal import console, say

app = typer.Typer(
    no_args_is_help=True, help="Fill the cache before a training, list it, and delete what is not used."
)


@app.command()
def build(
    recipe: Annotated[str, typer.Argument(help="A YAML file or the name of a shipped recipe.")],
    base: Base = None,
    set_: Overrides = None,
    device: Device = None,
    on: On = LOCAL,
    workers: RayWorkers = None,
    as_json: AsJson = False,
) -> None:
    """Compute what a training reads: embeddings, neighbors, latents and encoded prompts.

    Started again it goes on where it was. Several at once divide the work: start it in several terminals, or
    by `accelerate launch`, or --on ray; all need the same cache folder (GRAPHCOND_CACHE). Embeddings of
    pictures are those that `generate` and `evaluate` read, too.

    For example:

        graphcond cache build instructg2i --base tiny

        accelerate launch -m graphcond cache build instructg2i --set data.path=graphs/paintings
    """
    from graphcond.precompute.places import place_named
    from graphcond.recipe import load_recipe
    from graphcond.training.run import fill_caches, fill_caches_on

    chosen = load_recipe(recipe, base=base_name(base), overrides=set_ or [])
    place = place_named(on, workers, gpu=device != "cpu")
    filled = (
        fill_caches(chosen, device=device) if place is None else fill_caches_on(place, chosen, device=device)
    )
    if as_json:
        say(json.dumps(filled.__dict__))
    else:
        say(f"the cache has all that {filled.targets} targets and {filled.validated_on} for validation need")


@app.command()
def inspect(
    check: Annotated[
        bool, typer.Option("--check", help="Also compare everything with its checksums, about 1 GB a second.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """List what the cache folder holds: by kind, how many, how large, and for how long unused.

    The folder is $GRAPHCOND_CACHE, or ~/.cache/graphcond.

    Example: graphcond cache inspect --check
    """
    from rich.table import Table

    from graphcond.features.feature_cache import FeatureCache
    from graphcond.io.files import default_cache_folder
    from graphcond.precompute.caches import cache_entries, damaged_entries

    sorts = defaultdict(list)
    for entry in cache_entries():
        sorts[entry.sort].append(entry)
    rows = [
        (sort, len(some), sum(one.bytes for one in some), min(one.unused for one in some))
        for sort, some in sorted(sorts.items())
    ]
    features = FeatureCache().counts()
    damaged = [(str(path), problem) for path, problem in damaged_entries()] if check else []
    if as_json:
        names = ("sort", "entries", "bytes", "unused_days")
        say(
            json.dumps(
                {
                    "folder": str(default_cache_folder()),
                    "entries": [dict(zip(names, row, strict=True)) for row in rows],
                    "features": [
                        {"network": name, "embeddings": count, "bytes": size}
                        for name, (count, size) in features.items()
                    ],
                    "damaged": damaged if check else None,
                }
            )
        )
    else:
        table = Table("kind", "entries", "MB", "days unused", title=f"{default_cache_folder()}")
        for sort, count, size, unused in rows:
            table.add_row(sort, str(count), f"{size / 1e6:,.1f}", f"{unused:.0f}")
        for name, (count, size) in features.items():
            table.add_row(f"embeddings by {name}", str(count), f"{size / 1e6:,.1f}", "")
        console().print(table)
    if damaged:
        path, problem = damaged[0]
        raise InputError(
            f"{len(damaged)} of the results are damaged: {problem}",
            place=path,
            remedy="delete it; it is computed again when it is needed",
        )


@app.command()
def prune(
    unused_for: Annotated[
        float, typer.Option(min=0, metavar="DAYS", help="Delete what was not used for this many days.")
    ] = 30.0,
    features: Annotated[
        bool, typer.Option("--features", help="Also delete the embeddings, all or none, by the same rule.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted.")] = False,
    as_json: AsJson = False,
) -> None:
    """Delete what was not used for long from the cache folder. It is computed again when it is needed.

    Example: graphcond cache prune --unused-for 7 --dry-run
    """
    from graphcond.precompute.caches import prune_cache

    gone = prune_cache(unused_for, features=features, dry_run=dry_run)
    size = sum(entry.bytes for entry in gone)
    if as_json:
        found = {"deleted": not dry_run, "folders": [str(entry.folder) for entry in gone], "bytes": size}
        say(json.dumps(found))
    else:
        say(f"{'would delete' if dry_run else 'deleted'} {len(gone)} results, {size / 1e6:,.1f} MB")
