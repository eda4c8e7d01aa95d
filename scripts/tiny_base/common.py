"""What every stage shares: the recipe, folders, pictures as tensors, a learning-rate schedule and an EMA."""

import argparse
import copy
import math
import os
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]


def load_recipe() -> dict[str, Any]:
    """Read recipe.yaml."""
    return yaml.safe_load((Path(__file__).parent / "recipe.yaml").read_text())


def outputs() -> Path:
    """Return the folder of caches and logs, made if missing."""
    folder = ROOT / load_recipe()["outputs"]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def model_folder() -> Path:
    """Return the folder that ships."""
    return ROOT / load_recipe()["model"]


def warm_start(part: str) -> Path | None:
    """Return the shipped folder of a part to go on from, None where the recipe starts from nothing."""
    folder = model_folder() / part
    return folder if load_recipe()["warm_start"] and folder.is_dir() else None


def pictures(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return paintings and scenes of a split, (N, 64, 64, 3) bytes each."""
    return np.load(outputs() / f"{split}.npz")["pictures"], np.load(outputs() / f"scenes-{split}.npz")[
        "pictures"
    ]


def mixed(paintings: np.ndarray, scenes: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Return a batch of pictures, half of each world."""
    half = count // 2
    rows = rng.integers(0, len(paintings), count - half), rng.integers(0, len(scenes), half)
    return np.concatenate([paintings[rows[0]], scenes[rows[1]]])


def start(stage: str, threads: int | None = None) -> dict[str, Any]:
    """Parse `--threads`, seed everything and return the stage's part of the recipe."""
    parser = argparse.ArgumentParser(description=f"Run the stage {stage!r} of the tiny base.")
    parser.add_argument("--threads", type=int, default=threads or os.cpu_count())
    torch.set_num_threads(parser.parse_args().threads)
    recipe = load_recipe()
    torch.manual_seed(recipe["seed"])
    return recipe.get(stage, {})


def to_pixels(pictures: np.ndarray | Tensor) -> Tensor:
    """Turn (B, H, W, 3) bytes into (B, 3, H, W) floats in [-1, 1], channels last in memory."""
    return torch.as_tensor(pictures).permute(0, 3, 1, 2).float().div(127.5).sub(1)


def to_bytes(pixels: Tensor) -> np.ndarray:
    """Turn (B, 3, H, W) in [-1, 1] into (B, H, W, 3) bytes."""
    return pixels.add(1).mul(127.5).round().clamp(0, 255).byte().permute(0, 2, 3, 1).numpy()


def save_grid(pictures: np.ndarray, columns: int, path: Path, zoom: int = 2) -> None:
    """Save (B, H, W, 3) bytes as a grid, row by row."""
    side, gap = pictures.shape[1], 2
    rows = math.ceil(len(pictures) / columns)
    sheet = Image.new("RGB", (columns * (side + gap), rows * (side + gap)), "white")
    for index, picture in enumerate(pictures):
        sheet.paste(
            Image.fromarray(picture), (index % columns * (side + gap), index // columns * (side + gap))
        )
    sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST).save(path)


def warm_cosine(optimizer: torch.optim.Optimizer, steps: int, warmup: int = 100, floor: float = 0.02) -> Any:
    """Linear warm-up, then cosine down to `floor` of the learning rate, by steps."""

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        progress = min(1.0, (step - warmup) / max(1, steps - warmup))
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def descend(
    loss: Tensor, parameters: Iterable[Tensor], optimizer: torch.optim.Optimizer, schedule: Any
) -> None:
    """One step down the loss; the gradients of ``parameters`` are clipped to the norm 1."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    optimizer.step()
    schedule.step()
    optimizer.zero_grad()


class Ema:
    """Exponential moving average of a module's parameters."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.shadow = {name: p.detach().clone() for name, p in module.named_parameters()}

    def state_dict(self) -> dict[str, Any]:
        """Return the average and the number of updates."""
        return {"steps": self.steps, "shadow": self.shadow}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state_dict`."""
        self.steps, self.shadow = state["steps"], state["shadow"]

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move towards the module; faster during the first steps."""
        self.steps += 1
        decay = min(self.decay, self.steps / (self.steps + 10))
        parameters = dict(module.named_parameters())
        torch._foreach_lerp_(
            list(self.shadow.values()), [parameters[name].detach() for name in self.shadow], 1 - decay
        )

    @torch.no_grad()
    def averaged(self, module: nn.Module) -> nn.Module:
        """Return a copy of the module with the averaged weights."""
        fresh = copy.deepcopy(module)
        for name, p in fresh.named_parameters():
            p.copy_(self.shadow[name])
        return fresh


class Log:
    """Prints a line every `every` steps, with seconds."""

    def __init__(self, every: int) -> None:
        self.every, self.begin = every, time.time()

    def __call__(self, step: int, **values: float) -> None:
        if step % self.every == 0:
            shown = " ".join(f"{key} {float(value):.4f}" for key, value in values.items())
            print(f"step {step} {shown} seconds {time.time() - self.begin:.0f}", flush=True)


def soften(pixels: Tensor, generator: torch.Generator, reach: int = 2) -> Tensor:
    """Shift by up to `reach` pixels, blur, dim and add noise; (B, 3, H, W).

    So a network also reads what a VAE returns.
    """
    down, right = (reach + torch.randint(-reach, reach + 1, (2,), generator=generator)).tolist()
    height, width = pixels.shape[-2:]
    pixels = nn.functional.pad(pixels, (reach,) * 4, mode="replicate")
    pixels = pixels[..., down : down + height, right : right + width]
    blurred = nn.functional.avg_pool2d(nn.functional.pad(pixels, (1, 1, 1, 1), mode="replicate"), 3, 1)
    mix, gain, noise = torch.rand(3, len(pixels), 1, 1, 1, generator=generator)
    pixels = pixels.lerp(blurred, mix) * (0.9 + 0.2 * gain)
    return pixels + 0.15 * noise * torch.randn(pixels.shape, generator=generator)
