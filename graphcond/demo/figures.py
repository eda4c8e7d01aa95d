"""The demo's two pictures: the effect of a graph, and the effect of its scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64
from PIL import Image

from graphcond.attributed_graph import ABSENT, AttributedGraph
from graphcond.demo.judge import ArtJudge
from graphcond.drawing.sheets import Cell, contact_sheet
from graphcond.evaluation.arms import Arm, ModelPictures, noise_of
from graphcond.io.files import atomic_file
from graphcond.io.pictures import open_picture
from graphcond.progress import silent

SHOWN_NEIGHBORS = 3
ROWS = 8
"""Rows of the grid, each by another artist."""

MIXED = (0.0, 0.5, 1.0, 1.5, 2.0)
"""Scales along each side of the square that mixes two artists."""


def draw_grid(
    graph: AttributedGraph,
    maker: ModelPictures,
    rows: Int64[np.ndarray, " n"],
    drawn: Mapping[Arm, Sequence[Image.Image]],
    judge: ArtJudge,
    file: Path,
) -> None:
    """A few targets: some neighbors, the true picture, each arm's picture and whether its style is right."""
    verdicts = {arm: judge.verdict(rows, pictures) for arm, pictures in drawn.items()}
    (name,) = maker.contexts
    chosen, wrong = maker.context("graph", name), maker.context("shuffled_graph", name)
    # Only targets whose shuffled graph is not, by chance, by their own artist.
    shares = wrong.agreement(graph.nodes.attributes["artist"])
    share = dict(zip(wrong.targets.tolist(), shares.tolist(), strict=True))
    shown = _one_of_each_artist(graph, rows, np.array([share[row] == 0 for row in rows.tolist()]))
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
    labels = [_label(graph, int(rows[place])) for place in shown]
    _save(
        contact_sheet(
            sheet,
            row_labels=labels,
            column_labels=[
                *("neighbor" for _ in range(SHOWN_NEIGHBORS)),
                "true picture",
                *(arm.replace("_", " ") for arm in drawn),
            ],
            title="A graph decides the style, the prompt decides the subject",
            subtitle="Held-out paintings whose wrong graph is another artist's. The prompt never names the "
            "artist; a tick means that the oracle sees the right artist's style.",
            group_starts=(SHOWN_NEIGHBORS, SHOWN_NEIGHBORS + 1),
        ),
        file,
    )


def draw_guidance(
    graph: AttributedGraph,
    maker: ModelPictures,
    rows: Int64[np.ndarray, " n"],
    scales: Sequence[float],
    seed: int,
    file: Path,
) -> None:
    """A row of growing s_G for each of three targets, and a square that mixes two artists by their scales."""
    first, second, third = (rows[[place]] for place in _one_of_each_artist(graph, rows)[:3])
    growing = [
        [
            maker.with_settings(replace(maker.settings, graph_scale=scale)).make(row, "graph", seed)[0]
            for scale in scales
        ]
        for row in (first, second, third)
    ]
    top = contact_sheet(
        growing,
        row_labels=[_label(graph, int(row[0])) for row in (first, second, third)],
        column_labels=[f"s_G = {scale:g}" for scale in scales],
        title="Growing graph scale",
        subtitle="Same prompt, same noise; only the scale of the graph grows.",
    )
    bottom = contact_sheet(
        _mix(graph, maker, first, third, seed),
        row_labels=[f"{_artist(graph, first)}: {scale:g}" for scale in MIXED],
        column_labels=[f"{_artist(graph, third)}: {scale:g}" for scale in MIXED],
        title=f"Two graphs at once: {_artist(graph, first)} and {_artist(graph, third)}",
        subtitle="One scale for each graph: the first row and the first column belong to one artist alone.",
    )
    sheet = Image.new("RGB", (max(top.width, bottom.width), top.height + bottom.height), "white")
    sheet.paste(top, (0, 0))
    sheet.paste(bottom, (0, top.height))
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


def _one_of_each_artist(
    graph: AttributedGraph, rows: Int64[np.ndarray, " n"], allowed: Bool[np.ndarray, " n"] | None = None
) -> list[int]:
    """Places in ``rows``, the first allowed of each artist, with different subjects where possible."""
    artists, subjects = graph.nodes.attributes["artist"], graph.nodes.attributes["subject"]
    chosen: dict[str, int] = {}
    used: set[str] = set()
    for fresh in (True, False):
        for place, row in enumerate(rows.tolist()):
            if allowed is not None and not allowed[place]:
                continue
            if artists[row] not in chosen and not (fresh and subjects[row] in used):
                chosen[artists[row]] = place
                used.add(subjects[row])
    return [chosen[artist] for artist in sorted(chosen)][:ROWS]


def _picture(graph: AttributedGraph, row: int) -> Image.Image | None:
    path = graph.picture_path(row)
    return None if path is None else open_picture(path)


def _label(graph: AttributedGraph, row: int) -> str:
    return f"“{graph.nodes.texts[row]}” near {graph.nodes.attributes['artist'][row]}"


def _artist(graph: AttributedGraph, row: Int64[np.ndarray, " 1"]) -> str:
    return graph.nodes.attributes["artist"][int(row[0])]


def _save(sheet: Image.Image, file: Path) -> None:
    with atomic_file(file) as temporary:
        sheet.save(temporary, "PNG")
