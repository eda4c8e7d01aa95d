"""Train the small CLIP on emoji: it knows subjects and studios, in words and in pictures."""

import numpy as np
import tokenizer as tokenizers
import torch
from clip import Words, build, contrastive, save, tokens
from common import Log, descend, soften, to_pixels, warm_cosine
from emoji_data import Emoji, Splits, caption, outputs, recipe, splits, vocabulary
from loop import keep, restore
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, normalize
from transformers import CLIPModel, CLIPTokenizer

FILE = "clip.pt"
SHARES = [0.5, 0.3, 0.2]


def joined(*parts: Emoji) -> Emoji:
    """Return the pictures of all parts, one after another."""
    return Emoji(
        *(np.concatenate(column) for column in zip(*(vars(part).values() for part in parts), strict=True))
    )


def drawn(data: Splits, size: int, rng: np.random.Generator) -> tuple[Emoji, list[str], Tensor]:
    """Return pictures, a caption for each, and which picture fits which caption (B, B) bool.

    Half of the pictures show subjects that the base draws. Another subject has no words of its own: only its
    studio is named.
    """
    halves = (data.train, size // 2), (data.everything, size - size // 2)
    batch = joined(*(some.where(rng.integers(0, len(some), count)) for some, count in halves))
    names = data.names
    kinds = rng.choice(3, size, p=SHARES)
    kinds[~np.isin(batch.subjects, names)] = 2
    pairs = zip(batch.subjects, batch.studios, kinds, strict=True)
    texts = [caption(subject, studio, int(kind)) for subject, studio, kind in pairs]
    same_subject = (batch.subjects[:, None] == batch.subjects[None]) | (kinds == 2)[:, None]
    same_studio = (batch.studios[:, None] == batch.studios[None]) | (kinds == 1)[:, None]
    return batch, texts, torch.as_tensor(same_subject & same_studio)


def moved(pixels: Tensor, generator: torch.Generator, reach: float = 1.0) -> Tensor:
    """Mirror, turn, scale and shift each picture (B, 3, H, W), on white; ``reach`` says how far."""
    mirror, turn, across, down, right, below = torch.rand(6, len(pixels), generator=generator)
    mirror, angle = torch.where(mirror < 0.5, -1.0, 1.0), reach * (turn - 0.5) * 0.5
    across, down = 1 + reach * (0.4 * across - 0.15), 1 + reach * (0.4 * down - 0.15)
    right, below = (0.3 * reach * (shift - 0.5) for shift in (right, below))
    rows = torch.stack(
        [
            torch.stack([mirror * across * angle.cos(), -down * angle.sin(), right], -1),
            torch.stack([mirror * across * angle.sin(), down * angle.cos(), below], -1),
        ],
        1,
    )
    grid = affine_grid(rows, list(pixels.shape), align_corners=False)
    return grid_sample(pixels - 1, grid, align_corners=False) + 1  # outside the picture is 0: white


@torch.no_grad()
def features(model: CLIPModel, data: Emoji) -> Tensor:
    """Return normalized picture features (N, C)."""
    parts = [
        model.get_image_features(to_pixels(part)).pooler_output
        for part in np.array_split(data.pictures, max(1, len(data) // 200))
    ]
    return normalize(torch.cat(parts), dim=-1)


@torch.no_grad()
def figures(model: CLIPModel, tokenizer: CLIPTokenizer, test: Emoji, names: list[str]) -> dict[str, float]:
    """Return the share of held-out pictures whose subject, and whose studio, the nearest text names."""
    pictures, found = features(model, test), {}
    words = list(recipe()["studios"])
    for what, texts, truth in (
        ("subject", names, [names.index(name) for name in test.subjects]),
        ("studio", [caption("", word, 2) for word in words], [words.index(name) for name in test.studios]),
    ):
        text = normalize(model.get_text_features(tokens(tokenizer, texts)).pooler_output, dim=-1)
        best = (pictures @ text.T).argmax(1)
        found[what] = float((best == torch.tensor(truth)).float().mean())
    return found


def main() -> None:
    """Train by steps; go on from the last checkpoint."""
    settings, data = recipe()["clip"], splits()
    torch.set_num_threads(1)
    torch.manual_seed(recipe()["seed"])
    tokenizer = tokenizers.build(vocabulary(data.names), settings["positions"], outputs() / "clip")
    model = build(settings, tokenizer)
    words = Words(settings["width"], len(tokenizer))
    print(f"parameters {model.num_parameters():,} vocabulary {len(tokenizer)}", flush=True)
    learned = [*model.parameters(), *words.parameters()]
    optimizer = torch.optim.AdamW(learned, settings["learning_rate"], weight_decay=0.05, fused=True)
    schedule, log = warm_cosine(optimizer, settings["steps"]), Log(50)
    parts = {"model": model, "words": words, "optimizer": optimizer, "schedule": schedule}
    for step in range(restore(outputs() / FILE, parts) + 1, settings["steps"] + 1):
        rng = np.random.default_rng([2, step])
        torch.manual_seed(step)
        batch, texts, fits = drawn(data, settings["batch_size"], rng)
        generator = torch.Generator().manual_seed(step)
        pixels = soften(moved(to_pixels(batch.pictures), generator), generator)
        ids = tokens(tokenizer, texts)
        output = model(input_ids=ids, pixel_values=pixels)
        named = words(output.text_model_output.last_hidden_state, ids, tokenizer.eos_token_id)
        loss = contrastive(output.logits_per_text, fits) + settings["words"] * named
        descend(loss, model.parameters(), optimizer, schedule)
        model.logit_scale.data.clamp_(max=4.0)
        log(step, loss=loss.detach(), words=named.detach(), scale=model.logit_scale.detach().exp())
        if step % 250 == 0 or step == settings["steps"]:
            print(figures(model.eval(), tokenizer, data.test, data.names), flush=True)
            save(model, tokenizer, outputs() / "clip")
            model.train()
            keep(outputs() / FILE, parts, step)


if __name__ == "__main__":
    main()
