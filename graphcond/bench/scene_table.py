"""The comparison of scene recipes as Markdown, JSON and one picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from graphcond.bench.scene_exam import SceneExamples
from graphcond.bench.scene_verdict import spoken
from graphcond.bench.scenes import METRICS, SceneBench, SceneRow
from graphcond.drawing.sheets import Cell, contact_sheet
from graphcond.evaluation import Measurement, PictureSet, match_scene
from graphcond.io.files import atomic_file, write_json
from graphcond.scene_graph import sentence_of
from graphcond.scenes import draw_graph

HEADLINES = {
    "object_occurrence": "objects",
    "attribute_accuracy": "attributes",
    "relation_accuracy": "relations",
}
FURTHER = tuple(name for name in METRICS if name not in HEADLINES)
SIDE = 176
ARM_ORDER = ("graph", "no_graph", "shuffled_graph")


def to_markdown(bench: SceneBench) -> str:
    """The tables for a document, followed by their findings."""
    return "\n".join(
        [
            f"n = {bench.n} held-out graphs, the same graphs and noise for every experiment and arm, "
            f"{bench.steps} denoising steps, seed {bench.seed}; in brackets 95 % intervals over graphs. "
            'Prompts say "an image", and boxes are kept from all experiments: only graphs tell what to draw.',
            "",
            *_experiments(bench.rows),
            "",
            "Shares in percent: objects of the graph in the picture, attributes right, relations that hold "
            "between objects that are there.",
            "",
            *_headlines(bench.rows),
            "",
            f"Swap test: {bench.pairs} pairs of graphs that differ in who is where, from the same noise. "
            "Chance: the same objects, at the places of other pairs; a model that cannot tell the two "
            "graphs apart draws one picture twice, and gets none right.",
            "",
            *_swaps(bench.rows),
            "",
            "Further figures of the pictures drawn with the graph.",
            "",
            *_further(bench.rows),
            "",
            *(f"- {finding}" for finding in bench.findings),
            *(
                f"- {note}"
                for note in bench.rows[0].scores.report.cautions
                if note.split(":")[0] in HEADLINES
            ),
            "",
        ]
    )


def write_bench(bench: SceneBench, examples: SceneExamples, out: Path) -> None:
    """scenes.json, scenes.md and scenes.png.

    Raises:
        StorageError: the place refuses, or its disk is full.
    """
    write_json(out / "scenes.json", bench.to_json())
    with atomic_file(out / "scenes.md") as temporary:
        temporary.write_text(to_markdown(bench), encoding="utf-8")
    sheet = draw_sheet(examples)
    with atomic_file(out / "scenes.png") as temporary:
        sheet.save(temporary, "PNG")


def draw_sheet(examples: SceneExamples) -> Image.Image:
    """A row for each graph: the graph, its true picture, and each experiment's, ticked where it is right."""
    graphs = examples.targets.scenes
    truths = [*examples.targets.truths.pictures, *([None] * len(graphs))][: len(graphs)]
    columns = {name: _marked(examples, made) for name, made in examples.made.items()}
    rows: list[list[Image.Image | Cell | None]] = [
        [draw_graph(graph, size=2 * SIDE), truths[place], *(cells[place] for cells in columns.values())]
        for place, graph in enumerate(graphs)
    ]
    return contact_sheet(
        rows,
        row_labels=[sentence_of(graph) for graph in graphs],
        column_labels=["graph", "true picture", *columns],
        title="The same graphs and noise, drawn by each experiment",
        subtitle="A tick: all objects are there and all relations hold, whatever the colours.",
        cell=SIDE,
        group_starts=(2,),
    )


def _marked(examples: SceneExamples, made: Sequence[Image.Image]) -> list[Cell]:
    graphs = examples.targets.scenes
    seen = PictureSet(made).detected(examples.detector, graphs)
    return [
        Cell(picture, good=match_scene(graph, found).related)
        for picture, graph, found in zip(made, graphs, seen, strict=True)
    ]


def _experiments(rows: Sequence[SceneRow]) -> Iterator[str]:
    yield "| experiment | conditioning | enters by | trained parameters | training | swap test |"
    yield "|---|---|---|---:|---:|---:|"
    for row in rows:
        facts = row.facts
        seconds = "resumed" if facts.seconds is None else f"{facts.seconds:.0f} s"
        yield _line(
            facts.name,
            facts.conditioning,
            facts.enters,
            f"{facts.parameters:,}",
            seconds,
            spoken(row.scores.swap.both),
        )


def _headlines(rows: Sequence[SceneRow]) -> Iterator[str]:
    yield _line("experiment", "arm", *(f"{name} ↑" for name in HEADLINES.values()))
    yield "|---|---|---:|---:|---:|"
    for row in rows:
        for arm in ARM_ORDER:
            figures = (spoken(row.figure(metric, arm)) for metric in HEADLINES)
            yield _line(row.facts.name if arm == ARM_ORDER[0] else "", arm.replace("_", " "), *figures)


def _swaps(rows: Sequence[SceneRow]) -> Iterator[str]:
    yield "| experiment | both pictures right ↑ | both show the objects | chance |"
    yield "|---|---:|---:|---:|"
    for row in rows:
        swap = row.scores.swap
        yield _line(row.facts.name, spoken(swap.both), spoken(swap.objects), spoken(swap.chance))


def _further(rows: Sequence[SceneRow]) -> Iterator[str]:
    names = [name for name in FURTHER if name in rows[0].scores.report.arms["graph"]]
    yield _line("experiment", *(f"{name} ↑" for name in names), "diversity (without graph)")
    yield _line("---", *("---:" for _ in names), "---:")
    for row in rows:
        drawn, free = row.scores.diversity["graph"], row.scores.diversity["no_graph"]
        yield _line(
            row.facts.name,
            *(_plain(row.figure(name)) for name in names),
            f"{_plain(drawn)} ({free.mean:.3f}), n = {drawn.n}",
        )


def _plain(figure: Measurement) -> str:
    return f"{figure.mean:.3f} [{figure.low:.3f}, {figure.high:.3f}]"


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"
