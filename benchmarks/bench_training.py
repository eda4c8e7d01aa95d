"""What a training step costs, against other ways to do it, in turns in one process.

    python benchmarks/bench_training.py                                      # the tiny base, on a CPU
    python benchmarks/bench_training.py --size sd15 --pixels 64 --batch 1 --arms "bare loop,channels last"
    python benchmarks/bench_training.py --size sd15 --pixels 256 --batch 16 --device cuda --dtype bf16

InstructG2I over the tiny base, or over random weights of Stable Diffusion's shapes. In each round every arm
takes some steps, one arm after the other, and its time is divided by that of graphcond's own step in the same
round; the table has the median of these ratios with the lowest and the highest. On a CPU the time is that of
the processor, which other jobs change little. The arms:

    bare loop             the same loss and optimizer, over a batch that lies ready, without the trainer
    everything anew       pictures, prompts and neighbors' pictures encoded in each step, and the whole
                          denoiser trained, as the code of InstructG2I does
    compiled              training.compile: true; its first step, which compiles, is apart
    gradient checkpointing, channels last, xformers
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from checkpoints import CLIP_L, SD15, SDXL, write_base, write_clip
from PIL import Image
from rich.console import Console

from graphcond import ClipExtractor, GraphModel, load_recipe
from graphcond.attributed_graph import ABSENT
from graphcond.bases.attention import why_not_xformers
from graphcond.context import NeighborFeatures
from graphcond.graphs import save_world
from graphcond.recipe import Recipe
from graphcond.training.device import PeakMemory, accelerated, compiled_by_torch
from graphcond.training.objective import denoising_loss
from graphcond.training.optimizer import all_parameters, build_optimizer
from graphcond.training.prepare import Prepared, prepare
from graphcond.training.randomness import BatchPlan
from graphcond.training.report import Report
from graphcond.training.step import Stepper
from graphcond.worlds import ArtWorld

OURS = "graphcond"
SHAPES = {"sd15": SD15, "sdxl": SDXL}
RECIPES = {"tiny": "instructg2i", "sd15": "instructg2i", "sdxl": "instructg2i-sdxl"}


@dataclass
class Arm:
    """One way to take a step: ``state`` is entered around its steps; ``seconds`` are those of each round."""

    step: Callable[[int], object]
    state: Callable[[], Any] = ExitStack
    first: float = 0.0
    seconds: list[float] = field(default_factory=list)
    peak_gib: float = 0.0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=[*RECIPES], default="tiny")
    parser.add_argument("--pixels", type=int, default=64, help="sides of the pictures")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="fp32", choices=["fp32", "bf16"], help="of base and training")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=3, help="of each arm in a round")
    parser.add_argument("--base", type=Path, help="a base of that size; random weights unless given")
    parser.add_argument("--clip", type=Path, help="a CLIP ViT-L/14 for everything anew; likewise")
    parser.add_argument("--arms", help="some, by their names with commas; all that can run unless given")
    parser.add_argument("--json", action="store_true", help="print a list of records in place of the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        rows = measured(Path(name), options)
    print(json.dumps(rows) if options.json else table(rows, options))


def measured(folder: Path, options: argparse.Namespace) -> list[dict[str, Any]]:
    """A record of every arm."""
    recipe = recipe_over(folder, options)
    device = torch.device(options.device)
    with accelerated(recipe.training, options.device) as accelerator:
        quiet = Report(Console(file=StringIO()))
        prepared = prepare(recipe, device, quiet)
        found = dict(arms(prepared, recipe, accelerator, folder, options))
        wanted = [OURS, *options.arms.split(",")] if options.arms else list(found)
        if unknown := set(wanted) - set(found):
            raise SystemExit(
                f"--arms: {', '.join(sorted(unknown))} cannot run here; there are {', '.join(found)}"
            )
        chosen = {name: found[name] for name in wanted}
        for turn in range(options.rounds + 1):  # the first warms up
            for arm in chosen.values():
                take_turn(arm, turn, options.steps, device)
    ours = chosen[OURS].seconds
    return [
        {
            "arm": name,
            "seconds": statistics.median(arm.seconds),
            "ratios": [one / own for one, own in zip(arm.seconds, ours, strict=True)],
            "first": arm.first,
            "peak_gib": round(arm.peak_gib, 2),
        }
        for name, arm in chosen.items()
    ]


def take_turn(arm: Arm, turn: int, steps: int, device: torch.device) -> None:
    """Some steps of an arm; turn 0 is a single one, which counts apart."""
    memory = PeakMemory(device)
    with arm.state():
        start = now(device)
        for step in range(steps if turn else 1):
            arm.step(turn * steps + step)
        seconds = now(device) - start
    arm.peak_gib = max(arm.peak_gib, memory.now().bytes / 2**30)
    if turn:
        arm.seconds.append(seconds / steps)
    else:
        arm.first = seconds


def now(device: torch.device) -> float:
    """Seconds of the processor, or by the clock once a GPU is ready."""
    if device.type == "cpu":
        return time.process_time()
    torch.cuda.synchronize(device)
    return time.perf_counter()


def recipe_over(folder: Path, options: argparse.Namespace) -> Recipe:
    """The recipe over its base and an art world, both written into ``folder``."""
    precision = "bf16" if options.dtype == "bf16" else "no"
    overrides = [
        f"base.dtype={options.dtype}",
        "base.attention=sdpa",
        f"data.resolution={options.pixels}",
        f"training.batch_size={options.batch}",
        "training.accumulate=1",
        f"training.mixed_precision={precision}",
        "training.drop={text: 0, graph: 0, both: 0}",
        "training.validation_samples=4",
        "training.flip=false",
        "conditions.neighbors.sampler.kind=ppr",
    ]
    graph = save_world(ArtWorld(paintings_per_artist=8), folder / "graph")
    overrides.append(f"data.path={folder / 'graph'}")
    if options.size == "tiny":
        return load_recipe(RECIPES[options.size], base="tiny", overrides=overrides)
    base = options.base or write_base(folder / "base", SHAPES[options.size])
    embeddings = np.random.default_rng(0).standard_normal((len(graph), CLIP_L.width)).astype(np.float32)
    np.save(folder / "features.npy", embeddings)
    overrides += [
        f"base.model={base}",
        f"features={{kind: file, path: {folder / 'features.npy'}}}",
    ]
    return load_recipe(RECIPES[options.size], overrides=overrides)


def arms(
    prepared: Prepared, recipe: Recipe, accelerator: Any, folder: Path, options: argparse.Namespace
) -> Iterator[tuple[str, Arm]]:
    """The arms that can run here, by name."""
    model, base = prepared.model, prepared.model.base
    groups = model.trainable_parameters()
    optimizer = build_optimizer(groups, recipe.training)
    stepper = Stepper(
        model,
        prepared.train,
        BatchPlan(options.batch),
        groups=groups,
        optimizer=accelerator.prepare(optimizer),
        accelerator=accelerator,
        rate_factor=lambda step: 1.0,
        always=False,
    )

    def ours(step: int) -> object:
        return stepper(step, detailed=False)

    yield OURS, Arm(ours)
    rows = np.arange(options.batch) % len(prepared.train)
    batch = prepared.train.batch(rows, base.device)

    def bare(step: int) -> None:
        with accelerator.autocast():
            loss = denoising_loss(model, batch.latents, batch.text, batch.contexts)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(all_parameters(groups), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    yield "bare loop", Arm(bare)
    if options.arms is None or "everything anew" in options.arms:  # it has a second denoiser
        yield "everything anew", Arm(everything_anew(prepared, recipe, accelerator, folder, options))
    network: Any = base.denoiser
    compiled: Any = compiled_by_torch(base.denoiser, True)

    @contextmanager
    def as_compiled() -> Iterator[None]:
        base.replace(base.denoiser_name, compiled)
        yield
        base.replace(base.denoiser_name, network)

    @contextmanager
    def checkpointed() -> Iterator[None]:
        base.enable_gradient_checkpointing()
        yield
        network.disable_gradient_checkpointing()

    @contextmanager
    def channels_last() -> Iterator[None]:
        network.to(memory_format=torch.channels_last)
        yield
        network.to(memory_format=torch.contiguous_format)

    @contextmanager
    def xformers() -> Iterator[None]:
        base.set_attention("xformers")
        yield
        base.set_attention("sdpa")

    yield "compiled", Arm(ours, as_compiled)
    yield "gradient checkpointing", Arm(ours, checkpointed)
    yield "channels last", Arm(ours, channels_last)
    if why_not_xformers(base.device) is None:
        yield "xformers", Arm(ours, xformers)


def everything_anew(
    prepared: Prepared, recipe: Recipe, accelerator: Any, folder: Path, options: argparse.Namespace
) -> Callable[[int], None]:
    """A step that keeps nothing: pictures, prompts and neighbors are read and encoded, and all is trained."""
    clip = "tiny" if options.size == "tiny" else options.clip or write_clip(folder / "clip", CLIP_L)
    extractor = ClipExtractor.from_pretrained(str(clip), device=options.device)
    whole = recipe.training.model_copy(update={"train_base": True})
    model = GraphModel.build(
        recipe.model_copy(update={"training": whole}),
        feature_width=extractor.width,
        device=prepared.model.base.device,
    )
    for parameter in model.parameters():
        parameter.data = parameter.data.float()
    optimizer = build_optimizer(model.trainable_parameters(), whole)
    data, examples = prepared.data, prepared.train

    def picture(row: int) -> Image.Image:
        path = data.picture_path(row)
        return Image.open(path).convert("RGB").resize((options.pixels, options.pixels))

    def step(number: int) -> None:
        rows = (number * options.batch + np.arange(options.batch)) % len(examples)
        targets = examples.targets[rows].tolist()
        pixels = np.stack([np.asarray(picture(row), np.float32) for row in targets]) / 127.5 - 1
        neighbors = examples.contexts["neighbors"].take(rows).neighbors
        pictures = [picture(row) for row in np.maximum(neighbors, 0).ravel().tolist()]
        embedded = torch.from_numpy(extractor.embed_pictures(pictures)).unflatten(0, neighbors.shape)
        context = NeighborFeatures(embedded, torch.from_numpy(neighbors != ABSENT)).to(model.device)
        with accelerator.autocast():
            loss = denoising_loss(
                model,
                torch.from_numpy(pixels).permute(0, 3, 1, 2).to(model.device),
                [data.graph.nodes.texts[row] for row in targets],
                {"neighbors": context},
            )
        loss.backward()
        torch.nn.utils.clip_grad_norm_(list(model.parameters()), 1.0)
        optimizer.step()
        optimizer.zero_grad()

    return step


def table(rows: list[dict[str, Any]], options: argparse.Namespace) -> str:
    """The records as Markdown."""
    where = (
        torch.cuda.get_device_name()
        if options.device == "cuda"
        else f"CPU, {torch.get_num_threads()} threads"
    )
    lines = [
        f"{options.size}, {options.pixels} px, batch {options.batch}, {options.dtype}, {where}; "
        f"{options.rounds} rounds of {options.steps} steps",
        "",
        "| step | s | times graphcond's (low .. high) | peak GiB | first step s |",
        "|---|---:|---:|---:|---:|",
    ]
    for row in rows:
        low, high = min(row["ratios"]), max(row["ratios"])
        ratio = f"{statistics.median(row['ratios']):.2f} ({low:.2f} .. {high:.2f})"
        lines.append(
            f"| {row['arm']} | {row['seconds']:.3f} | {ratio} | {row['peak_gib']} | {row['first']:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
