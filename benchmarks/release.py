"""A released checkpoint of InstructG2I at full size, converted and drawn with; its weights are random.

Writes the release's layout with the shapes of Stable Diffusion 1.5 and CLIP ViT-L/14, in fp16, then runs the
command line, each command in a process of its own:

    python benchmarks/release.py --size 256 --steps 2
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from checkpoints import CLIP_L, SD15, write_base
from PIL import Image
from safetensors.torch import load_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

TOKENS, EVERY, LAYERS = 4, 2, 12


def write_release(folder: Path) -> None:
    """A random checkpoint in the release's layout."""
    write_base(folder, SD15)
    vision = CLIPVisionConfig(**CLIP_L.vision, projection_dim=CLIP_L.width)
    CLIPVisionModelWithProjection(vision).half().save_pretrained(folder / "image_encoder")
    found = load_file(folder / "text_encoder" / "model.safetensors")
    text = {"text_model." + name.removeprefix("text_model."): tensor for name, tensor in found.items()}
    qformer = dict(text)
    for layer in range(0, LAYERS, EVERY):
        place = f"text_model.encoder.layers.{layer}"
        for part in ("weight", "bias"):
            qformer[f"{place}.layer_norm3.{part}"] = text[f"{place}.layer_norm1.{part}"]
            for linear in ("q_proj", "k_proj", "v_proj", "out_proj"):
                theirs = text[f"{place}.self_attn.{linear}.{part}"]
                qformer[f"{place}.crossattention.{linear}.{part}"] = torch.randn_like(theirs) * 0.02
    rows = TOKENS * CLIP_L.width
    projector = {
        "proj.weight": torch.randn(rows, CLIP_L.width).half() * 0.02,
        "proj.bias": torch.zeros(rows).half(),
        "norm.weight": torch.ones(CLIP_L.width).half(),
        "norm.bias": torch.zeros(CLIP_L.width).half(),
    }
    for name, weights in (("gnn", qformer), ("image_proj_model", projector)):
        (folder / name).mkdir()
        torch.save(weights, folder / name / "ckpt.pt")


def run(*arguments: object) -> dict[str, object]:
    """Seconds and peak memory of a command, and what it printed."""
    command = [sys.executable, "-m", "graphcond", *map(str, arguments)]
    before = time.perf_counter()
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    seconds = round(time.perf_counter() - before, 1)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    return {"seconds": seconds, "largest_peak_gib_so_far": round(peak, 2), "printed": printed.splitlines()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="side of the picture in pixels")
    parser.add_argument("--steps", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_release(folder / "release")
        neighbors = [folder / f"{color}.png" for color in ("red", "blue")]
        for file in neighbors:
            Image.new("RGB", (256, 256), file.stem).save(file)
        draw = ("--prompt", "a red house", "--neighbors", *neighbors)
        draw += ("--size", options.size, "--steps", options.steps, "--out", folder / "picture.png")
        results = {
            "convert": run("convert", "instructg2i", folder / "release", "--out", folder / "model"),
            "generate from the release": run("generate", folder / "release", *draw),
            "generate from the model": run("generate", folder / "model", *draw),
            "back": run("convert", "instructg2i", folder / "model", "--to-release", folder / "back"),
        }
        print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
