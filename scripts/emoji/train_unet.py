"""Train the denoiser on latents of the emoji that it shall draw, told by captions."""

import numpy as np
import torch
from common import Ema, Log, descend, save_grid, to_bytes, to_pixels, warm_cosine
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from emoji_data import Emoji, caption, outputs, recipe, splits
from loop import keep, restore
from sampling import ddim, decode
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

FILE = "unet.pt"
TIMES = 1000


def build(settings: dict, cross_width: int) -> UNet2DConditionModel:
    """Build an untrained denoiser. diffusers' `attention_head_dim` is the number of heads here."""
    deep = len(settings["widths"]) - 1
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        block_out_channels=settings["widths"],
        layers_per_block=settings["layers_per_block"],
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * deep),
        up_block_types=(*("CrossAttnUpBlock2D",) * deep, "UpBlock2D"),
        cross_attention_dim=cross_width,
        attention_head_dim=settings["heads"],
        norm_num_groups=settings["groups"],
    )


@torch.no_grad()
def latents_of(data: Emoji) -> dict[str, Tensor]:
    """Return scaled mean and deviation of the latents (N, 4, 16, 16), pictures first, then mirrored."""
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval()
    pictures = np.concatenate([data.pictures, data.pictures[:, :, ::-1]])
    found = [vae.encode(to_pixels(part.copy())).latent_dist for part in np.array_split(pictures, 40)]
    scale = vae.config.scaling_factor
    return {
        "mean": torch.cat([one.mean for one in found]) * scale,
        "std": torch.cat([one.std for one in found]) * scale,
    }


class Texts:
    """States of captions (L, C), computed once."""

    def __init__(self) -> None:
        self.tokenizer = CLIPTokenizer.from_pretrained(outputs() / "clip")
        self.model = CLIPModel.from_pretrained(outputs() / "clip", dtype=torch.float32).text_model.eval()
        self.known: dict[str, Tensor] = {}

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Return states (B, L, C), padded to the tokenizer's length as SD pads."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self.known]
        if fresh:
            ids = self.tokenizer(fresh, padding="max_length", truncation=True, return_tensors="pt").input_ids
            self.known |= dict(zip(fresh, self.model(input_ids=ids).last_hidden_state, strict=True))
        return torch.stack([self.known[text] for text in texts])


class Batches:
    """Draws latents, times and contexts; the step settles everything."""

    def __init__(self, settings: dict) -> None:
        self.settings, self.data, self.texts = settings, splits().train, Texts()
        self.latents = latents_of(self.data)

    def captions(self, rows: np.ndarray, rng: np.random.Generator) -> Tensor:
        """Return text states (B, L, C)."""
        kinds = rng.choice(4, len(rows), p=self.settings["captions"])
        data = self.data.where(rows)
        pairs = zip(data.subjects, data.studios, kinds, strict=True)
        return self.texts([caption(subject, studio, int(kind)) for subject, studio, kind in pairs])

    def context(self, text: Tensor, kind: str, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """Return the context (B, L', C) and its mask; as in the tiny base, it learns to bear more tokens."""
        if kind == "zeros":
            count = int(rng.choice(self.settings["zero_tokens"]))
            return torch.nn.functional.pad(text, (0, 0, 0, count)), None
        if kind == "twice":
            return torch.cat([text, text], 1), None
        if kind == "hidden":
            seen = torch.ones(text.shape[:2])
            other = text[torch.as_tensor(rng.permutation(len(text)))]
            return torch.cat([text, other], 1), torch.cat([seen, torch.zeros_like(seen)], 1)
        return text, None

    def draw(self, step: int) -> tuple[Tensor, Tensor, Tensor, Tensor | None, Tensor]:
        """Return latents, times, context, its mask and noise."""
        rng, size = np.random.default_rng([3, step]), self.settings["batch_size"]
        rows = rng.integers(0, len(self.data), size)
        places = torch.as_tensor(rows + len(self.data) * rng.integers(0, 2, size))
        mean, std = self.latents["mean"][places], self.latents["std"][places]
        latents = mean + std * torch.as_tensor(rng.standard_normal(mean.shape, np.float32))
        times = torch.as_tensor((np.arange(size) + rng.uniform(0, 1, size)) / size * TIMES).long()
        kinds = self.settings["contexts"]
        kind = rng.choice(list(kinds), p=list(kinds.values()))
        context, mask = self.context(self.captions(rows, rng), str(kind), rng)
        return latents, times, context, mask, torch.as_tensor(rng.standard_normal(mean.shape, np.float32))


@torch.no_grad()
def drawn(unet: UNet2DConditionModel, states: Tensor, null: Tensor, steps: int, scale: float) -> np.ndarray:
    """Return pictures (B, 64, 64, 3) of text states, guided away from the empty caption."""
    scheduler = ddim()
    scheduler.set_timesteps(steps)
    latents = torch.randn(len(states), 4, 16, 16, generator=torch.Generator().manual_seed(0))
    context = torch.cat([null.expand_as(states), states])
    for time in scheduler.timesteps:
        without, given = unet(torch.cat([latents, latents]), time, context).sample.chunk(2)
        latents = scheduler.step(without + scale * (given - without), time, latents).prev_sample
    return to_bytes(decode(AutoencoderKL.from_pretrained(outputs() / "vae").eval(), latents))


def export(unet: UNet2DConditionModel, ema: Ema, batches: Batches, step: int) -> None:
    """Write the averaged weights; a grid of held-out pairs: true, without and with the studio's name."""
    parameters, test = dict(unet.named_parameters()), splits().test
    kept = {name: p.detach().clone() for name, p in parameters.items()}
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(ema.shadow[name])
    unet.eval().save_pretrained(outputs() / "unet")
    some = test.where(np.random.default_rng(0).permutation(len(test))[:24])
    rows, null = [some.pictures], batches.texts([""])[0]
    for kind in (1, 0):
        pairs = zip(some.subjects, some.studios, strict=True)
        states = batches.texts([caption(subject, studio, kind) for subject, studio in pairs])
        rows.append(drawn(unet, states, null, 16, 2.5))
    sheet = np.concatenate([row[half : half + 12] for half in (0, 12) for row in rows])
    save_grid(sheet, 12, outputs() / f"unet-{step:05d}.png")
    with torch.no_grad():
        for name, p in parameters.items():
            p.copy_(kept[name])
    unet.train()


def main() -> None:
    """Train by steps; go on from the last checkpoint."""
    settings = recipe()["unet"]
    torch.set_num_threads(1)
    torch.manual_seed(recipe()["seed"])
    batches = Batches(settings)
    width = batches.texts([""]).shape[-1]
    unet = build(settings, width).to(memory_format=torch.channels_last)
    unet.set_attn_processor(AttnProcessor())  # on CPU far faster than fused attention at this size
    print(f"parameters {unet.num_parameters():,}; {len(batches.data)} pictures", flush=True)
    scheduler, ema = ddim(), Ema(unet, settings["ema"])
    optimizer = torch.optim.AdamW(unet.parameters(), settings["learning_rate"], weight_decay=0.01, fused=True)
    schedule, log, mean = warm_cosine(optimizer, settings["steps"], warmup=200), Log(50), None
    parts = {"model": unet, "optimizer": optimizer, "schedule": schedule, "ema": ema}
    for step in range(restore(outputs() / FILE, parts) + 1, settings["steps"] + 1):
        latents, times, context, mask, noise = batches.draw(step)
        noisy = scheduler.add_noise(latents, noise, times)
        with torch.autocast("cpu", torch.bfloat16):
            output = unet(noisy, times, context, encoder_attention_mask=mask).sample
        loss = (output.float() - scheduler.get_velocity(latents, noise, times)).square().mean()
        descend(loss, unet.parameters(), optimizer, schedule)
        ema.update(unet)
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        log(step, loss=mean)
        if step % settings["save_every"] == 0 or step == settings["steps"]:
            keep(outputs() / FILE, parts, step)
        if step % 500 == 0 or step == settings["steps"]:
            export(unet, ema, batches, step)


if __name__ == "__main__":
    main()
