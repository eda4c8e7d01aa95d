"""Train the graph adapter on the tiny base, draw held-out paintings, and measure the result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64
from PIL import Image
from rich.console import Console

from graphcond.attributed_graph import AttributedGraph
from graphcond.data.dataset import GraphDataset
from graphcond.demo.figures import draw_grid, draw_guidance
from graphcond.demo.judge import ArtJudge
from graphcond.evaluation import ARMS
from graphcond.evaluation.arms import Arm, DrawSettings, ModelPictures
from graphcond.graphs import save_world
from graphcond.io.files import write_json
from graphcond.io.locks import locked
from graphcond.pipeline import GraphPipeline
from graphcond.progress import progress_bars
from graphcond.recipe import load_recipe
from graphcond.training import train
from graphcond.worlds import ARTISTS, ArtWorld

SCALES = (0.0, 0.5, 1.0, 2.0, 4.0)
"""s_G of the row of growing scales."""

BATCH = 40
STEPS = 8


@dataclass(frozen=True)
class DemoSize:
    """Size of the demo; None trains as many steps as the recipe says."""

    training_steps: int | None = None
    paintings_per_artist: int = 100
    held_out: int = 160
    unseen: int = 60
    swept: int = 60


FULL = DemoSize()
QUICK = DemoSize(training_steps=60, paintings_per_artist=60, held_out=40, unseen=20, swept=20)


@dataclass(frozen=True)
class DemoReport:
    """The figures of the demo, as in ``report.json``.

    Accuracies are shares of held-out nodes. ``by_graph_scale`` is the style accuracy at each s_G.
    """

    style_accuracy: Mapping[str, float]
    subject_accuracy: Mapping[str, float]
    chance: float
    n: int
    unseen_artists: Mapping[str, float]
    by_graph_scale: Mapping[str, float]
    seconds: Mapping[str, float]
    seed: int
    training_steps: int


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    quick: bool = False,
    device: str | None = None,
    console: Console | None = None,
) -> DemoReport:
    """Run the whole demo into ``out``: graph, run, model, grid.png, guidance.png and report.json.

    Args:
        out: folder for everything; the output of an earlier demo there is replaced.
        seed: of the world, the training and the noise.
        quick: fewer steps and pictures, to see that everything works.
        device: where to train and draw.
        console: where to speak.
    """
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / ".lock", "the folder of the demo"):
        return _run_demo(out, seed, QUICK if quick else FULL, device, console)


def _run_demo(
    out: Path, seed: int, size: DemoSize, device: str | None, console: Console | None
) -> DemoReport:
    clock = _Clock()
    with clock.measure("world"), progress_bars() as watch:
        world = ArtWorld(seed=seed, paintings_per_artist=size.paintings_per_artist)
        graph = save_world(world, out / "graph", progress=watch("painting pictures of the world"))
    settings = [f"data={{kind: mmag, path: {str(graph.root)!r}, resolution: 64}}", f"training.seed={seed}"]
    if size.training_steps is not None:
        settings.append(f"training.steps={size.training_steps}")
    recipe = load_recipe("instructg2i", base="tiny", overrides=settings)
    shutil.rmtree(out / "run", ignore_errors=True)
    with clock.measure("training"):
        run = train(recipe, out=out / "run", graph=graph, device=device, console=console)
    run.model.save_pretrained(out / "model")
    with clock.measure("drawing"):
        report = _draw_and_score(GraphPipeline(run.model), graph, out, size, seed, clock)
    write_json(out / "report.json", asdict(report))
    return report


class _Clock:
    """Seconds of each stage, by name."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - start, 1)


def _draw_and_score(
    pipe: GraphPipeline, graph: AttributedGraph, out: Path, size: DemoSize, seed: int, clock: _Clock
) -> DemoReport:
    recipe, judge, rng = pipe.model.recipe, ArtJudge(graph), np.random.default_rng(seed)
    data = GraphDataset(graph)
    held_out = _some(data.rows("test"), size.held_out, rng)
    unseen = _some(data.rows("unseen"), size.unseen, rng)
    with progress_bars() as watch:
        looking = watch("looking at neighbors")
        contexts = data.views(recipe, pipe.model.extractors, forbidden=data.rows("test"), progress=looking)
        maker = ModelPictures(
            pipe, contexts, np.concatenate([held_out, unseen]), DrawSettings(steps=STEPS), shuffle_seed=seed
        )
        drawn = {arm: _draw(maker, held_out, arm, seed, watch(arm.replace("_", " "))) for arm in ARMS}
        unseen_drawn = {
            arm: _draw(maker, unseen, arm, seed, watch(f"unseen artists, {arm.replace('_', ' ')}"))
            for arm in ARMS
        }
        swept = _sweep(maker, judge, held_out[: size.swept], seed, watch("growing s_G"))
        draw_grid(graph, maker, held_out, drawn, judge, out / "grid.png")
        draw_guidance(graph, maker, held_out, SCALES, seed, out / "guidance.png")
    verdicts = {arm: judge.verdict(held_out, pictures) for arm, pictures in drawn.items()}
    return DemoReport(
        style_accuracy={arm: _share(verdict.style) for arm, verdict in verdicts.items()},
        subject_accuracy={arm: _share(verdict.subject) for arm, verdict in verdicts.items()},
        chance=1 / len(ARTISTS),
        n=len(held_out),
        unseen_artists={arm: _share(judge.verdict(unseen, made).style) for arm, made in unseen_drawn.items()},
        by_graph_scale=swept,
        seconds=clock.seconds,
        seed=seed,
        training_steps=recipe.training.steps,
    )


def _some(rows: Int64[np.ndarray, " n"], count: int, rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
    return np.sort(rng.permutation(rows)[:count])


def _draw(
    maker: ModelPictures, rows: Int64[np.ndarray, " n"], arm: Arm, seed: int, progress: Any
) -> list[Image.Image]:
    pictures: list[Image.Image] = []
    progress(0, len(rows))
    for start in range(0, len(rows), BATCH):
        pictures += maker.make(rows[start : start + BATCH], arm, seed)
        progress(len(pictures), len(rows))
    return pictures


def _sweep(
    maker: ModelPictures, judge: ArtJudge, rows: Int64[np.ndarray, " n"], seed: int, progress: Any
) -> dict[str, float]:
    """Style accuracy at each scale, on the same nodes and noise."""
    found = {}
    progress(0, len(SCALES))
    for number, scale in enumerate(SCALES):
        pictures = _draw(
            maker.with_settings(replace(maker.settings, graph_scale=scale)),
            rows,
            "graph",
            seed,
            lambda done, total: None,
        )
        found[f"{scale:g}"] = _share(judge.verdict(rows, pictures).style)
        progress(number + 1, len(SCALES))
    return found


def _share(right: Any) -> float:
    return round(float(np.mean(right)), 4)
