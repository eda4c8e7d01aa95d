"""Train CLIP's picture half against the text half that the denoiser learned with (LiT, arXiv 2111.07991)."""

from dataclasses import dataclass

import numpy as np
import torch
from clip import build, save
from common import Log, descend, soften, to_pixels, warm_cosine
from disturb import moved, recolored
from emoji_data import Emoji, Splits, caption, joined, outputs, recipe, splits
from folder import write_tokenizer
from loop import keep, restore
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

FILE = "clip.pt"
SHADES = 8
"""Values of red, green and blue among which the color of a pixel is sorted."""


class Pooled:
    """The end states of captions: of each subject and of each studio."""

    def __init__(self, model: CLIPModel, tokenizer: CLIPTokenizer, names: list[str]) -> None:
        self.names, self.studios, self.states = names, list(recipe()["studios"]), []
        for texts in (names, [caption("", studio, 2) for studio in self.studios]):
            ids = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").input_ids
            with torch.no_grad():
                self.states.append(model.text_model.eval()(input_ids=ids).pooler_output)

    def __call__(self, model: CLIPModel) -> list[Tensor]:
        """Return their features (N, C), of length 1."""
        return [normalize(model.text_projection(states), dim=-1) for states in self.states]


class Heads(nn.Module):
    """Name a feature's subject, among all that are drawn, studio and colors; and the colors of patches."""

    def __init__(self, settings: dict, subjects: int, studios: int) -> None:
        super().__init__()
        width = settings["projection"]
        self.subject, self.studio = nn.Linear(width, subjects), nn.Linear(width, studios)
        self.colors = nn.Linear(width, SHADES**3 - 1)
        self.patch_colors = nn.Linear(settings["width"], SHADES**3 - 1)


def color_shares(pixels: Tensor) -> Tensor:
    """Return the share of each color but white (B, ``SHADES ** 3 - 1``); studios differ in palettes."""
    places = ((pixels.clamp(-1, 1) + 1) / 2 * (SHADES - 1)).round().long().flatten(2)
    red, green, blue = places.unbind(1)
    counts = torch.zeros(len(pixels), SHADES**3)
    counts.scatter_add_(1, (red * SHADES + green) * SHADES + blue, torch.ones(red.shape))
    return normalize(counts[:, :-1], p=1, dim=1)


def patches(pixels: Tensor, side: int) -> Tensor:
    """Return the patches of pictures, (B, N, 3, side, side)."""
    return pixels.unfold(2, side, side).unfold(3, side, side).permute(0, 2, 3, 1, 4, 5).flatten(1, 2)


class Dropped:
    """A hook that hides random patches while a vision transformer learns (FLIP, arXiv 2212.00794)."""

    def __init__(self, kept: float) -> None:
        self.kept = kept
        self.seen = torch.zeros(0, 0, dtype=torch.long)
        """Places of the patches that were seen last, (B, kept)."""

    def __call__(self, module: nn.Module, inputs: tuple, tokens: Tensor) -> Tensor:
        if not module.training:
            return tokens
        count = round(self.kept * (tokens.shape[1] - 1))
        self.seen = torch.rand(tokens.shape[0], tokens.shape[1] - 1).argsort(1)[:, :count]
        chosen = 1 + self.seen[..., None].expand(-1, -1, tokens.shape[2])
        return torch.cat([tokens[:, :1], tokens.gather(1, chosen)], 1)


@dataclass(frozen=True)
class Batch:
    """Pictures to learn from.

    Args:
        pixels: (B, 3, 64, 64).
        subjects: name of each.
        studios: likewise.
        of_subjects: which show their subject, (B,) bool.
        of_studios: which show their studio, (B,) bool.
    """

    pixels: Tensor
    subjects: np.ndarray
    studios: np.ndarray
    of_subjects: Tensor
    of_studios: Tensor


def drawn(data: Splits, settings: dict, step: int) -> Batch:
    """Return the pictures of a step.

    Some are recolored and teach subjects alone: the colors tell the studio. Some are mosaics of two pictures
    by one studio, and teach studios alone. Without them the network knows each picture by heart.
    """
    rng, generator = np.random.default_rng([2, step]), torch.Generator().manual_seed(step)
    size, pool = settings["batch_size"], data.everything
    named = round(settings["named"] * size)
    some = joined(
        data.train.where(rng.integers(0, len(data.train), named)),
        pool.where(rng.integers(0, len(pool), size - named)),
    )
    some = some.where(rng.permutation(size))
    mixed, changed = (round(settings[what] * size) for what in ("mosaics", "recolored"))
    pixels = moved(to_pixels(some.pictures), generator, settings["moved"])
    others = [rng.choice(np.flatnonzero(pool.studios == studio)) for studio in some.studios[:mixed]]
    tiles = torch.rand(mixed, 1, 64 // settings["patch"], 64 // settings["patch"], generator=generator) < 0.5
    tiles = tiles.repeat_interleave(settings["patch"], 2).repeat_interleave(settings["patch"], 3)
    second = moved(to_pixels(pool.pictures[others]), generator, settings["moved"])
    pixels[:mixed] = torch.where(tiles, pixels[:mixed], second)
    softened = soften(pixels[-changed:], generator)
    pixels[-changed:] = recolored(softened, settings["reach"], generator)
    places = torch.arange(size)
    return Batch(pixels, some.subjects, some.studios, places >= mixed, places < size - changed)


def loss_of(
    model: CLIPModel,
    heads: Heads,
    dropped: Dropped,
    pooled: Pooled,
    numbers: dict[str, int],
    batch: Batch,
) -> Tensor:
    """Return the cross-entropy of subjects, studios and colors, against captions and by heads."""
    with torch.autocast("cpu", torch.bfloat16):
        output = model.get_image_features(batch.pixels)
        shades = heads.patch_colors(output.last_hidden_state[:, 1:]).flatten(0, 1).float()
    shares = patches(batch.pixels, model.config.vision_config.patch_size)
    shares = shares[torch.arange(len(shares))[:, None], dropped.seen].flatten(0, 1)
    scale = model.logit_scale.exp()
    found = scale * normalize(output.pooler_output.float(), dim=-1)
    subjects, studios = (found @ features.T for features in pooled(model))
    known = torch.tensor([name in pooled.names for name in batch.subjects]) & batch.of_subjects
    place = torch.tensor([pooled.names.index(name) for name in batch.subjects[known.numpy()]])
    number = torch.tensor([numbers[name] for name in batch.subjects])
    studio = torch.tensor([pooled.studios.index(name) for name in batch.studios])
    of_subjects, of_studios = batch.of_subjects, batch.of_studios
    return (
        cross_entropy(subjects[known], place)
        + cross_entropy(studios[of_studios], studio[of_studios])
        + cross_entropy(heads.subject(found[of_subjects]), number[of_subjects], label_smoothing=0.1)
        + cross_entropy(heads.studio(found[of_studios]), studio[of_studios], label_smoothing=0.1)
        + cross_entropy(heads.colors(found[of_studios]), color_shares(batch.pixels[of_studios]))
        + cross_entropy(shades, color_shares(shares))
    )


@torch.no_grad()
def features(model: CLIPModel, data: Emoji) -> Tensor:
    """Return picture features (N, C), of length 1."""
    parts = to_pixels(data.pictures).split(128)
    return normalize(torch.cat([model.get_image_features(part).pooler_output for part in parts]), dim=-1)


@torch.no_grad()
def figures(model: CLIPModel, pooled: Pooled, data: Splits) -> dict[str, float]:
    """Return what is told of held-out pictures, by captions and by neighbors.

    A picture of the unseen studio is told by neighbors where most of its ten nearest others are by it.
    """
    test, shown = features(model, data.test), joined(data.train, data.unseen)
    subjects, studios = pooled(model)
    references = features(model, shown)
    unseen = references[len(data.train) :]

    def by_neighbors(found: Tensor, truth: np.ndarray, skip: int) -> float:
        near = (found @ references.T).topk(10 + skip).indices[:, skip:]
        votes = [max(set(one), key=list(one).count) for one in shown.studios[near.numpy()]]
        return float(np.mean(np.array(votes) == truth))

    named = [pooled.names[place] for place in (test @ subjects.T).argmax(1).tolist()]
    by = [pooled.studios[place] for place in (test @ studios.T).argmax(1).tolist()]
    return {
        "subject": float(np.mean(np.array(named) == data.test.subjects)),
        "studio": float(np.mean(np.array(by) == data.test.studios)),
        "studio by neighbors": by_neighbors(test, data.test.studios, 0),
        "unseen by neighbors": by_neighbors(unseen, data.unseen.studios, 1),
    }


def main() -> None:
    """Train by steps; go on from the last checkpoint."""
    settings, data = recipe()["clip"], splits()
    torch.set_num_threads(1)
    torch.manual_seed(recipe()["seed"])
    tokenizer = CLIPTokenizer.from_pretrained(outputs() / "text")
    text = CLIPTextModel.from_pretrained(outputs() / "text", dtype=torch.float32)
    model = build(settings, text.config.to_dict())
    model.text_model.load_state_dict(text.state_dict())
    model.text_model.requires_grad_(False)
    model.set_attn_implementation("eager")  # on CPU it trains 1.6 times as fast as fused attention
    dropped = Dropped(settings["kept"])
    model.vision_model.pre_layrnorm.register_forward_hook(dropped)
    pooled = Pooled(model, tokenizer, data.names)
    numbers = {name: place for place, name in enumerate(sorted(set(data.everything.subjects)))}
    heads = Heads(settings, len(numbers), len(pooled.studios))
    print(f"parameters {model.num_parameters(only_trainable=True):,} and the text half's", flush=True)
    learned = [p for p in [*model.parameters(), *heads.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, settings["learning_rate"], weight_decay=0.2, fused=True)
    schedule, log, mean = warm_cosine(optimizer, settings["steps"]), Log(50), None
    parts = {"model": model, "heads": heads, "optimizer": optimizer, "schedule": schedule}
    for step in range(restore(outputs() / FILE, parts) + 1, settings["steps"] + 1):
        torch.manual_seed(step)
        loss = loss_of(model, heads, dropped, pooled, numbers, drawn(data, settings, step))
        descend(loss, learned, optimizer, schedule)
        model.logit_scale.data.clamp_(max=3.4)
        mean = loss.item() if mean is None else 0.98 * mean + 0.02 * loss.item()
        log(step, loss=mean, scale=model.logit_scale.detach().exp())
        if step % 250 == 0 or step == settings["steps"]:
            print(figures(model.eval(), pooled, data), flush=True)
            save(model, tokenizer, outputs() / "clip")
            write_tokenizer(outputs() / "clip", outputs() / "text")
            model.train()
            model.text_model.eval()
            keep(outputs() / FILE, parts, step)


if __name__ == "__main__":
    main()
