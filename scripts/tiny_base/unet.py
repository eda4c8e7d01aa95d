"""Train the denoiser on cached latents and text states: v prediction, EMA, data parallel over processes."""

import numpy as np
import torch
import torch.distributed as dist
from common import Ema, Log, descend, load_recipe, outputs, save_grid, to_bytes, warm_cosine, warm_start
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from sampling import ddim, decode, sample_latents
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

TIMES = 1000


def build(
    recipe: dict, channels: int, cross_width: int, size: int = 8, plain: int = 0
) -> UNet2DConditionModel:
    """Build an untrained denoiser of latents with so many channels; ``plain`` fine levels have no attention.

    diffusers' `attention_head_dim` is the number of heads here.
    """
    deep = len(recipe["widths"]) - plain
    unet = UNet2DConditionModel(
        sample_size=size,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=recipe["widths"],
        layers_per_block=recipe["layers_per_block"],
        down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",) * deep,
        up_block_types=("CrossAttnUpBlock2D",) * deep + ("UpBlock2D",) * plain,
        cross_attention_dim=cross_width,
        attention_head_dim=recipe["heads"],
        norm_num_groups=recipe["groups"],
    )
    return quick(unet)


def quick(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Lay out a denoiser so that it trains fast on CPU; fused attention is far slower at this size."""
    unet.set_attn_processor(AttnProcessor())
    return unet.to(memory_format=torch.channels_last)


def first(recipe: dict, channels: int, cross_width: int) -> UNet2DConditionModel:
    """Return the denoiser to go on from (warm-unet/ in the outputs, else what ships), or an untrained one."""
    begun = outputs() / "warm-unet"
    known = begun if begun.is_dir() else warm_start("unet")
    if known:
        return quick(UNet2DConditionModel.from_pretrained(known, torch_dtype=torch.float32))
    return build(recipe, channels, cross_width)


Rows = tuple[Tensor, Tensor, Tensor]
"""Rows of paintings, of scenes and of scenes of one object."""


class Batches:
    """Draws latents, times and contexts; step and rank settle everything."""

    def __init__(self, recipe: dict, rank: int) -> None:
        self.recipe, self.rank = recipe, rank
        self.paintings = torch.load(outputs() / "latents.pt", mmap=True)
        self.states = torch.load(outputs() / "states.pt")  # (artist, subject, kind, L, C)
        splits = ("train", "single")
        self.scenes = [torch.load(outputs() / f"scene-latents-{split}.pt", mmap=True) for split in splits]
        self.told = [torch.load(outputs() / f"scene-states-{split}.pt", mmap=True) for split in splits]

    def latents(self, rng: np.random.Generator) -> tuple[Tensor, Rows]:
        """Return sampled latents (B, 7, 8, 8), paintings, scenes, single objects, and their rows."""
        size, worlds = self.recipe["batch_size"], (self.paintings, *self.scenes)
        some = [round(size * self.recipe["shares"][name]) for name in ("scenes", "single")]
        counts = (size - sum(some), *some)
        rows = tuple(
            torch.as_tensor(rng.integers(0, len(world["mean"]), count))
            for world, count in zip(worlds, counts, strict=True)
        )
        mean, std = (
            torch.cat([world[name][chosen] for world, chosen in zip(worlds, rows, strict=True)])
            for name in ("mean", "std")
        )
        noise = torch.as_tensor(rng.standard_normal(mean.shape, np.float32))
        return mean + std * noise, rows

    def times(self, rng: np.random.Generator) -> Tensor:
        """Return times spread over the batch in random order, most of them between 150 and 1000.

        There it is settled what lies where. Smoothstep's inverse makes the middle of a range frequent.
        """
        size = self.recipe["batch_size"]
        even = (np.arange(size) + rng.uniform(0, 1, size)) / size
        middle = 0.15 + 0.85 * (0.5 - np.sin(np.arcsin(1 - 2 * even) / 3))
        times = np.where(rng.random(size) < self.recipe["middle"], middle, even) * TIMES
        return torch.as_tensor(rng.permutation(times)).long()

    def titles(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        """Return text states of one caption for each painting."""
        shares = self.recipe["captions"]
        kinds = torch.as_tensor(rng.choice(len(shares), len(rows), p=shares))
        return self.states[self.paintings["artists"][rows], self.paintings["subjects"][rows], kinds]

    def tell(self, told: dict[str, Tensor], rows: Tensor, rng: np.random.Generator) -> Tensor:
        """Return text states of one caption for each scene; a share tells nothing ("an image", or empty)."""
        captions = told["captions"][rows]
        untold = torch.isin(captions, told["untold"])
        weights = torch.as_tensor(rng.random(captions.shape)) - 2.0 * untold
        chosen = captions[torch.arange(len(rows)), weights.argmax(1)]
        silent = torch.as_tensor(rng.choice(len(told["untold"]), len(rows), p=self.recipe["untold"]))
        hushed = torch.as_tensor(rng.random(len(rows)) >= self.recipe["telling"])
        return told["states"][torch.where(hushed, told["untold"][silent], chosen)].float()

    def captions(self, rows: Rows, rng: np.random.Generator) -> Tensor:
        """Return text states (B, L, C) of one caption for each row."""
        paintings, *scenes = rows
        states = [self.tell(told, some, rng) for told, some in zip(self.told, scenes, strict=True)]
        return torch.cat([self.titles(paintings, rng), *states])

    def context(self, rows: Rows, step: int, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """Return the denoiser's context (B, L', C) and its mask, of one kind a step.

        "zeros" appends zero tokens, "twice" the text again, "hidden" another caption behind a mask: so the
        base stays itself when an adapter extends the context.
        """
        shared = np.random.default_rng([7, step])
        kind = shared.choice(list(self.recipe["contexts"]), p=list(self.recipe["contexts"].values()))
        text = self.captions(rows, rng)
        if kind == "zeros":
            return torch.nn.functional.pad(
                text, (0, 0, 0, int(shared.choice(self.recipe["zero_tokens"])))
            ), None
        if kind == "twice":
            return torch.cat([text, text], 1), None
        if kind == "hidden":
            other = self.captions(rows, rng)[torch.as_tensor(rng.permutation(len(text)))]
            seen = torch.ones(text.shape[:2])
            return torch.cat([text, other], 1), torch.cat([seen, torch.zeros_like(seen)], 1)
        return text, None


@torch.no_grad()
def preview(unet: UNet2DConditionModel, batches: Batches, step: int) -> None:
    """Save a grid, artists across and subjects down, and one of scenes, from the weights given."""
    vae, null = AutoencoderKL.from_pretrained(outputs() / "vae").eval(), batches.states[0, 0, 4]
    named = batches.states[:, :, 0].transpose(0, 1).flatten(0, 1)
    told = batches.told[0]
    scenes = told["states"][told["captions"][:72, 0]].float()
    for name, states in (("unet", named), ("scenes", scenes)):
        latents = sample_latents(unet, ddim(), states, null, steps=8, scale=2.0, seed=0)
        save_grid(to_bytes(decode(vae, latents)), len(batches.states), outputs() / f"{name}-{step:05d}.png")


def train(rank: int, recipe: dict) -> None:
    """Train by steps in one of the processes; the first one saves."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", f"file://{outputs() / 'rendezvous'}", rank=rank, world_size=recipe["processes"]
    )
    batches = Batches(recipe, rank)
    torch.manual_seed(load_recipe()["seed"])
    unet = first(recipe, batches.paintings["mean"].shape[1], batches.states.shape[-1])
    model, ema, scheduler = DistributedDataParallel(unet), Ema(unet, recipe["ema"]), ddim()
    optimizer = torch.optim.AdamW(unet.parameters(), recipe["learning_rate"], weight_decay=0.01, fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"], warmup=200), Log(100 if rank == 0 else 10**9)
    mean = None
    steps = recipe["steps"]
    for step in range(1, steps + 1):
        rng = np.random.default_rng([step, rank])
        latents, rows = batches.latents(rng)
        times, (context, mask) = batches.times(rng), batches.context(rows, step, rng)
        noise = torch.as_tensor(rng.standard_normal(latents.shape, np.float32))
        noisy = scheduler.add_noise(latents, noise, times)
        with torch.autocast("cpu", torch.bfloat16):
            output = model(noisy, times, context, encoder_attention_mask=mask).sample
        loss = (output.float() - scheduler.get_velocity(latents, noise, times)).square().mean()
        descend(loss, unet.parameters(), optimizer, schedule)
        ema.update(unet)
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        log(step, loss=mean)
        if rank == 0 and (step % recipe["save_every"] == 0 or step == steps):
            averaged = ema.averaged(unet)
            averaged.save_pretrained(outputs() / f"unet-{step:05d}")
            preview(averaged, batches, step)
    dist.destroy_process_group()


def main() -> None:
    """Start the processes."""
    recipe = load_recipe()["unet"]
    (outputs() / "rendezvous").unlink(missing_ok=True)
    torch.multiprocessing.spawn(train, args=(recipe,), nprocs=recipe["processes"])


if __name__ == "__main__":
    main()
