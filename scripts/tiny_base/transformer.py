"""Train a tiny FLUX.2 on the latents of both worlds: joint attention, and a text encoder that learns with it.

The folder that it writes is one of FLUX.2 Klein: the VAE is the one of the UNet's base, with latents in
squares of 2 x 2, normalized. The text encoder is shaped like Qwen3 and reads the worlds' words.
"""

from copy import deepcopy
from pathlib import Path
from shutil import copytree
from typing import Any

import numpy as np
import torch
from common import ROOT, Ema, Log, descend, load_recipe, outputs, save_grid, start, warm_cosine, warm_start
from diffusers import (
    AutoencoderKL,
    AutoencoderKLFlux2,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
)
from einops import rearrange
from encode import UNTOLD, all_captions, scene_captions
from folder import replace
from loop import keep, restore
from tokenizers import AddedToken
from tokenizers.pre_tokenizers import ByteLevel
from torch import Tensor, nn
from transformers import Qwen2TokenizerFast, Qwen3Config, Qwen3ForCausalLM
from unet import Batches

from graphcond.bases import Flux2Base
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.signals import TextTokens
from graphcond.training.muon import MuonAndAdamW
from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import named, vocabulary

CHAT = "{% for message in messages %}<|im_start|>{{ message.content }}<|im_end|>{% endfor %}"
"""A prompt as the text encoder reads it; FLUX.2's template adds the answer's beginning."""
FILE = "flux2.pt"
KINDS = 5
SHARED = (
    *("block_out_channels", "down_block_types", "up_block_types", "layers_per_block", "norm_num_groups"),
    *("latent_channels", "mid_block_add_attention", "sample_size"),
)
"""Settings of both classes of autoencoders."""


def tokenizer_of(words: list[str]) -> Qwen2TokenizerFast:
    """Return a tokenizer of bytes in which every word of the worlds is one piece, with a space before it."""
    letters = sorted(ByteLevel.alphabet())
    rows = {letter: row for row, letter in enumerate([*letters, "<|endoftext|>"])}
    marks = ["<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2TokenizerFast(rows, [], chat_template=CHAT, additional_special_tokens=marks)
    whole = [AddedToken(word, single_word=True, lstrip=True) for word in words if word.isalpha()]
    tokenizer.add_tokens(whole)
    return tokenizer


def packed(latents: Tensor) -> Tensor:
    """Return (B, 4 C, H / 2, W / 2): each square of 2 x 2 as one place."""
    return rearrange(latents, "b c (h p) (w q) -> b (c p q) h w", p=2, q=2)


def autoencoder(vae: AutoencoderKL, mean: Tensor, std: Tensor) -> AutoencoderKLFlux2:
    """Return the same autoencoder as FLUX.2 has it; its unscaled packed latents have these moments."""
    shared = {name: value for name, value in vae.config.items() if name in SHARED}
    same = AutoencoderKLFlux2(**shared)
    same.load_state_dict(vae.state_dict(), strict=False)
    same.bn.running_mean.copy_(mean)
    same.bn.running_var.copy_(std.square() - same.config.batch_norm_eps)
    return same.eval()


class Drawer(nn.Module):
    """The transformer and the text encoder that learns with it."""

    def __init__(self, recipe: dict[str, Any], channels: int, words: int) -> None:
        super().__init__()
        width, text = recipe["width"], recipe["text"]
        side = width // recipe["heads"]
        self.text_encoder = Qwen3ForCausalLM(
            Qwen3Config(
                vocab_size=words,
                hidden_size=text["width"],
                intermediate_size=3 * text["width"],
                num_hidden_layers=text["layers"],
                num_attention_heads=text["heads"],
                num_key_value_heads=text["heads"],
                head_dim=text["width"] // text["heads"],
                tie_word_embeddings=True,
            )
        )
        self.transformer = Flux2Transformer2DModel(
            in_channels=channels,
            num_layers=recipe["joint"],
            num_single_layers=recipe["single"],
            num_attention_heads=recipe["heads"],
            attention_head_dim=side,
            joint_attention_dim=3 * text["width"],
            timestep_guidance_channels=64,
            axes_dims_rope=(side // 4,) * 4,
            guidance_embeds=False,
        )

    def base(self, vae: AutoencoderKLFlux2, tokenizer: Qwen2TokenizerFast, shift: float) -> Flux2Base:
        """Return the base of these parts, which it freezes."""
        return Flux2Base(
            transformer=self.transformer,
            text_encoder=self.text_encoder,
            vae=vae,
            tokenizer=tokenizer,
            scheduler=FlowMatchEulerDiscreteScheduler(shift=shift),
            tokens=load_recipe()["clip"]["positions"],
        )

    def groups(self, blocks: float, others: float) -> list[dict[str, Any]]:
        """Return groups with these learning rates: the matrices of blocks, for Muon, and all else."""
        named = list(self.named_parameters())
        inside = {name for name, p in named if p.ndim == 2 and ("_blocks." in name or ".layers." in name)}
        matrices = [p for name, p in named if name in inside]
        rest = [p for name, p in named if name not in inside]
        return [
            {"params": matrices, "lr": blocks, "weight_decay": 0.01},
            {"params": rest, "lr": others, "weight_decay": 0.01, "muon": False},
        ]

    def states(self, ids: Tensor, padding: int) -> Tensor:
        """Return the context tokens of ids as `Flux2Base.encode_prompt` makes them, with gradients."""
        mask = (ids != padding).long()
        found = self.text_encoder.model(ids, attention_mask=mask, output_hidden_states=True, use_cache=False)
        depth = self.text_encoder.config.num_hidden_layers
        return torch.cat([found.hidden_states[depth * quarter // 4] for quarter in (1, 2, 3)], dim=-1)


class Words(Batches):
    """The batches of the UNet, with captions as token ids in place of CLIP's states."""

    def __init__(self, recipe: dict[str, Any], tokenizer: Qwen2TokenizerFast, length: int) -> None:
        self.recipe, self.rank = recipe, 0
        self.paintings = torch.load(outputs() / "latents.pt", mmap=True)
        splits = ("train", "single")
        self.scenes = [torch.load(outputs() / f"scene-latents-{split}.pt", mmap=True) for split in splits]

        def ids(texts: list[str]) -> Tensor:
            chats = [f"<|im_start|>{text}<|im_end|>" for text in texts]
            options = {"padding": "max_length", "truncation": True, "return_tensors": "pt"}
            return tokenizer(chats, max_length=length, **options).input_ids

        self.states = ids(all_captions()).view(len(ARTISTS), len(SUBJECTS), KINDS, length)
        self.told = []
        for split in splits:
            texts, captions = scene_captions(split, load_recipe()["encode"])
            untold = torch.tensor([texts.index(text) for text in UNTOLD])
            self.told.append({"states": ids(texts), "captions": captions, "untold": untold})


def moments(batches: Words, factor: float) -> tuple[Tensor, Tensor]:
    """Return mean and deviation of the channels of unscaled packed latents, paintings and scenes alike."""
    worlds = (batches.paintings, batches.scenes[0])
    some = torch.cat([packed(world["mean"][:4000] / factor) for world in worlds])
    return some.mean((0, 2, 3)), some.std((0, 2, 3))


def normalized(vae: AutoencoderKLFlux2, latents: Tensor) -> Tensor:
    """Return packed latents in the transformer's scale."""
    mean, variance = (one.view(1, -1, 1, 1) for one in (vae.bn.running_mean, vae.bn.running_var))
    return (packed(latents) - mean) / (variance + vae.config.batch_norm_eps).sqrt()


def loss_of(
    drawer: Drawer, base: Flux2Base, latents: Tensor, ids: Tensor, extra: int, even: Tensor
) -> Tensor:
    """Return the flow matching loss; ``extra`` zero tokens stand behind the prompt, as an adapter's may."""
    hidden, noise = drawer.states(ids, base.tokenizer.pad_token_id), torch.randn_like(latents)
    times = base.process.timesteps(even, "auto", tuple(latents.shape[2:]))
    given = base.inputs(base.process.noisy(latents, noise, times), times, TextTokens(ids, hidden))
    if extra:
        given = given.with_tokens(hidden.new_zeros(len(ids), extra, hidden.shape[2]), None)
    return (base.denoise(given).float() - base.process.target(latents, noise, times)).square().mean()


def preview(base: Flux2Base, path: Path) -> None:
    """Save a grid, artists across and subjects down."""
    pipe = GraphPipeline(GraphModel(base, [], feature_width=1))
    prompts = [named(artist, subject).text for subject in SUBJECTS for artist in ARTISTS]
    drawn = pipe(
        prompts,
        guidance_scale=2.0,
        num_inference_steps=8,
        generator=torch.manual_seed(0),
        output_type="np",
        on_step=lambda done, total: None,
    ).images
    save_grid((drawn * 255).round().astype(np.uint8), len(ARTISTS), path)


def save(base: Flux2Base, folder: Path) -> None:
    """Write a FLUX.2 Klein folder in half precision."""
    parts = {name: part for name, part in base.components.items() if isinstance(part, nn.Module)}
    halves = {name: deepcopy(part).half() for name, part in parts.items()}
    Flux2KleinPipeline(scheduler=base.scheduler, tokenizer=base.tokenizer, **halves).save_pretrained(folder)


def main() -> None:
    """Train by steps in one process; go on from the last checkpoint; write folders and grids."""
    recipe = start("transformer", threads=1)
    tokenizer = tokenizer_of(vocabulary())
    batches = Words(recipe, tokenizer, load_recipe()["clip"]["positions"])
    old = AutoencoderKL.from_pretrained(warm_start("vae") or outputs() / "vae", torch_dtype=torch.float32)
    factor = old.config.scaling_factor
    vae = autoencoder(old, *moments(batches, factor))
    drawer = Drawer(recipe, 4 * old.config.latent_channels, len(tokenizer))
    base = drawer.base(vae, tokenizer, recipe["shift"])
    drawer.requires_grad_(True)
    optimizer = MuonAndAdamW(drawer.groups(recipe["block_learning_rate"], recipe["learning_rate"]))
    steps, size, mean = recipe["steps"], recipe["batch_size"], None
    schedule, log, ema = warm_cosine(optimizer, steps, warmup=200), Log(50), Ema(drawer, recipe["ema"])
    parts = {"model": drawer, "optimizer": optimizer, "schedule": schedule, "ema": ema}
    done = restore(outputs() / FILE, parts)
    torch.manual_seed(load_recipe()["seed"] + done)
    print(f"parameters {sum(p.numel() for p in drawer.parameters()):,} words {len(tokenizer)}", flush=True)
    for step in range(done + 1, steps + 1):
        rng = np.random.default_rng([5, step])
        latents, rows = batches.latents(rng)
        ids = batches.captions(rows, rng).long()
        even = torch.as_tensor(rng.permutation((np.arange(size) + rng.uniform(0, 1, size)) / size)).float()
        extra = int(rng.choice(recipe["zero_tokens"])) if rng.random() < recipe["zeros"] else 0
        with torch.autocast("cpu", torch.bfloat16, enabled=recipe["bf16"]):
            loss = loss_of(drawer, base, normalized(vae, latents / factor), ids, extra, even)
        descend(loss, drawer.parameters(), optimizer, schedule)
        ema.update(drawer)
        mean = loss.item() if mean is None else 0.99 * mean + 0.01 * loss.item()
        log(step, loss=mean)
        if step % recipe["keep_every"] == 0 or step == steps:
            keep(outputs() / FILE, parts, step)
        if step % recipe["save_every"] == 0 or step == steps:
            averaged = ema.averaged(drawer).base(vae, tokenizer, recipe["shift"])
            save(averaged, outputs() / f"flux2-{step:05d}")
            preview(averaged, outputs() / f"flux2-{step:05d}.png")
    replace(ROOT / recipe["model"], lambda folder: copytree(outputs() / f"flux2-{steps:05d}", folder))


if __name__ == "__main__":
    main()
