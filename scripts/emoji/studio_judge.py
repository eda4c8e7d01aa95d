"""The judge of studios: it reads the colors of a picture; trained on real ones, measured on held-out ones."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from common import soften, to_pixels
from disturb import recolored
from emoji_data import Emoji, outputs, read_table, recipe, splits
from safetensors import safe_open
from safetensors.torch import save_file
from subject_judge import rebuilt
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

BINS = 9
"""Values of red, green and blue among which the color of a pixel is shared."""


def color_shares(pixels: Tensor) -> Tensor:
    """Return the share of each of ``BINS ** 3`` colors, as its square root, without white."""
    places = (pixels.flatten(2).clamp(-1, 1) + 1) / 2 * (BINS - 1)
    near = (1 - (places[..., None] - torch.arange(BINS)).abs()).clamp(min=0)
    red, green, blue = near.unbind(1)
    pairs = (red[..., :, None] * green[..., None, :]).flatten(2)
    shares = (pairs.transpose(1, 2) @ blue).flatten(1) / places.shape[-1]
    return shares[:, :-1].sqrt()


class StudioJudge(nn.Module):
    """Two layers over the colors of a picture of any size; studios differ in their palettes above all.

    It was trained on real emoji alone, never on generated ones, and never on the held-out pairs of subject
    and studio.

    Args:
        names: the studios that are told apart.
        feature_width: length of a feature vector.
    """

    def __init__(self, names: Sequence[str], feature_width: int = 96) -> None:
        super().__init__()
        self.names = tuple(names)
        self.to_features = nn.Sequential(
            nn.BatchNorm1d(BINS**3 - 1, eps=1e-4),
            nn.Dropout(0.3),
            nn.Linear(BINS**3 - 1, feature_width),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(feature_width, len(self.names)))

    def forward(self, colors: Tensor) -> Tensor:
        """Return the logits of pictures, told by `color_shares`."""
        return self.head(self.to_features(colors))

    @torch.no_grad()
    def tell(self, pixels: Tensor) -> list[str]:
        """Return the studio of each picture, pixels in [-1, 1]."""
        return [self.names[place] for place in self(color_shares(pixels)).argmax(-1).tolist()]

    @torch.no_grad()
    def features(self, pixels: Tensor) -> Tensor:
        """Return unit-length feature vectors: their distance is low for pictures by one studio."""
        return nn.functional.normalize(self.to_features(color_shares(pixels)), dim=-1)


def colors(pixels: Tensor) -> Tensor:
    """Return the colors of many pictures."""
    return torch.cat([color_shares(part) for part in pixels.split(64)])


def disturbed(pixels: Tensor, seed: int) -> Tensor:
    """Return pictures that are recolored, shifted, blurred and noisy, a little."""
    generator = torch.Generator().manual_seed(seed)
    changed = recolored(pixels, recipe()["studio_judge"]["recolored"], generator)
    return changed.lerp(soften(changed, generator), recipe()["studio_judge"]["softened"])


def accuracy(judge: StudioJudge, pixels: Tensor, truth: np.ndarray) -> float:
    """Return the share of pictures whose studio is told."""
    return float(np.mean(np.concatenate([judge.tell(part) for part in pixels.split(64)]) == truth))


def nearest(judge: StudioJudge, shown: Emoji, unseen: str) -> float:
    """Return the share of pictures by the unseen studio that are nearer to its others than to another studio.

    The distance to a studio is that to the mean of its pictures' features, without the picture itself.
    """
    found = torch.cat([judge.features(part) for part in to_pixels(shown.pictures).split(64)])
    names = [name for name in sorted(set(shown.studios)) if name != unseen]
    means = torch.stack([found[torch.as_tensor(shown.studios == name)].mean(0) for name in names])
    own = found[torch.as_tensor(shown.studios == unseen)]
    others = (own.sum(0) - own) / (len(own) - 1)
    return float(((own - others).norm(dim=1) < torch.cdist(own, means).amin(1)).float().mean())


def read(file: Path) -> StudioJudge:
    """Return a trained judge, in evaluation mode."""
    with safe_open(file, "pt") as content:
        judge = StudioJudge(json.loads(content.metadata()["names"]))
        weights = {name: content.get_tensor(name).float() for name in content.keys()}  # noqa: SIM118
    judge.load_state_dict(weights, strict=False)
    return judge.eval()


def write(judge: StudioJudge, file: Path) -> None:
    """Write the judge in half precision."""
    weights = {name: value for name, value in judge.state_dict().items() if "num_batches" not in name}
    fresh = file.with_suffix(".new")
    halves = {name: value.detach().half().contiguous() for name, value in weights.items()}
    save_file(halves, fresh, {"names": json.dumps(judge.names)})
    fresh.replace(file)


def main() -> None:
    """Train, write and measure."""
    settings, data = recipe()["studio_judge"], splits()
    torch.set_num_threads(1)
    torch.manual_seed(recipe()["seed"])
    judge = StudioJudge(sorted(recipe()["studios"]))
    pixels = to_pixels(data.everything.pictures)
    inputs = torch.stack(
        [colors(pixels), *(colors(disturbed(pixels, seed)) for seed in range(settings["copies"]))]
    )
    truth = torch.tensor([judge.names.index(name) for name in data.everything.studios])
    steps = settings["epochs"] * len(truth) // settings["batch_size"]
    optimizer = torch.optim.AdamW(judge.parameters(), settings["learning_rate"], weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        rows = torch.randint(len(truth), (settings["batch_size"],))
        copies = torch.randint(len(inputs), (len(rows),))
        loss = cross_entropy(judge(inputs[copies, rows]), truth[rows], label_smoothing=0.1)
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    write(judge, outputs() / "studio.safetensors")
    judge = read(outputs() / "studio.safetensors")
    every = read_table(outputs() / "pictures.parquet")
    some = every.where(np.isin(every.subjects, data.names))
    known = some.where(np.isin(some.studios, [*recipe()["studios"], recipe()["unseen"]]))
    found = {
        "real": accuracy(judge, to_pixels(data.test.pictures), data.test.studios),
        "rebuilt": accuracy(judge, rebuilt(data.test), data.test.studios),
        "unseen of 7": nearest(judge, known, recipe()["unseen"]),
        "unseen of 9": nearest(judge, some, recipe()["unseen"]),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
