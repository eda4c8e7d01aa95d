"""graphcond sweep: recipes trained and scored row by row, and one table of them."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphcond.cli.options import AsJson, Device
from graphcond.errors import InputError
from graphcond.io.terminal import say

if TYPE_CHECKING:
    from graphcond.sweep import SweepConfig

Jobs = Annotated[int, typer.Option(metavar="N", help="Worker processes that take rows.")]


def sweep(
    file: Annotated[
        str, typer.Argument(metavar="SWEEP", help="A YAML file of rows, or the name of a shipped sweep.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Rows, table and plot; outputs/sweeps/NAME unless given."),
    ] = None,
    jobs: Jobs = 1,
    shard: Annotated[
        str | None, typer.Option(metavar="I/N", help="Do every N-th row, from row I on, counted from 0.")
    ] = None,
    device: Device = None,
    as_json: AsJson = False,
) -> None:
    """Train and score the rows of a sweep, and compare them in one table with intervals and a plot.

    A call that was stopped continues where it was. A row that fails does not stop the others.

    For example:

        graphcond sweep rank-and-injector --jobs 2

        graphcond sweep sweep.yaml --out outputs/rank --shard 0/2
    """
    from graphcond.sweep import load_sweep

    config, place = load_sweep(file)
    do_sweep(config, place, out, jobs=jobs, shard=shard, device=device, as_json=as_json)


def do_sweep(
    config: SweepConfig,
    place: Path,
    out: Path | None,
    *,
    jobs: int = 1,
    shard: str | None = None,
    device: str | None = None,
    as_json: bool = False,
) -> None:
    """Run a sweep, and print its table.

    Raises:
        InputError: as `graphcond.sweep.run_sweep`; or a row failed.
    """
    from graphcond.precompute.work import share_of
    from graphcond.sweep.engine import run_sweep

    out = out or Path("outputs/sweeps") / config.name
    try:
        state = run_sweep(
            config,
            place,
            out,
            jobs=jobs,
            share=share_of(shard, {}),
            device=device,
            say=partial(say, err=True),
        )
    except KeyboardInterrupt:
        say(f"what is done stays in {out}; the same call goes on", err=True)
        raise
    if state.results is not None:
        tables = config.tables(out)
        say((tables / ("table.json" if as_json else "table.md")).read_text(encoding="utf-8").rstrip())
        say(f"table: {tables / 'table.md'}", err=True)
    if state.failed:
        name, reason = next(iter(state.failed.items()))
        raise InputError(
            f"{len(state.failed)} of {state.rows} rows failed; '{name}': {reason}",
            place=place,
            remedy="correct them and call again; rows that are done stay",
        )
