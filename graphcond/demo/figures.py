"""The demo's two pictures: the effect of a graph, and the effect of its scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.demo.judge import WorldJudge
from graphcond.drawing.sheets import Cell, contact_sheet
from graphcond.evaluation.arms import Arm, ModelPictures, noise_of
from graphcond.io.files import atomic_file
from graphcond.io.pictures import open_picture
from graphcond.progress import silent

SHOWN_NEIGHBORS = 3
MIXED = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Scales along each side of the square that mixes two makers."""


def draw_grid(
    judge: WorldJudge,
    maker: ModelPictures,
    rows: Int64[np.ndarray, " n"],
    drawn: Mapping[Arm, Sequence[Image.Image]],
    file: Path,
) -> None:
    """A few targets: some neighbors, the true picture, each arm's picture and whether its style is right."""
    graph, world = judge.graph, judge.world
    verdicts = {arm: judge.verdict(rows, pictures) for arm, pictures in drawn.items()}
    (name,) = maker.contexts
    chosen, wrong = maker.context("graph", name), maker.context("shuffled_graph", name)
    # Only targets whose shuffled graph is not, by chance, by their own maker.
    shares = wrong.agreement(graph.nodes.attributes[world.maker])
    share = dict(zip(wrong.targets.tolist(), shares.tolist(), strict=True))
    shown = _by_turns(judge, rows, np.array([share[row] == 0 for row in rows.tolist()]))
    sheet = []
    for place in shown:
        row = int(rows[place])
        neighbors = chosen.neighbors[np.flatnonzero(chosen.targets == row)[0]]
        there = [_picture(graph, int(one)) for one in neighbors[neighbors != ABSENT][:SHOWN_NEIGHBORS]]
        sheet.append(
            [
                *there,
                *[None] * (SHOWN_NEIGHBORS - len(there)),
                _picture(graph, row),
                *(Cell(drawn[arm][place], good=bool(verdicts[arm].style[place])) for arm in drawn),
            ]
        )
    _save(
        contact_sheet(
            sheet,
            row_labels=[_label(judge, int(rows[place])) for place in shown],
            column_labels=[
                *("neighbor" for _ in range(SHOWN_NEIGHBORS)),
                "true picture",
                *(arm.replace("_", " ") for arm in drawn),
            ],
            title=world.title,
            subtitle=world.subtitle,
            group_starts=(SHOWN_NEIGHBORS, SHOWN_NEIGHBORS + 1),
        ),
        file,
    )


def draw_guidance(
    judge: WorldJudge, maker: ModelPictures, rows: Int64[np.ndarray, " n"], seed: int, file: Path
) -> None:
    """A row of growing s_G for each of three targets, and a square that mixes two makers by their scales."""
    first, second, third = (rows[[place]] for place in _by_turns(judge, rows)[:3])
    growing = [
        [
            maker.with_settings(replace(maker.settings, graph_scale=scale)).make(row, "graph", seed)[0]
            for scale in judge.world.scales
        ]
        for row in (first, second, third)
    ]
    parts = [
        contact_sheet(
            growing,
            row_labels=[_label(judge, int(row[0])) for row in (first, second, third)],
            column_labels=[f"s_G = {scale:g}" for scale in judge.world.scales],
            title="Growing graph scale",
            subtitle="Same prompt, same noise; only the scale of the graph grows.",
        )
    ]
    if judge.world.mixes:
        one, other = (_maker(judge, int(row[0])) for row in (first, third))
        parts.append(
            contact_sheet(
                _mix(judge.graph, maker, first, third, seed),
                row_labels=[f"{one}: {scale:g}" for scale in MIXED],
                column_labels=[f"{other}: {scale:g}" for scale in MIXED],
                title=f"Two graphs at once: {one} and {other}",
                subtitle=f"One scale for each graph: the first row and the first column belong to one "
                f"{judge.world.maker} alone.",
            )
        )
    sheet = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        sheet.paste(part, (0, top))
        top += part.height
    _save(sheet, file)


def _mix(
    graph: AttributedGraph,
    maker: ModelPictures,
    first: Int64[np.ndarray, " 1"],
    second: Int64[np.ndarray, " 1"],
    seed: int,
) -> list[list[Image.Image]]:
    (name,) = maker.contexts
    graphs = [maker.features(row, "graph", name) for row in (first, second)]
    prompt = f"a {graph.nodes.attributes['subject'][int(first[0])]}"
    options = maker.settings.options()

    def draw(scales: list[float]) -> Image.Image:
        return maker.pipeline(
            prompt,
            graphs,
            generator=noise_of(first, seed),
            on_step=silent("mix"),
            **options | {"graph_guidance_scale": scales},
        ).images[0]

    return [[draw([down, across]) for across in MIXED] for down in MIXED]


def _by_turns(
    judge: WorldJudge, rows: Int64[np.ndarray, " n"], allowed: Bool[np.ndarray, " n"] | None = None
) -> list[int]:
    """Places in ``rows``, makers taking turns, with different subjects where possible."""
    facts = judge.facts(rows)
    makers, subjects = facts[judge.world.maker], facts["subject"]
    there = [place for place in range(len(rows)) if allowed is None or allowed[place]]
    chosen: list[int] = []
    while len(chosen) < min(judge.world.rows, len(there)):
        turn: dict[str, int] = {}
        used = {subjects[place] for place in chosen}
        for fresh in (True, False):
            for place in there:
                known = place in chosen or makers[place] in turn or (fresh and subjects[place] in used)
                if not known:
                    turn[makers[place]] = place
                    used.add(subjects[place])
        chosen += [turn[maker] for maker in sorted(turn)]
    return chosen[: judge.world.rows]


def _picture(graph: AttributedGraph, row: int) -> Image.Image | None:
    path = graph.picture_path(row)
    return None if path is None else open_picture(path)


def _label(judge: WorldJudge, row: int) -> str:
    return f"“{judge.graph.nodes.texts[row]}” near {_maker(judge, row)}"


def _maker(judge: WorldJudge, row: int) -> str:
    return judge.graph.nodes.attributes[judge.world.maker][row]


def _save(sheet: Image.Image, file: Path) -> None:
    with atomic_file(file) as temporary:
        sheet.save(temporary, "PNG")
