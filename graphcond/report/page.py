"""One HTML page about runs, which needs no other file and no network."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import Image
from rich.filesize import decimal

from graphcond.errors import InputError
from graphcond.io.files import read_text
from graphcond.io.pictures import open_picture
from graphcond.report.plots import Plot, own_plots, shared_plots
from graphcond.report.runs import Run
from graphcond.report.summaries import differences, evaluations, memory_of, progress_of, summary
from graphcond.report.table import broken, number
from graphcond.training.paths import RunFolder

SHEETS = 6
"""Previews that are shown of a run: the first, the last, and some between them."""

LONGEST = 900
"""Pixels of the longer side of a preview on the page."""


def page(runs: Sequence[Run]) -> str:
    """The page as HTML; equal run folders give equal pages."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: visible(value) if type(value) is str else value,
    )
    return environment.get_template("page.html").render(
        title=", ".join(run.label for run in runs) if len(runs) <= 3 else f"{len(runs)} runs",
        summary=summary(runs),
        differences=differences(runs) if len(runs) > 1 else None,
        plots=[_drawn(plot) for plot in shared_plots(runs)],
        evaluations=evaluations(runs),
        runs=[_about(run) for run in runs],
        broken=broken,
    )


def visible(text: str) -> str:
    """Without control codes and signs that reorder a line; line breaks stay."""
    return "".join(sign if sign.isprintable() or sign == "\n" else " " for sign in text)


def chosen(steps: Sequence[int]) -> list[int]:
    """At most `SHEETS` of the steps: the first, the last, and some evenly between them."""
    if len(steps) <= SHEETS:
        return list(steps)
    return [steps[round(place * (len(steps) - 1) / (SHEETS - 1))] for place in range(SHEETS)]


def _about(run: Run) -> dict[str, Any]:
    """What the page says of one run."""
    recipe, most = "(not readable)", max(run.seconds.values(), default=0.0)
    with suppress(InputError):
        recipe = read_text(RunFolder(run.folder).recipe)
    return {
        "label": run.label,
        "state": run.state,
        "folder": str(run.folder),
        "failure": run.failure,
        "warnings": run.warnings,
        "facts": _facts(run),
        "stages": [(name, number(value), 100 * value / most) for name, value in run.seconds.items() if most],
        "pretraining": {
            stage: ", ".join(f"{name} {number(value)}" for name, value in figures.items())
            for stage, figures in run.stages.items()
        },
        "plots": [_drawn(plot) for plot in own_plots(run)],
        "previews": _sheets({f"step {step}": run.previews[step] for step in chosen(list(run.previews))}),
        "evaluated": _sheets(
            {file.parent.name: file for file in sorted((run.folder / "evaluations").glob("*/pictures.png"))}
        ),
        "recipe": recipe,
    }


def _facts(run: Run) -> dict[str, str]:
    start = next(run.of("start"), {})
    frozen, reach = start.get("frozen_parameters"), ""
    match start.get("reach"):  # see `graphcond.training.reach`
        case {"psnr": float() as psnr, "error": float() as error}:
            reach = (
                f"restores them to {psnr:.1f} dB; error without graph {error:.2f} of a linear prediction's"
            )
    facts = {
        "description": str(run.settings.get("description") or ""),
        "started": str(start.get("time", "")),
        "device": str(start.get("device", "")),
        "optimizer steps": progress_of(run),
        "resumed at step": ", ".join(map(str, run.resumed_at)),
        "targets": str(start.get("targets", "")),
        **{f"trained parameters: {name}": f"{count:,}" for name, count in run.parameters.items()},
        "frozen parameters": f"{frozen:,}" if isinstance(frozen, int) else "",
        "base on these pictures": reach,
        "peak memory": memory_of(run) or "",
        "steps per second": "" if not (seconds := run.step_seconds) else number(1 / seconds),
        "size of the folder": decimal(run.size),
    }
    return {name: value for name, value in facts.items() if value}


def _drawn(plot: Plot) -> dict[str, str]:
    return {"title": plot.title, "source": _data("image/svg+xml", plot.svg())}


def _sheets(files: Mapping[str, Path]) -> list[dict[str, str]]:
    sheets = []
    for name, file in files.items():
        with suppress(InputError):  # a damaged picture is left out
            picture = open_picture(file)
            picture.thumbnail((LONGEST, LONGEST), Image.Resampling.LANCZOS)
            stream = io.BytesIO()
            picture.save(stream, "PNG", optimize=True)
            sheets.append({"name": name, "source": _data("image/png", stream.getvalue())})
    return sheets


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"
