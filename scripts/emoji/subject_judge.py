"""The judge of subjects: a small CNN, trained on real pictures and measured on held-out ones."""

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from common import Log, descend, soften, to_pixels, warm_cosine
from diffusers import AutoencoderKL
from disturb import moved, recolored
from emoji_data import Emoji, joined, outputs, recipe, splits
from loop import keep, restore
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

FILE = "subject_judge.pt"


def block(inputs: int, outputs: int, stride: int, kernel: int = 3) -> nn.Sequential:
    """Return a convolution with its norm and activation."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.SiLU())


class SubjectJudge(nn.Module):
    """Convolutions over 64x64 pictures in [-1, 1], and the mean and spread of what they find.

    It learns from real emoji alone, and never from the held-out pairs of subject and studio.

    Args:
        names: the subjects that are told apart.
        widths: channels of the stem and of each resolution after it.
        feature_width: length of a feature vector.
    """

    def __init__(self, names: Sequence[str], widths: Sequence[int], feature_width: int = 96) -> None:
        super().__init__()
        self.names = tuple(names)
        stages = [block(3, widths[0], 2, 5), block(widths[0], widths[1], 1)]
        for fine, coarse in pairwise(widths[1:]):
            stages += [block(fine, fine, 1), block(fine, coarse, 2)]
        self.stages = nn.Sequential(*stages)
        self.to_features = nn.Linear(2 * widths[-1], feature_width)
        self.head = nn.Linear(feature_width, len(self.names))

    def forward(self, pixels: Tensor) -> Tensor:
        """Return logits (B, subjects)."""
        spread, mean = torch.var_mean(self.stages(pixels).flatten(2), -1)
        # Without the constant a channel that is the same everywhere would have an endless gradient.
        return self.head(self.to_features(torch.cat([mean, (spread + 0.01).sqrt()], -1)))

    @torch.no_grad()
    def tell(self, pixels: Tensor) -> list[str]:
        """Return the subject of each picture (B, 3, 64, 64)."""
        return [self.names[place] for part in pixels.split(128) for place in self(part).argmax(-1).tolist()]


def read(file: Path) -> SubjectJudge:
    """Return a trained judge, in evaluation mode."""
    with safe_open(file, "pt") as content:
        judge = SubjectJudge(**json.loads(content.metadata()["settings"]))
        weights = {name: content.get_tensor(name).float() for name in content.keys()}  # noqa: SIM118
    judge.load_state_dict(weights, strict=False)
    return judge.eval()


def write(judge: SubjectJudge, names: list[str], file: Path) -> None:
    """Write a judge of the subjects ``names`` alone, in half precision."""
    rows = torch.tensor([judge.names.index(name) for name in names])
    weights = {name: value for name, value in judge.state_dict().items() if "num_batches" not in name}
    weights |= {f"head.{part}": weights[f"head.{part}"][rows] for part in ("weight", "bias")}
    settings = {"names": names, "widths": recipe()["subject_judge"]["widths"]}
    fresh = file.with_suffix(".new")
    halves = {name: value.detach().half().contiguous() for name, value in weights.items()}
    save_file(halves, fresh, {"settings": json.dumps(settings)})
    fresh.replace(file)


def batch(settings: dict, step: int) -> tuple[Tensor, Emoji]:
    """Return pictures, disturbed in many ways, and their facts.

    Subjects that the base does not draw are learned too: they make the features better.
    """
    rng, data = np.random.default_rng([4, step]), splits()
    generator = torch.Generator().manual_seed(step)
    half = settings["batch_size"] // 2
    some = joined(*(part.where(rng.integers(0, len(part), half)) for part in (data.train, data.everything)))
    pixels = moved(to_pixels(some.pictures), generator, settings["moved"])
    pixels = recolored(pixels, settings["recolored"], generator)
    return pixels.lerp(soften(pixels, generator), settings["softened"]), some


@torch.no_grad()
def rebuilt(data: Emoji) -> Tensor:
    """Return pictures (N, 3, 64, 64) as the base's autoencoder gives them back."""
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval()
    parts = to_pixels(data.pictures).split(64)
    return torch.cat([vae.decode(vae.encode(part).latent_dist.mode()).sample.clamp(-1, 1) for part in parts])


def main() -> None:
    """Train by steps; go on from the last checkpoint."""
    settings, data = recipe()["subject_judge"], splits()
    torch.set_num_threads(1)
    torch.manual_seed(recipe()["seed"])
    judge = SubjectJudge(sorted(set(data.everything.subjects)), settings["widths"])
    judge.to(memory_format=torch.channels_last)
    numbers = {name: place for place, name in enumerate(judge.names)}
    optimizer = torch.optim.AdamW(judge.parameters(), settings["learning_rate"], weight_decay=0.05)
    schedule, log = warm_cosine(optimizer, settings["steps"]), Log(50)
    parts = {"judge": judge, "optimizer": optimizer, "schedule": schedule}
    tests = {"real": to_pixels(data.test.pictures), "rebuilt": rebuilt(data.test)}
    for step in range(restore(outputs() / FILE, parts) + 1, settings["steps"] + 1):
        pixels, some = batch(settings, step)
        target = torch.tensor([numbers[name] for name in some.subjects])
        with torch.autocast("cpu", torch.bfloat16):
            logits = judge(pixels)
        loss = cross_entropy(logits.float(), target, label_smoothing=0.1)
        descend(loss, judge.parameters(), optimizer, schedule)
        log(step, loss=loss.detach())
        if step % 250 == 0 or step == settings["steps"]:
            write(judge, data.names, outputs() / "subject.safetensors")
            found = read(outputs() / "subject.safetensors")
            print({name: np.mean(found.tell(shown) == data.test.subjects) for name, shown in tests.items()})
            keep(outputs() / FILE, parts, step)


if __name__ == "__main__":
    main()
