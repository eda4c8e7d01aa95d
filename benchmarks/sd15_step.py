"""InstructG2I over Stable Diffusion 1.5 at full size, with random weights of the real architecture.

Writes a random checkpoint of SD 1.5's shapes into a temporary folder, then trains the shipped recipe on it
through the ordinary trainer, and prints trainable parameters, seconds a step and peak memory:

    python benchmarks/sd15_step.py                                        # CPU, 64 px, one step
    python benchmarks/sd15_step.py --device cuda --resolution 512 --dtype bf16 --attention xformers --steps 20
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from checkpoints import CLIP_L, SD15, write_base

from graphcond.graphs import save_world
from graphcond.recipe import Recipe, load_recipe
from graphcond.training import train
from graphcond.worlds import ArtWorld


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--dtype", default="fp32")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--lora", action="store_true", help="the recipe with LoRA")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(measure(Path(name), options), indent=2))


def measure(folder: Path, options: argparse.Namespace) -> dict[str, object]:
    write_base(folder / "sd15", SD15)
    graph = save_world(ArtWorld(paintings_per_artist=4), folder / "graph")
    embeddings = np.random.default_rng(0).standard_normal((len(graph), CLIP_L.width)).astype(np.float32)
    np.save(folder / "features.npy", embeddings)
    recipe = load_recipe(
        "instructg2i-lora" if options.lora else "instructg2i",
        overrides=[
            f"base.model={folder / 'sd15'}",
            f"base.dtype={options.dtype}",
            f"base.attention={options.attention}",
            f"data.path={folder / 'graph'}",
            f"data.resolution={options.resolution}",
            f"features={{kind: file, path: {folder / 'features.npy'}}}",
            "conditions.neighbors.sampler.kind=ppr",
            f"training.steps={options.steps}",
            f"training.batch_size={options.batch_size}",
            "training.accumulate=1",
            "training.mixed_precision=" + ("bf16" if options.device == "cuda" else "no"),
            "training.drop={text: 0, graph: 0, both: 0}",
            "training.log_every=1",
            "training.validate_every=null",
            "training.preview_every=null",
            "training.checkpoint_every=null",
        ],
    )
    return trained(recipe, folder, options.device)


def trained(recipe: Recipe, folder: Path, device: str) -> dict[str, object]:
    """What a short training through the ordinary trainer takes; its run folder is within ``folder``."""
    start = time.perf_counter()
    run = train(recipe, out=folder / "run", device=device)
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    groups = run.model.trainable_parameters()
    return {
        "machine": torch.cuda.get_device_name()
        if device == "cuda"
        else f"CPU, {torch.get_num_threads()} threads",
        "resolution": recipe.data.resolution,
        "batch_size": recipe.training.batch_size,
        "attention": run.model.base.attention,
        "trainable_parameters": {
            name: sum(p.numel() for p in group.values()) for name, group in groups.items()
        },
        "frozen_parameters": sum(p.numel() for p in run.model.base.unet.parameters() if not p.requires_grad),
        "seconds": dict(run.seconds) | {"all": round(time.perf_counter() - start, 1)},
        "seconds_per_step": run.metrics["train"]["seconds_per_step"],
        "last_metrics": lines[-1] if lines else None,
        "peak_gib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20, 2),
        "peak_gpu_gib": round(torch.cuda.max_memory_allocated() / 2**30, 2) if device == "cuda" else None,
    }


if __name__ == "__main__":
    main()
