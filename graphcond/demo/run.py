"""Train the graph adapter on a base in the package, draw held-out pictures, and measure the result."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image
from rich.console import Console

from graphcond.bases.config import packaged_bases
from graphcond.data.dataset import GraphDataset
from graphcond.demo.figures import draw_grid, draw_guidance
from graphcond.demo.judge import WorldJudge
from graphcond.demo.worlds import DEFAULT, WORLDS, DemoSize
from graphcond.errors import InputError, did_you_mean
from graphcond.evaluation import ARMS
from graphcond.evaluation.arms import Arm, DrawSettings, ModelPictures
from graphcond.graphs import save_world
from graphcond.intervals import bootstrap_interval
from graphcond.io.files import write_json
from graphcond.io.locks import locked
from graphcond.io.pictures import from_pixels, open_picture, to_pixels
from graphcond.pipeline import GraphPipeline
from graphcond.progress import progress_bars
from graphcond.recipe import load_recipe
from graphcond.training import train

BATCH = 40

QUICK = DemoSize(training_steps=60, paintings_per_artist=60, held_out=40, unseen=20, swept=20)


Shares: TypeAlias = Mapping[str, float]
"""The share of pictures that are right, by arm."""

Spans: TypeAlias = Mapping[str, tuple[float, float]]
"""The 95 % interval of each of them."""


@dataclass(frozen=True)
class DemoReport:
    """The figures of the demo, as in ``report.json``.

    Accuracies are shares of held-out nodes, by arm. ``by_graph_scale`` is the style accuracy at each s_G.
    ``unseen`` is about targets by makers that were never targets in training, with its own chance and count;
    ``unseen_artists`` repeats its shares. ``judge`` is how often the judge is right about the true pictures
    of the same nodes, as they are and as the base's autoencoder returns them. ``intervals`` are of 95 %.
    """

    world: str
    base: str
    style_accuracy: Shares
    subject_accuracy: Shares
    chance: float
    n: int
    unseen: Shares
    unseen_artists: Shares
    intervals: Mapping[str, Spans]
    judge: Mapping[str, Shares]
    by_graph_scale: Shares
    seconds: Mapping[str, float]
    seed: int
    training_steps: int


def run_demo(
    out: Path,
    *,
    world: str = DEFAULT,
    base: str | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str | None = None,
    console: Console | None = None,
) -> DemoReport:
    """Run the whole demo into ``out``: graph, run, model, grid.png, guidance.png and report.json.

    Args:
        out: folder for everything; the output of an earlier demo there is replaced.
        world: the pictures that are shown: ``art`` or ``emoji``.
        base: another base in the package that draws them: ``tiny-dit`` for ``art``.
        seed: of the world, the training and the noise.
        quick: fewer steps and pictures, to see that everything works.
        device: where to train and draw.
        console: where to speak.

    Raises:
        InputError: there is no such world, or the base does not draw it or is not in this installation.
    """
    if world not in WORLDS:
        raise InputError(
            f"there is no world '{world}' to show", place="--world", remedy=did_you_mean(world, WORLDS)
        )
    drawing = [kind for kind, config in packaged_bases().items() if config.graph_world == world]
    if base is not None and base not in drawing:
        raise InputError(
            f"no base '{base}' draws the world '{world}'",
            place="--base",
            remedy=f"expected {' or '.join(drawing)}",
        )
    out.mkdir(parents=True, exist_ok=True)
    with locked(out / ".lock", "the folder of the demo"):
        return _run_demo(out, world, base, seed, QUICK if quick else WORLDS[world].full, device, console)


def _run_demo(
    out: Path,
    name: str,
    base: str | None,
    seed: int,
    size: DemoSize,
    device: str | None,
    console: Console | None,
) -> DemoReport:
    clock, world = _Clock(), WORLDS[name]
    settings = [
        *world.settings,
        f"data={{kind: mmag, path: {str(out / 'graph')!r}, resolution: 64}}",
        f"training.seed={seed}",
    ]
    if size.training_steps is not None:
        settings.append(f"training.steps={size.training_steps}")
    recipe = load_recipe("instructg2i", base=base or world.base, overrides=settings)
    recipe.base.check()
    with clock.measure("world"), progress_bars() as watch:
        graph = save_world(
            world.build(seed, size), out / "graph", progress=watch("painting pictures of the world")
        )
    shutil.rmtree(out / "run", ignore_errors=True)
    with clock.measure("training"):
        run = train(recipe, out=out / "run", graph=graph, device=device, console=console)
    run.model.save_pretrained(out / "model")
    with clock.measure("drawing"):
        exam = _Exam(GraphPipeline(run.model), WorldJudge(graph, world), size, seed)
        figures = exam.draw(out)
    report = DemoReport(
        world=name,
        base=recipe.base.kind,
        **figures,
        seconds=clock.seconds,
        seed=seed,
        training_steps=recipe.training.steps,
    )
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


class _Exam:
    """Held-out targets and those by unseen makers, drawn and judged."""

    def __init__(self, pipe: GraphPipeline, judge: WorldJudge, size: DemoSize, seed: int) -> None:
        self.pipe, self.judge, self.size, self.seed = pipe, judge, size, seed
        data, rng = GraphDataset(judge.graph), np.random.default_rng(seed)
        self.held_out = _some(data.rows("test"), size.held_out, rng)
        self.unseen = _some(data.rows("unseen"), size.unseen, rng)
        with progress_bars() as watch:
            looking = watch("looking at neighbors")
            self.maker = ModelPictures(
                pipe,
                data.views(
                    pipe.model.recipe, pipe.model.extractors, forbidden=data.rows("test"), progress=looking
                ),
                np.concatenate([self.held_out, self.unseen]),
                DrawSettings(steps=judge.world.steps),
                shuffle_seed=seed,
            )

    def draw(self, out: Path) -> dict[str, Any]:
        """Draw everything, write both pictures into ``out`` and return the figures of `DemoReport`."""
        judge, maker, world = self.judge, self.maker, self.judge.world
        with progress_bars() as watch:
            drawn = {arm: self._draw(self.held_out, arm, watch(arm.replace("_", " "))) for arm in ARMS}
            foreign = {
                arm: self._draw(self.unseen, arm, watch(f"unseen {world.makers}, {arm.replace('_', ' ')}"))
                for arm in ARMS
            }
            swept = self._sweep(watch("growing s_G"))
            draw_grid(judge, maker, self.held_out, drawn, out / "grid.png")
            draw_guidance(judge, maker, self.held_out, self.seed, out / "guidance.png")
        verdicts = {arm: judge.verdict(self.held_out, pictures) for arm, pictures in drawn.items()}
        right = {
            "style_accuracy": {arm: verdict.style for arm, verdict in verdicts.items()},
            "subject_accuracy": {arm: verdict.subject for arm, verdict in verdicts.items()},
            "unseen": {
                arm: judge.verdict(self.unseen, pictures, unseen=True).style
                for arm, pictures in foreign.items()
            },
        }
        shares = {what: {arm: _share(one) for arm, one in arms.items()} for what, arms in right.items()}
        return {
            "style_accuracy": shares["style_accuracy"],
            "subject_accuracy": shares["subject_accuracy"],
            "chance": judge.chance(),
            "n": len(self.held_out),
            "unseen": {**shares["unseen"], "chance": judge.chance(unseen=True), "n": len(self.unseen)},
            "unseen_artists": shares["unseen"],
            "intervals": {
                what: {arm: _span(one, self.seed) for arm, one in arms.items()}
                for what, arms in right.items()
            },
            "judge": self._judged(),
            "by_graph_scale": swept,
        }

    def _draw(
        self, rows: Int64[np.ndarray, " n"], arm: Arm, progress: Any, maker: ModelPictures | None = None
    ) -> list[Image.Image]:
        pictures: list[Image.Image] = []
        progress(0, len(rows))
        for start in range(0, len(rows), BATCH):
            pictures += (maker or self.maker).make(rows[start : start + BATCH], arm, self.seed)
            progress(len(pictures), len(rows))
        return pictures

    def _sweep(self, progress: Any) -> dict[str, float]:
        """Style accuracy at each scale, on the same nodes and noise."""
        found, scales = {}, self.judge.world.scales
        rows = self.held_out[: self.size.swept]
        progress(0, len(scales))
        for number, scale in enumerate(scales):
            maker = self.maker.with_settings(replace(self.maker.settings, graph_scale=scale))
            pictures = self._draw(rows, "graph", lambda done, total: None, maker)
            found[f"{scale:g}"] = _share(self.judge.verdict(rows, pictures).style)
            progress(number + 1, len(scales))
        return found

    def _judged(self) -> dict[str, dict[str, float]]:
        """How often the judge is right about true pictures, as they are and rebuilt by the base."""
        true, foreign = (self._true(rows) for rows in (self.held_out, self.unseen))
        found: dict[str, dict[str, float]] = {"style_accuracy": {}, "subject_accuracy": {}, "unseen": {}}
        for kind, change in (("real", list), ("rebuilt", self._rebuilt)):
            verdict = self.judge.verdict(self.held_out, change(true))
            new = self.judge.verdict(self.unseen, change(foreign), unseen=True)
            for what, right in zip(found, (verdict.style, verdict.subject, new.style), strict=True):
                found[what][kind] = _share(right)
        return found

    def _true(self, rows: Int64[np.ndarray, " n"]) -> list[Image.Image]:
        paths = map(self.judge.graph.picture_path, rows.tolist())
        return [open_picture(path) for path in paths if path is not None]

    @torch.inference_mode()
    def _rebuilt(self, pictures: Sequence[Image.Image]) -> list[Image.Image]:
        """Pictures as the base's autoencoder returns them: no picture of the base is drawn better."""
        base, made = self.pipe.model.base, []
        for start in range(0, len(pictures), BATCH):
            pixels = np.stack([to_pixels(picture) for picture in pictures[start : start + BATCH]])
            moments = base.encode_pictures(torch.from_numpy(pixels).to(base.device))
            made += [from_pixels(one) for one in base.decode_latents(moments.mean).float().cpu().numpy()]
        return made


def _some(rows: Int64[np.ndarray, " n"], count: int, rng: np.random.Generator) -> Int64[np.ndarray, " m"]:
    return np.sort(rng.permutation(rows)[:count])


def _share(right: Any) -> float:
    return round(float(np.mean(right)), 4)


def _span(right: Float[np.ndarray, " n"], seed: int) -> tuple[float, float]:
    low, high = bootstrap_interval(right, seed=seed)
    return round(low, 4), round(high, 4)
