"""Train the small CLIP: text half for the denoiser, picture half for neighbours' embeddings and scores."""

from pathlib import Path

import numpy as np
import tokenizer as tokenizers
import torch
from common import Log, outputs, soften, start, to_pixels, warm_cosine
from torch import Tensor
from torch.nn.functional import normalize
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import Caption, draw_caption, named
from graphcond.worlds.styles import STYLES

SHARES = [0.5, 0.15, 0.15, 0.2, 0.0]
MEAN = STD = [0.5, 0.5, 0.5]


def build(recipe: dict, tokenizer: CLIPTokenizer) -> CLIPModel:
    """Build an untrained CLIP; ids of special tokens are explicit."""
    shared = {
        "hidden_size": recipe["width"],
        "intermediate_size": recipe["hidden"],
        "num_attention_heads": recipe["heads"],
        "projection_dim": recipe["projection"],
    }
    text = {
        **shared,
        "num_hidden_layers": recipe["text_layers"],
        "vocab_size": len(tokenizer),
        "max_position_embeddings": recipe["positions"],
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    vision = {
        **shared,
        "num_hidden_layers": recipe["vision_layers"],
        "image_size": 64,
        "patch_size": recipe["patch"],
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=recipe["projection"]))


def tokens(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Return ids padded to the longest, (B, L); causal attention keeps padding from the pooled token."""
    return tokenizer(texts, padding="longest", return_tensors="pt").input_ids


def positives(captions: list[Caption], artists: np.ndarray, subjects: np.ndarray) -> Tensor:
    """Which picture (column) fits which caption (row), (B, B) bool."""
    facts = np.array(
        [
            (ARTISTS[a], SUBJECTS[s], STYLES[ARTISTS[a]].movement)
            for a, s in zip(artists, subjects, strict=True)
        ]
    )
    told = np.array([(c.artist or "", c.subject or "", c.movement or "") for c in captions])
    return torch.as_tensor(((told[:, None] == "") | (told[:, None] == facts[None])).all(-1))


def contrastive(logits: Tensor, fits: Tensor) -> Tensor:
    """InfoNCE with several positives, over texts and over pictures."""
    losses = []
    for scores, mask in ((logits, fits), (logits.T, fits.T)):
        losses.append(scores.logsumexp(1) - scores.masked_fill(~mask, -1e4).logsumexp(1))
    return torch.stack(losses).mean()


@torch.no_grad()
def retrieval(model: CLIPModel, tokenizer: CLIPTokenizer, data: dict[str, np.ndarray]) -> dict[str, float]:
    """Share of pictures whose best of the 120 named captions is right; also for its artist alone."""
    texts = [named(artist, subject).text for artist in ARTISTS for subject in SUBJECTS]
    text = normalize(model.get_text_features(tokens(tokenizer, texts)).pooler_output, dim=-1)
    image = normalize(model.get_image_features(to_pixels(data["pictures"])).pooler_output, dim=-1)
    best = (image @ text.T).argmax(1).numpy()
    artist, subject = best // len(SUBJECTS), best % len(SUBJECTS)
    right = (artist == data["artists"]) & (subject == data["subjects"])
    return {"caption": float(right.mean()), "artist": float((artist == data["artists"]).mean())}


def save(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the model, its tokenizer and its preprocessor."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder)


def main() -> None:
    """Train by steps, print retrieval."""
    recipe = start("clip", threads=1)
    train, test = (dict(np.load(outputs() / f"{split}.npz")) for split in ("train", "test"))
    tokenizer = tokenizers.build(recipe["positions"], outputs() / "clip")
    model = build(recipe, tokenizer)
    print(f"parameters {model.num_parameters():,} vocabulary {len(tokenizer)}")
    optimizer = torch.optim.AdamW(model.parameters(), recipe["learning_rate"], weight_decay=0.02, fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"]), Log(50)
    generator, rng = torch.Generator().manual_seed(1), np.random.default_rng(1)
    for step in range(1, recipe["steps"] + 1):
        chosen = rng.integers(0, len(train["pictures"]), recipe["batch_size"])
        artists, subjects = train["artists"][chosen], train["subjects"][chosen]
        pairs = zip(artists, subjects, strict=True)
        captions = [draw_caption(ARTISTS[a], SUBJECTS[s], SHARES, rng) for a, s in pairs]
        pixels = soften(to_pixels(train["pictures"][chosen]), generator)
        output = model(input_ids=tokens(tokenizer, [c.text for c in captions]), pixel_values=pixels)
        loss = contrastive(output.logits_per_text, positives(captions, artists, subjects))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        model.logit_scale.data.clamp_(max=4.0)
        log(step, loss=loss.detach(), scale=model.logit_scale.detach().exp())
        if step % 400 == 0 or step == recipe["steps"]:
            print(retrieval(model.eval(), tokenizer, test), flush=True)
            save(model.train(), tokenizer, outputs() / "clip")


if __name__ == "__main__":
    main()
