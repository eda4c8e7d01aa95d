"""The command line. Heavy imports are inside the commands, so that ``--help`` answers at once."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import traceback
import warnings
from contextlib import suppress
from importlib.metadata import version
from typing import Annotated, Any

import typer

from graphcond.cli import bench, cache, convert, data, recipe, scene
from graphcond.cli.demo import demo
from graphcond.cli.doctor import doctor
from graphcond.cli.evaluate import evaluate
from graphcond.cli.generate import generate
from graphcond.cli.many_values import ManyValues
from graphcond.cli.options import hide_types_of_flags
from graphcond.cli.report import report, runs_command
from graphcond.cli.sample import sample
from graphcond.cli.sample_all import sample_all
from graphcond.cli.streams import SayLoading, make_streams_last
from graphcond.cli.sweep import sweep
from graphcond.cli.train import train_command
from graphcond.errors import GraphcondError, Notice, out_of_memory
from graphcond.io.stops import Stopped, raised_stops
from graphcond.io.terminal import plain, say

DONE, INTERNAL_ERROR, USAGE_ERROR, SIGNALLED = 0, 1, 2, 128
"""Exit codes: success; an internal error; an error that the user can correct; 128 + n after signal n."""

hide_types_of_flags()

app = typer.Typer(
    name="graphcond",
    help="Graphs decide what a frozen diffusion model draws. Start with: graphcond demo",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
START, DATA, MODELS, LOOK = "Start", "Data", "Train and draw", "Measure and compare"
"""The groups of commands in ``--help``, by what a person wants to do."""

app.command(rich_help_panel=START)(demo)
app.command(rich_help_panel=START)(doctor)
app.add_typer(data.app, name="data", rich_help_panel=DATA)
app.add_typer(scene.app, name="scene", rich_help_panel=DATA)
app.command(rich_help_panel=DATA)(sample)
app.command(rich_help_panel=DATA)(sample_all)
app.add_typer(cache.app, name="cache", rich_help_panel=DATA)
app.add_typer(recipe.app, name="recipe", rich_help_panel=MODELS)
app.command("train", rich_help_panel=MODELS)(train_command)
app.command(cls=ManyValues, rich_help_panel=MODELS)(generate)
app.add_typer(convert.app, name="convert", rich_help_panel=MODELS)
app.command(rich_help_panel=LOOK)(evaluate)
app.command("runs", rich_help_panel=LOOK)(runs_command)
app.command(rich_help_panel=LOOK)(report)
app.command(rich_help_panel=LOOK)(sweep)
app.add_typer(bench.app, name="bench", rich_help_panel=LOOK)


def _print_version(asked: bool) -> None:
    if asked:
        say(version("graphcond"))
        raise typer.Exit


@app.callback()
def _options(
    _: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True),
    ] = False,
) -> None: ...


def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    # Progress bars are ours; those of the libraries would draw over them.
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    for name in ("xformers", "torchao", "torch.utils._pytree"):
        # Lines wherever one was built for another torch; doctor says in one whether it runs.
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.formatwarning = _as_note
    output = make_streams_last()
    announce = SayLoading()
    sys.meta_path.insert(0, announce)
    try:
        code = _exit_code()
    finally:
        with suppress(ValueError):  # it was needed
            sys.meta_path.remove(announce)
    sys.stdout.flush()
    if output is not None and output.failure is not None and output.failure.errno != errno.EPIPE:
        _complain(f"error: standard output cannot be written ({output.failure.strerror})")
        code = code or USAGE_ERROR
    sys.exit(code)


def _exit_code() -> int:
    """Run the command and say what stopped it; a signal is raised again, where typer only ends."""
    try:
        try:
            with raised_stops():
                app()
        except SystemExit as end:
            reason = getattr(end.__context__, "__cause__", None)
            if isinstance(reason, KeyboardInterrupt):
                raise reason from None
            return end.code if isinstance(end.code, int) else DONE
        return DONE
    except GraphcondError as error:
        _complain(f"error: {error}")
        return USAGE_ERROR
    except KeyboardInterrupt as stop:
        _complain("stopped")
        return SIGNALLED + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        _complain(f"error: {place}{error.strerror or error}")
        return USAGE_ERROR
    except Exception as error:
        if out_of_memory(error):
            _complain(f"error: not enough memory ({error}). Make fewer or smaller things at once")
            return USAGE_ERROR
        if os.environ.get("GRAPHCOND_DEBUG"):
            traceback.print_exc()
        _complain(
            f"graphcond failed: {type(error).__name__}: {error}",
            "This is our fault, not yours. Run again with GRAPHCOND_DEBUG=1 and report what it prints.",
        )
        return INTERNAL_ERROR


_PYTHON_FORMAT = warnings.formatwarning


def _as_note(message: Warning | str, category: type[Warning], *where: Any, **line: Any) -> str:
    if issubclass(category, Notice):
        return f"note: {plain(str(message))}\n"
    return _PYTHON_FORMAT(message, category, *where, **line)


def _complain(*lines: str) -> None:
    """Print lines; line breaks, which may come from the input, become spaces."""
    for line in lines:
        print(plain(" ".join(line.split("\n"))), file=sys.stderr)
