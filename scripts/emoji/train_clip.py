"""Train CLIP's picture half against the text half that the denoiser learned with (LiT, arXiv 2111.07991)."""

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
    """The end states of captions: of each subject, each studio, and each subject by each studio."""

    def __init__(self, model: CLIPModel, tokenizer: CLIPTokenizer, names: list[str]) -> None:
        studios = list(recipe()["studios"])
        pairs = [caption(name, studio, 0) for name in names for studio in studios]
        self.names, self.studios, found = names, studios, []
        for texts in (names, [caption("", studio, 2) for studio in studios], pairs):
            ids = tokenizer(texts, padding=True, truncation=True, return_tensors="pt").input_ids
            with torch.no_grad():
                found.append(model.text_model.eval()(input_ids=ids).pooler_output)
        self.states = found

    def __call__(self, model: CLIPModel) -> list[Tensor]:
        """Return their features (N, C), of length 1."""
        return [normalize(model.text_projection(states), dim=-1) for states in self.states]


class Heads(nn.Module):
    """Name, from a feature, the subject among all that are drawn, the studio and the shares of colors."""

    def __init__(self, width: int, subjects: int, studios: int) -> None:
        super().__init__()
        self.subject, self.studio = nn.Linear(width, subjects), nn.Linear(width, studios)
        self.colors = nn.Linear(width, SHADES**3 - 1)


def color_shares(pixels: Tensor) -> Tensor:
    """Return the share of each color but white (B, ``SHADES ** 3 - 1``); studios differ in palettes."""
    places = ((pixels.clamp(-1, 1) + 1) / 2 * (SHADES - 1)).round().long().flatten(2)
    red, green, blue = places.unbind(1)
    counts = torch.zeros(len(pixels), SHADES**3)
    counts.scatter_add_(1, (red * SHADES + green) * SHADES + blue, torch.ones(red.shape))
    return normalize(counts[:, :-1], p=1, dim=1)


class Dropped:
    """A hook that hides random patches while a vision transformer learns (FLIP, arXiv 2212.00794)."""

    def __init__(self, kept: float) -> None:
        self.kept = kept

    def __call__(self, module: nn.Module, inputs: tuple, tokens: Tensor) -> Tensor:
        if not module.training:
            return tokens
        count = round(self.kept * (tokens.shape[1] - 1))
        chosen = 1 + torch.rand(tokens.shape[0], tokens.shape[1] - 1).argsort(1)[:, :count]
        chosen = torch.cat([torch.zeros_like(chosen[:, :1]), chosen], 1)
        return tokens.gather(1, chosen[..., None].expand(-1, -1, tokens.shape[2]))


def batch(data: Splits, settings: dict, step: int) -> tuple[Tensor, Emoji, int]:
    """Return pictures, their facts, and how many of the first keep their colors.

    Recolored ones teach subjects alone: the colors tell the studio. Half of each part are subjects that the
    base draws.
    """
    rng, generator = np.random.default_rng([2, step]), torch.Generator().manual_seed(step)
    quarter = settings["batch_size"] // 4
    some = joined(
        *(part.where(rng.integers(0, len(part), quarter)) for part in (data.train, data.everything) * 2)
    )
    pixels = moved(to_pixels(some.pictures), generator, settings["moved"])
    plain, changed = pixels.chunk(2)
    changed = soften(recolored(changed, settings["recolored"], generator), generator)
    plain = plain.lerp(soften(plain, generator), settings["softened"])
    return torch.cat([plain, changed]), some, len(plain)


def loss_of(
    model: CLIPModel, heads: Heads, pooled: Pooled, numbers: dict[str, int], drawn: tuple[Tensor, Emoji, int]
) -> Tensor:
    """Return the cross-entropy of subjects and studios, against captions and by heads."""
    pixels, some, plain = drawn
    with torch.autocast("cpu", torch.bfloat16):
        found = model.get_image_features(pixels).pooler_output
    found = normalize(found.float(), dim=-1)
    subjects, studios, pairs = pooled(model)
    scale = model.logit_scale.exp()
    subject = torch.tensor([numbers[name] for name in some.subjects])
    studio = torch.tensor([pooled.studios.index(name) for name in some.studios])
    told = torch.tensor([name in pooled.names for name in some.subjects])
    place = torch.tensor([pooled.names.index(name) if name in pooled.names else 0 for name in some.subjects])
    both = told[:plain]
    return (
        cross_entropy(scale * found[told] @ subjects.T, place[told])
        + cross_entropy(scale * found[:plain] @ studios.T, studio[:plain])
        + cross_entropy(
            scale * found[:plain][both] @ pairs.T, (place * len(pooled.studios) + studio)[:plain][both]
        )
        + cross_entropy(heads.subject(scale * found), subject, label_smoothing=0.1)
        + cross_entropy(heads.studio(scale * found[:plain]), studio[:plain])
        + cross_entropy(heads.colors(scale * found[:plain]), color_shares(pixels[:plain]))
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
    subjects, studios, _ = pooled(model)
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
    model.vision_model.pre_layrnorm.register_forward_hook(Dropped(settings["kept"]))
    pooled = Pooled(model, tokenizer, data.names)
    numbers = {name: place for place, name in enumerate(sorted(set(data.everything.subjects)))}
    heads = Heads(settings["projection"], len(numbers), len(pooled.studios))
    print(f"parameters {model.num_parameters(only_trainable=True):,} and the text half's", flush=True)
    learned = [p for p in [*model.parameters(), *heads.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(learned, settings["learning_rate"], weight_decay=0.1, fused=True)
    schedule, log, mean = warm_cosine(optimizer, settings["steps"]), Log(50), None
    parts = {"model": model, "heads": heads, "optimizer": optimizer, "schedule": schedule}
    for step in range(restore(outputs() / FILE, parts) + 1, settings["steps"] + 1):
        torch.manual_seed(step)
        loss = loss_of(model, heads, pooled, numbers, batch(data, settings, step))
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
