"""Train the denoiser on latents of the emoji that it shall draw, and the text half of CLIP with it."""

import math
from pathlib import Path

import numpy as np
import tokenizer as tokenizers
import torch
from clip import text_settings
from common import Ema, Log, descend, save_grid, to_bytes, to_pixels, warm_cosine
from diffusers import AutoencoderKL
from disturb import moved
from emoji_data import caption, joined, outputs, recipe, splits, vocabulary
from loop import keep, restore
from sampling import ddim, decode, sample_latents
from torch import Tensor, nn
from torch.nn.functional import pad
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer
from unet import build

FILE = "unet.pt"


class Texts:
    """States (L, C) of captions, padded as SD pads; kept once the text half is frozen."""

    def __init__(self, model: CLIPTextModel, tokenizer: CLIPTokenizer) -> None:
        self.model, self.tokenizer = model, tokenizer
        self.known: dict[str, Tensor] = {}

    def __call__(self, texts: list[str]) -> Tensor:
        """Return states (B, L, C)."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self.known]
        found = dict(self.known)
        if fresh:
            ids = self.tokenizer(fresh, padding="max_length", truncation=True, return_tensors="pt").input_ids
            found |= dict(zip(fresh, self.model(input_ids=ids).last_hidden_state, strict=True))
        if not self.model.training:
            self.known = found
        return torch.stack([found[text] for text in texts])

    def freeze(self) -> None:
        """Let the text half learn no more."""
        self.model.eval().requires_grad_(False)


@torch.no_grad()
def latents_of(pixels: Tensor, file: Path) -> dict[str, Tensor]:
    """Return scaled mean and deviation of the latents of pictures, (N, 4, 16, 16) each, kept on disk."""
    if not file.exists():
        vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval()
        found = [vae.encode(part).latent_dist for part in pixels.split(64)]
        scale = vae.config.scaling_factor
        torch.save(
            {what: torch.cat([getattr(one, what) for one in found]) * scale for what in ("mean", "std")}, file
        )
    return torch.load(file)


class Batches:
    """Draws latents, times and captions; the step settles everything.

    The pictures that the base learns to draw come as they are, and moved a little: else it knows each by
    heart, and draws for a held-out pair another studio's picture of the subject. A share of the pictures show
    other subjects: of them the studio alone is told. So a studio is more than its pictures that have a name.
    """

    def __init__(self, settings: dict) -> None:
        every, train = splits().everything, splits().train
        self.settings, self.data = settings, joined(every, *[train] * settings["copies"])
        drawn = np.isin(self.data.subjects, splits().names)
        self.rows = np.flatnonzero(drawn), np.flatnonzero(~drawn)
        generator = torch.Generator().manual_seed(recipe()["seed"])
        copies = to_pixels(train.pictures).repeat(settings["copies"], 1, 1, 1)
        parts = (
            latents_of(to_pixels(every.pictures), outputs() / "latents.pt"),
            latents_of(moved(copies, generator, settings["moved"]), outputs() / "latents-moved.pt"),
        )
        self.latents = {what: torch.cat([part[what] for part in parts]) for what in ("mean", "std")}
        self.angles = ddim().alphas_cumprod.sqrt().acos()

    def times(self, size: int, rng: np.random.Generator) -> Tensor:
        """Return times (B,) whose angle of noise, x = x0 cos(angle) + noise sin(angle), is often large.

        What a caption says lowers the error above 50 degrees alone.
        """
        even = (np.arange(size) + rng.uniform(0, 1, size)) / size
        wanted = torch.as_tensor(math.pi / 2 * np.sqrt(even))
        return torch.searchsorted(self.angles.double(), wanted).clamp(max=len(self.angles) - 1)

    def draw(self, step: int) -> tuple[Tensor, Tensor, Tensor, list[tuple[str, str, int]]]:
        """Return latents, noise, times, and of each picture its subject, studio and what of them is told."""
        rng, size = np.random.default_rng([3, step]), self.settings["batch_size"]
        others = round(self.settings["others"] * size)
        rows = np.concatenate(
            [rng.choice(some, n) for some, n in zip(self.rows, (size - others, others), strict=True)]
        )
        rows, data = rng.permutation(rows), self.data
        mean, std = (self.latents[what][rows] for what in ("mean", "std"))
        latents = mean + std * torch.as_tensor(rng.standard_normal(mean.shape, np.float32))
        noise = torch.as_tensor(rng.standard_normal(mean.shape, np.float32))
        kinds = rng.choice(4, size, p=self.settings["captions"])
        kinds = np.where(np.isin(rows, self.rows[0]) | (kinds == 3), kinds, 2)
        told = list(
            zip(data.subjects[rows].tolist(), data.studios[rows].tolist(), kinds.tolist(), strict=True)
        )
        return latents, noise, self.times(size, rng), told


def context(
    texts: Texts, told: list[tuple[str, str, int]], settings: dict, rng: np.random.Generator
) -> tuple[Tensor, Tensor | None]:
    """Return states (B, L', C) and their mask; the denoiser learns to bear tokens behind a caption's.

    They are nothing (zeros), hidden by a mask, or say what the caption does not (joined).
    """
    kinds = settings["contexts"]
    kind = str(rng.choice(list(kinds), p=list(kinds.values())))
    count = int(rng.choice(settings["appended"]))
    if kind == "joined":
        first = [caption(subject, studio, 1 if what == 0 else what) for subject, studio, what in told]
        second = [caption(subject, studio, 2 if what == 0 else 3) for subject, studio, what in told]
        return torch.cat([texts(first), texts(second)[:, :count]], 1), None
    text = texts([caption(*one) for one in told])
    if kind == "zeros":
        return pad(text, (0, 0, 0, count)), None
    if kind == "hidden":
        other = text[torch.as_tensor(rng.permutation(len(text)))][:, :count]
        seen = torch.ones(text.shape[:2])
        return torch.cat([text, other], 1), pad(seen, (0, count))
    return text, None


def export(averaged: nn.ModuleDict, tokenizer: CLIPTokenizer, step: int) -> None:
    """Write the averaged weights; a grid of held-out pairs: true, without and with the studio's name."""
    texts = Texts(averaged["text"], tokenizer)
    texts.freeze()
    averaged["unet"].save_pretrained(outputs() / "unet")
    averaged["text"].save_pretrained(outputs() / "text")
    test = splits().test
    some = test.where(np.random.default_rng(0).permutation(len(test))[:24])
    rows, vae = [some.pictures], AutoencoderKL.from_pretrained(outputs() / "vae").eval()
    for kind in (1, 0):
        states = texts([caption(*pair, kind) for pair in zip(some.subjects, some.studios, strict=True)])
        latents = sample_latents(averaged["unet"], ddim(), states, texts([""])[0], 16, 2.5, seed=0)
        rows.append(to_bytes(decode(vae, latents)))
    sheet = np.concatenate([row[half : half + 12] for half in (0, 12) for row in rows])
    save_grid(sheet, 12, outputs() / f"unet-{step:05d}.png")


def main() -> None:
    """Train by steps; go on from the last checkpoint."""
    settings = recipe()["unet"]
    torch.set_num_threads(1)
    torch.manual_seed(recipe()["seed"])
    batches = Batches(settings)
    positions = recipe()["text"]["positions"]
    tokenizer = tokenizers.build(vocabulary(splits().names), positions, outputs() / "text")
    text = CLIPTextModel(CLIPTextConfig(**text_settings(recipe()["text"], tokenizer)))
    texts = Texts(text, tokenizer)
    unet = build(settings, batches.latents["mean"].shape[1], text.config.hidden_size, size=16, plain=1)
    for module in unet.modules():
        if isinstance(module, nn.Dropout):
            module.p = settings["dropout"]
    model = nn.ModuleDict({"unet": unet, "text": text}).train()
    print(
        f"parameters {unet.num_parameters():,} + {text.num_parameters():,}; {len(batches.rows[0])} pictures"
    )
    scheduler, ema = ddim(), Ema(model, settings["ema"])
    optimizer = torch.optim.AdamW(
        model.parameters(), settings["learning_rate"], weight_decay=0.01, fused=True
    )
    schedule, log, mean = warm_cosine(optimizer, settings["steps"], warmup=200), Log(50), None
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "ema": ema}
    done = restore(outputs() / FILE, parts)
    for step in range(done + 1, settings["steps"] + 1):
        if step > settings["text_steps"] and text.training:
            text.load_state_dict(ema.averaged(model)["text"].state_dict())
            texts.freeze()
        latents, noise, times, told = batches.draw(step)
        noisy = scheduler.add_noise(latents, noise, times).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", torch.bfloat16):
            states, mask = context(texts, told, settings, np.random.default_rng([4, step]))
            output = unet(noisy, times, states, encoder_attention_mask=mask).sample
        loss = (output.float() - scheduler.get_velocity(latents, noise, times)).square().mean()
        descend(loss, model.parameters(), optimizer, schedule)
        ema.update(model)
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        log(step, loss=mean)
        if step % settings["save_every"] == 0 or step == settings["steps"]:
            keep(outputs() / FILE, parts, step)
        if step % 500 == 0 or step == settings["steps"]:
            export(ema.averaged(model).eval(), tokenizer, step)


if __name__ == "__main__":
    main()
