"""Fit the judges of studio and subject to real pictures, and measure them on held-out ones."""

import json
from collections.abc import Callable

import numpy as np
import torch
from common import to_pixels
from diffusers import AutoencoderKL
from emoji_data import ROOT, Emoji, outputs, recipe, splits
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, normalize, pad

from graphcond.worlds.emoji.judge import EmojiJudge
from graphcond.worlds.emoji.looks import manner, outlines

FILE = ROOT / "graphcond/worlds/emoji/judge.safetensors"


def numbered(found: np.ndarray, names: list[str]) -> Tensor:
    """Return the place of each in ``names``."""
    return torch.tensor([names.index(one) for one in found])


def looked(look: Callable[[Tensor], Tensor], pixels: Tensor) -> Tensor:
    """Return the features of many pictures."""
    return torch.cat([look(part) for part in pixels.split(256)])


def blurred(pixels: Tensor) -> Tensor:
    """Return the mean over 3 x 3 pixels."""
    return avg_pool2d(pad(pixels, (1,) * 4, mode="replicate"), 3, 1)


def disturbed(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Blur and recolor each picture softly, as autoencoders do; white stays nearly white."""
    blur, strength = torch.rand(2, len(pixels), 1, 1, 1, generator=generator)
    noise = sum(
        reach * interpolate(torch.randn(len(pixels), 3, side, side, generator=generator), 64, mode="bilinear")
        for side, reach in ((8, 0.1), (24, 0.06), (64, 0.05))
    )
    drawn = (1 - pixels.amin(1, keepdim=True)).clamp(0, 0.3) / 0.3
    pixels = pixels.lerp(blurred(pixels), blur)
    return (pixels + strength * noise * (0.15 + 0.85 * drawn)).clamp(-1, 1)


def whitened(features: Tensor, truth: Tensor, calm: float) -> tuple[Tensor, Tensor]:
    """Return the means of classes (K, D), and a root (D, D) of the inverse of what varies within a class.

    ``calm`` is added to that, in units of ``features``.
    """
    count = torch.bincount(truth)[:, None]
    means = torch.zeros(len(count), features.shape[1]).index_add_(0, truth, features) / count
    rest = features - means[truth]
    within = rest.T @ rest / len(rest)
    within.diagonal().add_(calm)
    root = torch.linalg.cholesky(within)
    return means, torch.linalg.solve_triangular(root.T, torch.eye(len(root)), upper=True)


def studio_weights(learned: Emoji, unseen: Emoji, drawn: np.ndarray, studios: list[str]) -> dict[str, Tensor]:
    """Fit the judge of studios, and the means with which an unseen one is compared."""
    settings, generator = recipe()["judge"], torch.Generator().manual_seed(recipe()["seed"])
    pixels, truth = to_pixels(learned.pictures), numbered(learned.studios, studios)
    copies = [pixels, *(disturbed(pixels, generator) for _ in range(settings["disturbed"]))]
    found = torch.cat([looked(manner, copy) for copy in copies])
    mean, spread = found.mean(0), found.std(0) + 0.01
    found = (found - mean) / spread
    means, root = whitened(found, truth.repeat(len(copies)), settings["calm"]["studio"])
    centers = means @ root
    weights = {"studios": root @ centers.T, "bias": -centers.square().sum(1) / 2}

    # Means over the same subjects for every studio, so that none is the nearest for what it draws.
    _, root = whitened(found, truth.repeat(len(copies)), settings["calm"]["unseen"])
    own = (looked(manner, to_pixels(unseen.pictures)) - mean) / spread
    shown = torch.as_tensor(drawn)
    parts = [found[: len(truth)][shown & (truth == number)] for number in range(len(studios))]
    units = [normalize(part @ root, dim=1).mean(0) for part in (*parts, own)]
    weights["compared"] = root @ normalize(torch.stack(units), dim=1).T
    return weights | {"manner": mean, "spread": spread}


def subject_weights(learned: Emoji, names: list[str]) -> dict[str, Tensor]:
    """Fit the judge of subjects: directions that tell all subjects apart, and the pictures of ``names``."""
    settings, pixels = recipe()["judge"], to_pixels(learned.pictures)
    every = sorted(set(learned.subjects))
    first, second = looked(outlines, pixels), looked(outlines, blurred(pixels))
    mean = torch.cat([first, second]).mean(0)
    found, truth = torch.cat([first, second]) - mean, numbered(learned.subjects, every).repeat(2)
    calm = settings["calm"]["subject"] * found.var(0).mean()
    means, root = whitened(found, truth, float(calm))
    _, _, axes = torch.linalg.svd(means @ root, full_matrices=False)
    directions = root @ axes[: settings["directions"]].T
    shown = torch.as_tensor(np.isin(learned.subjects, names))
    pictures = sum(normalize((part[shown] - mean) @ directions, dim=1) for part in (first, second))
    return {
        "outline": mean,
        "directions": directions,
        "pictures": normalize(pictures, dim=1),
        "shown": numbered(learned.subjects[shown.numpy()], names),
    }


@torch.no_grad()
def rebuilt(pixels: Tensor) -> Tensor:
    """Return pictures as the base's autoencoder gives them back."""
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval()
    return torch.cat(
        [vae.decode(vae.encode(part).latent_dist.mode()).sample for part in pixels.split(64)]
    ).clamp(-1, 1)


def figures(judge: EmojiJudge, test: Emoji, unseen: Emoji) -> dict[str, dict[str, float]]:
    """Return accuracies on held-out pairs and on the unseen studio, real and rebuilt."""
    found = {}
    for kind, change in (("real", lambda pixels: pixels), ("rebuilt", rebuilt)):
        pixels, foreign = change(to_pixels(test.pictures)), change(to_pixels(unseen.pictures))
        told, new = judge.classify(pixels), len(judge.studios)
        found[kind] = {
            "studio": (told.studio == numbered(test.studios, list(judge.studios))).float().mean().item(),
            "subject": (told.subject == numbered(test.subjects, list(judge.subjects))).float().mean().item(),
            "unseen": (judge.classify(foreign).nearest == new).float().mean().item(),
            "others taken for unseen": (told.nearest == new).float().mean().item(),
        }
    return found


def main() -> None:
    """Fit, write and measure."""
    torch.set_num_threads(1)
    data, studios = splits(), sorted(recipe()["studios"])
    drawn = np.isin(data.everything.subjects, data.names)
    weights = studio_weights(data.everything, data.unseen, drawn, studios)
    weights |= subject_weights(data.everything, data.names)
    names = {"studios": studios, "compared": [*studios, recipe()["unseen"]], "subjects": data.names}
    fresh = FILE.with_suffix(".new")
    small = {
        name: (value.short() if name == "shown" else value.half()).contiguous()
        for name, value in weights.items()
    }
    save_file(small, fresh, {what: json.dumps(value) for what, value in names.items()})
    fresh.replace(FILE)
    print(json.dumps(figures(EmojiJudge.load(FILE), data.test, data.unseen), indent=2))


if __name__ == "__main__":
    main()
