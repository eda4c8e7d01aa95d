"""Comparison of samplers by the pictures of one model from the same noise, at three levels of noise edges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from PIL import Image

from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
from graphcond.bench.verdict import paper_order
from graphcond.data.contexts import GraphContexts
from graphcond.data.dataset import GraphDataset
from graphcond.data.open import open_data
from graphcond.evaluation import Measurement, PictureSet, build_metrics, score_pictures
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.evaluation.metrics.registry import Networks
from graphcond.evaluation.targets import FACTS, art_oracle, targets_of
from graphcond.intervals import bootstrap_interval
from graphcond.pipeline import GraphPipeline
from graphcond.progress import Progress, Watch, silent
from graphcond.recipe.sections import WorldData
from graphcond.samplers import SAMPLERS
from graphcond.samplers.defaults import RIVALS
from graphcond.worlds import NOISE_LEVELS

SHARE, STYLE, DISTANCE = "same_artist_share", "style_accuracy", "oracle_distance"
METRICS = (STYLE, DISTANCE)

BATCH = 40
STEPS = 8


@dataclass(frozen=True)
class SamplerRow:
    """The figures of one sampler at one level of noise."""

    noise: str
    sampler: str
    figures: Mapping[str, Measurement]


@dataclass(frozen=True)
class SamplerBench:
    """All rows, and a comparison with the order that the paper found."""

    rows: tuple[SamplerRow, ...]
    findings: tuple[str, ...]
    n: int
    seed: int

    def to_json(self) -> dict[str, Any]:
        """The table as plain values."""
        return asdict(self)


def bench_samplers(
    pipe: GraphPipeline,
    *,
    limit: int = 120,
    seed: int = 0,
    watch: Watch = silent,
) -> tuple[SamplerBench, dict[str, list[Image.Image]]]:
    """Compare samplers on the art world with one model; also gives the first pictures of every row.

    Args:
        pipe: a model trained on the art world.
        limit: held-out targets at each level.
        seed: of the worlds, the noise and the samplers' random choices.
        watch: progress, by task.
    """
    rows: list[SamplerRow] = []
    examples: dict[str, list[Image.Image]] = {}
    for level, noise in NOISE_LEVELS.items():
        data = open_data(WorldData(noise=noise, seed=seed), progress=watch(f"{level}: painting the world"))
        graph = data.graph
        embeddings = GraphDataset(graph).embed(pipe.model.extractors, watch(f"{level}: embedding"))
        held_out = data.rows("test")
        targets = np.sort(np.random.default_rng(seed).permutation(held_out)[:limit])
        drawn, shares = _draw_all(
            pipe, graph, embeddings, targets, held_out, seed, watch(f"{level}: drawing")
        )
        rows += _score(level, graph, targets, drawn, shares, seed)
        examples |= {f"{level}, {name}": pictures[:6] for name, pictures in drawn.items()}
    bench = SamplerBench(tuple(rows), (), n=len(targets), seed=seed)
    return replace(bench, findings=tuple(paper_order(bench.rows))), examples


def _draw_all(
    pipe: GraphPipeline,
    graph: AttributedGraph,
    embeddings: NodeEmbeddings,
    targets: Int64[np.ndarray, " n"],
    forbidden: Int64[np.ndarray, " f"],
    seed: int,
    progress: Progress,
) -> tuple[dict[str, list[Image.Image]], dict[str, np.ndarray]]:
    drawn: dict[str, list[Image.Image]] = {}
    shares: dict[str, np.ndarray] = {}
    (condition,) = pipe.model.conditions
    for number, (name, settings) in enumerate(RIVALS.items()):
        config: Any = SAMPLERS[settings["kind"]].model_validate(settings)
        sampler = config.build(graph=graph, embeddings=embeddings, forbidden=forbidden)
        contexts = GraphContexts(graph, sampler, embeddings, seed=seed)
        maker = ModelPictures(pipe, {condition: contexts}, targets, DrawSettings(steps=STEPS))
        shares[name] = maker.context("graph", condition).agreement(graph.nodes.attributes["artist"])
        batches = [targets[start : start + BATCH] for start in range(0, len(targets), BATCH)]
        drawn[name] = [picture for batch in batches for picture in maker.make(batch, "graph", seed)]
        progress(number + 1, len(RIVALS))
    return drawn, shares


def _score(
    level: str,
    graph: AttributedGraph,
    targets: Int64[np.ndarray, " n"],
    drawn: Mapping[str, Sequence[Image.Image]],
    shares: Mapping[str, np.ndarray],
    seed: int,
) -> list[SamplerRow]:
    truth = targets_of(GraphDataset(graph), targets, 64, FACTS)
    metrics = build_metrics(METRICS, Networks(oracle=art_oracle()))
    pictures = {name: PictureSet(made) for name, made in drawn.items()}
    report = score_pictures(pictures, truth, metrics, title=level, seed=seed)
    rows = []
    for name in RIVALS:
        low, high = bootstrap_interval(shares[name], seed=seed)
        share = Measurement(SHARE, float(shares[name].mean()), low, high, len(targets))
        rows.append(SamplerRow(level, name, {SHARE: share, **report.arms[name]}))
    return rows


def to_markdown(bench: SamplerBench) -> str:
    """The table for a README, followed by its findings."""
    lines = [
        f"n = {bench.n} held-out targets at each level, the same noise for every sampler; 95 % intervals.",
        "",
        f"| noise edges | sampler | {SHARE} ↑ | {STYLE} ↑ | {DISTANCE} ↓ |",
        "|---|---|---:|---:|---:|",
    ]
    for row in bench.rows:
        figures = [row.figures[name] for name in (SHARE, *METRICS)]
        cells = " | ".join(f"{f.mean:.3f} [{f.low:.3f}, {f.high:.3f}]" for f in figures)
        lines.append(f"| {row.noise} | {row.sampler} | {cells} |")
    lines += ["", *(f"- {finding}" for finding in bench.findings)]
    return "\n".join(lines) + "\n"


def write_bench(bench: SamplerBench, examples: Mapping[str, Sequence[Image.Image]], out: Path) -> None:
    """samplers.json, samplers.md and samplers.png (the first targets of the hardest level)."""
    from graphcond.drawing.sheets import contact_sheet
    from graphcond.io.files import atomic_file, write_json

    write_json(out / "samplers.json", bench.to_json())
    with atomic_file(out / "samplers.md") as temporary:
        temporary.write_text(to_markdown(bench), encoding="utf-8")
    hardest = {name: made for name, made in examples.items() if name.startswith(list(NOISE_LEVELS)[-1])}
    sheet = contact_sheet(
        list(hardest.values()),
        row_labels=list(hardest),
        title="The same targets and noise, neighbors chosen by seven samplers",
    )
    with atomic_file(out / "samplers.png") as temporary:
        sheet.save(temporary, "PNG")
