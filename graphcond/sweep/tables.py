"""The results of a sweep as tables, a plot and a sheet of pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from graphcond.drawing.sheets import Cell, contact_sheet
from graphcond.io.files import write_json, write_text
from graphcond.io.pictures import write_picture
from graphcond.report import Table
from graphcond.report.table import Cell as TableCell
from graphcond.sweep.config import PicturesConfig, SweepConfig
from graphcond.sweep.curves import draw_curves
from graphcond.sweep.results import Group, Results, Value

HEADLINE = ("graph", "")
"""The arms of the main table: pictures drawn with the graph, and figures for which nothing is drawn."""
CONTROLS = ("no_graph", "shuffled_graph")
MOST = 6
"""Metrics that the plot shows, the first ones."""
WIDTH, LINE = 3.2, 0.32
"""Inches of a panel of the plot, and of a line in it."""
SIDE = {"targets": 176, "rows": 88}
"""Pixels of a picture on the sheet, by what its lines are."""

LEARNS = "learns from the graph"

UPDATE = "no_update"
"""The arm with the graph, but without the row's updates of the base."""
UPDATE_LEARNS = "learns by its update"

TICKED = "A tick: all objects are there and all relations hold, whatever the colours."

Record = dict[str, TableCell]


def write_results(config: SweepConfig, results: Results, out: Path) -> None:
    """table.md, table.csv, differences.csv, table.json, table.png; curves.png and pictures.png if asked for.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    findings = [sentence for verdict in config.verdicts for sentence in verdict.make().findings(results)]
    differences = difference_table(results)
    texts = {
        "table.md": to_markdown(config, results, findings),
        "table.csv": main_table(config, results, arrows=False).to_csv(),
    }
    if differences.rows:
        texts["differences.csv"] = differences.to_csv()
    for name, text in texts.items():
        write_text(out / name, text)
    write_json(out / "table.json", to_json(config, results, findings))
    pictures = {"table.png": draw_plot(config, results), "curves.png": draw_curves(config, results)}
    if config.pictures is not None:
        pictures["pictures.png"] = draw_sheet(config.pictures, results)
    for name, picture in pictures.items():
        if picture is not None:
            write_picture(out / name, picture)


def to_markdown(config: SweepConfig, results: Results, findings: list[str]) -> str:
    """All tables, then the findings and what to know about the figures."""
    tables = [main_table(config, results), arm_table(results), gain_table(results), difference_table(results)]
    parts = [config.description, *(table.to_markdown() for table in tables if table.rows)]
    lists = [
        "\n".join(f"- {line}" for line in lines) for lines in (findings, notes_of(config, results)) if lines
    ]
    return "\n\n".join(part.strip() for part in (*parts, *lists) if part) + "\n"


def to_json(config: SweepConfig, results: Results, findings: list[str]) -> dict[str, Any]:
    """Everything that the tables show, and the figures of all arms, as plain values."""
    return {
        "sweep": config.model_dump(mode="json"),
        "rows": [
            {
                **{name: getattr(group, name) for name in ("name", "labels", "seeds", "parts", "parameters")},
                "peak_memory": group.memory,
                "seconds": group.seconds,
                "processor_seconds": group.processor_seconds,
                "figures": [
                    {"metric": metric, "arm": arm}
                    | {  # without their name, which is that of the metric
                        name: None if one is None else {key: one[key] for key in one if key != "name"}
                        for name, one in asdict(value).items()
                    }
                    for (metric, arm), value in group.values.items()
                ],
                "failed": {str(seed): reason for seed, reason in group.failed.items()},
            }
            for group in results.groups
        ],
        "reference": results.reference,
        "differences": difference_table(results).to_json(),
        "gains": gain_table(results).to_json(),
        "findings": findings,
        "notes": notes_of(config, results),
    }


def main_table(config: SweepConfig, results: Results, *, arrows: bool = True) -> Table:
    """A line for each row: its parts where they differ, what it costs, and its figures."""
    differing = [
        part
        for part in ("sampler", "encoder", "injector")
        if len({g.parts[part] for g in results.groups}) > 1
    ]
    keys = [key for key in results.keys if key[1] in HEADLINE]
    records = []
    for group in results.groups:
        record: Record = {"row": group.name}
        if len(config.seeds) > 1:
            record["seeds"] = len(group.seeds)
        record |= {part: group.parts[part] for part in differing}
        if any(one.parameters is not None for one in results.groups):
            record["parameters"] = group.parameters
            record["peak memory (MB)"] = None if group.memory is None else round(group.memory / 1e6)
            record["training (s)"] = None if group.seconds is None else round(group.seconds, 1)
        if any(one.processor_seconds is not None for one in results.groups):
            spent = group.processor_seconds
            record["processor (s)"] = None if spent is None else round(spent, 1)
        for key in keys:
            name, value = heading(results, key[0]) if arrows else key[0], group.values.get(key)
            record[name] = None if value is None else value.over_targets
            if len(config.seeds) > 1:
                record[f"{name} over seeds"] = None if value is None else value.over_seeds
            if key[0] == config.headline:
                record |= arms_of(results, group, key[0])
        if any(one.failed for one in results.groups):
            record["failed"] = "; ".join(dict.fromkeys(group.failed.values()))
        records.append(record)
    return Table.of(records, title=config.name)


def arms_of(results: Results, group: Group, metric: str) -> Record:
    """A metric in the other arms, and in words whether the graph, and the row's update, add to it."""
    questions = {LEARNS: CONTROLS, UPDATE_LEARNS: (UPDATE,)}
    asked = {
        what: arms for what, arms in questions.items() if {(metric, arm) for arm in arms} & {*results.keys}
    }
    values = {arm: group.values.get((metric, arm)) for arms in asked.values() for arm in arms}
    reference = results.reference_of(group)
    beside = reference and results.difference(group.name, reference.name, (metric, "graph"))
    return {
        **{arm.replace("_", " "): value.over_targets if value else None for arm, value in values.items()},
        **{what: _gains(results, group, metric, arms) for what, arms in asked.items()},
        f"beside {results.reference}": beside.verdict if beside else None,
    }


def _gains(results: Results, group: Group, metric: str, over: Sequence[str]) -> str | None:
    """Whether a metric is better with the graph than in other arms; None where none of them was drawn."""
    found = [gain.verdict for arm in over if (gain := results.gain(group.name, metric, arm)) is not None]
    return ("yes" if {*found} == {"better"} else "no") if found else None


def arm_table(results: Results) -> Table:
    """The figures of all arms, where there are several."""
    arms = list(dict.fromkeys(arm for _, arm in results.keys if arm))
    metrics = list(dict.fromkeys(metric for metric, arm in results.keys if arm in CONTROLS))
    records: list[Record] = []
    for group in results.groups if len(arms) > 1 else ():
        for arm in arms:
            found = {key: group.values[key] for m in metrics if (key := (m, arm)) in group.values}
            if found:
                cells = {heading(results, metric): one.over_targets for (metric, _), one in found.items()}
                records.append({"row": group.name, "arm": arm.replace("_", " "), **cells})
    return Table.of(records, title="By what was drawn")


def gain_table(results: Results) -> Table:
    """What the graph adds to each metric, where there are arms without it or with a wrong one."""
    records = [
        {
            "row": group.name,
            "metric": metric,
            "over": control.replace("_", " "),
            **_cells(gain.value),
            "verdict": gain.verdict,
        }
        for group in results.groups
        for metric, arm in group.values
        if arm == "graph"
        for control in (*CONTROLS, UPDATE)
        if (gain := results.gain(group.name, metric, control)) is not None
    ]
    return Table.of(records, title="What the graph adds, paired by target")


def difference_table(results: Results) -> Table:
    """Every figure of every row less that of the reference row."""
    records = [
        {"row": group.name, "metric": metric, **_cells(found.value), "verdict": found.verdict}
        for group in results.groups
        if (reference := results.reference_of(group)) is not None
        for metric, arm in group.values
        if arm in HEADLINE and results.higher_is_better(metric) is not None
        if (found := results.difference(group.name, reference.name, (metric, arm))) is not None
    ]
    return Table.of(records, title=f"Differences to {results.reference}, paired by target")


def notes_of(config: SweepConfig, results: Results) -> list[str]:
    """What to know about the figures."""
    notes: list[str] = []
    if results.keys:
        notes.append(
            "in brackets 95 % intervals over n targets, the same targets and noise for every row, "
            f"seed {results.seed}"
        )
    if len(config.seeds) > 1:
        notes.append(
            f"every row is the mean of the seeds {', '.join(map(str, config.seeds))}; the intervals over "
            "seeds are Student's t"
        )
    if any(results.reference_of(group) is not None for group in results.groups):
        notes.append('"better" and "worse" stand only where no interval of the difference holds 0')
    if config.headline is not None:
        notes.append(f"{LEARNS}: {config.headline} is better than without graph and than with a wrong one")
        if any(arm == UPDATE for _, arm in results.keys):
            notes.append(
                f"{UPDATE_LEARNS}: {config.headline} is better than by the same model without its update"
            )
    unpaired = [
        group.name
        for group in results.groups
        if (reference := results.reference_of(group)) is not None
        and any(
            results.difference(group.name, reference.name, key) is None
            for key in group.values
            if key in reference.values
        )
    ]
    if unpaired:
        notes.append(
            f"not compared with {results.reference}, since targets or networks differ: {', '.join(unpaired)}"
        )
    figures = [one for group in results.groups for ones in group.figures.values() for one in ones]
    looked: dict[str, dict[str, None]] = {}
    for one in figures:
        looked.setdefault(one.network, {})[one.metric] = None
    notes += [f"{', '.join(names)} by {eye}" for eye, names in looked.items() if eye != "no network"]
    for note in dict.fromkeys(note for group in results.groups for note in group.notes):
        rows = [group.name for group in results.groups if note in group.notes]
        notes.append(note if len(rows) == len(results.groups) else f"{note} ({', '.join(rows)})")
    for group in results.groups:
        notes += [f"{group.name} failed (seed {seed}): {reason}" for seed, reason in group.failed.items()]
    return notes


def draw_plot(config: SweepConfig, results: Results) -> Image.Image | None:
    """A panel for each metric, a line for each row: its figure with its interval; None without figures.

    Intervals over seeds are drawn thicker behind those over targets.
    """
    keys = [key for key in results.keys if key[1] in HEADLINE][:MOST]
    groups = [group for group in results.groups if group.values]
    if not keys or not groups:
        return None
    size = (2.6 + WIDTH * len(keys), 1.1 + LINE * len(groups))
    figure = Figure(figsize=size, dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    for panel, key in zip(panels, keys, strict=True):
        for place, group in enumerate(groups):
            value = group.values.get(key)
            if value is None:
                continue
            for one, width, color in ((value.over_seeds, 5, "#c9d3e3"), (value.over_targets, 1.5, "#2b4c7e")):
                if one is not None:
                    panel.plot([one.low, one.high], [place, place], color=color, linewidth=width)
            panel.plot([value.over_targets.mean], [place], "o", color="#2b4c7e", markersize=4)
        panel.set_title(heading(results, key[0]), fontsize=9)
        panel.grid(axis="x", alpha=0.3)
        panel.tick_params(labelsize=8)
    panels[0].set_yticks(range(len(groups)), [group.name for group in groups])
    panels[0].invert_yaxis()
    figure.suptitle(f"{config.name}: 95 % intervals", fontsize=10)
    with io.BytesIO() as stream:
        figure.savefig(stream, format="png", metadata={"Software": None})
        return Image.open(stream).convert("RGB")


def draw_sheet(config: PicturesConfig, results: Results) -> Image.Image | None:
    """For each target its scene graph, its true picture, and that of each row; None without any."""
    shown = [group for group in results.groups if group.examples and fnmatchcase(group.name, config.rows)]
    if not shown:
        return None
    first, count = shown[0], min(len(group.examples) for group in shown)
    lines: list[list[Image.Image | Cell | None]] = [
        [Cell(group.examples[place].drawn, good=group.examples[place].right) for group in shown]
        for place in range(count)
    ]
    labels = [group.name for group in shown]
    for name, label in (("truth", "true picture"), ("graph", "graph")):
        column = [getattr(example, name) for example in first.examples[:count]]
        if any(picture is not None for picture in column):
            lines = [[picture, *line] for picture, line in zip(column, lines, strict=True)]
            labels = [label, *labels]
    across, down = labels, [example.label for example in first.examples[:count]]
    if config.lines == "rows":
        across, down, lines = down, across, [list(column) for column in zip(*lines, strict=True)]
    return contact_sheet(
        lines,
        row_labels=down,
        column_labels=across,
        title=config.title,
        subtitle=TICKED if any(group.examples[0].right is not None for group in shown) else None,
        cell=SIDE[config.lines],
        group_starts={len(labels) - len(shown)} - {0} if config.lines == "targets" else (),
    )


def heading(results: Results, metric: str) -> str:
    """A metric with an arrow to where it is better."""
    better = results.higher_is_better(metric)
    return metric if better is None else f"{metric} {'↑' if better else '↓'}"


def _cells(value: Value) -> Record:
    seeds = {} if value.over_seeds is None else {"over seeds": value.over_seeds}
    return {"difference": value.over_targets, **seeds}
