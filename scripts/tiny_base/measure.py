"""Measure the finished base from its folder and write quality.json and sample grids."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from clip import retrieval, scene_retrieval
from common import load_recipe, model_folder, outputs, pictures, save_grid, start, to_bytes, to_pixels
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from oracle import accuracy
from sampling import decode, sample_latents, solver
from scene_measures import from_words, list_caption, test_graphs
from scene_oracle import quality as scene_quality
from structure_clip import own_over_swapped
from torch import Tensor
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer
from vae import psnr

from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import named, plain
from graphcond.worlds.oracle import WEIGHTS, ArtOracle
from graphcond.worlds.scene_oracle import WEIGHTS as SCENE_WEIGHTS
from graphcond.worlds.scene_oracle import SceneOracle

HERE = Path(__file__).parent
PAIRS = [(artist, subject) for subject in range(len(SUBJECTS)) for artist in range(len(ARTISTS))]


class Base:
    """The parts of the folder that ships, in single precision."""

    def __init__(self, folder: Path) -> None:
        self.vae = AutoencoderKL.from_pretrained(folder / "vae", torch_dtype=torch.float32)
        self.unet = UNet2DConditionModel.from_pretrained(folder / "unet", torch_dtype=torch.float32)
        self.text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        self.tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
        self.clip = CLIPModel.from_pretrained(folder / "clip", dtype=torch.float32)
        self.ddim = DDIMScheduler.from_pretrained(folder / "scheduler")
        self.solver = solver(self.ddim.config)

    @torch.no_grad()
    def states(self, texts: list[str]) -> Tensor:
        """Return text states (B, L, C)."""
        ids = self.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt").input_ids
        return self.text(ids).last_hidden_state

    def draw(self, texts: list[str], scheduler: str, steps: int, scale: float, zeros: int = 0) -> Tensor:
        """Return pixels (B, 3, 64, 64) for captions, with `zeros` zero tokens appended to each."""
        states = torch.nn.functional.pad(self.states([*texts, ""]), (0, 0, 0, zeros))
        states, null = states[:-1], states[-1]
        chosen = getattr(self, scheduler)
        return decode(self.vae, sample_latents(self.unet, chosen, states, null, steps, scale, seed=0))


def style_and_subject(oracle: ArtOracle, pixels: Tensor) -> dict[str, float]:
    """Accuracies of pictures drawn for PAIRS, repeated."""
    truth = {
        "artists": np.resize([a for a, _ in PAIRS], len(pixels)),
        "subjects": np.resize([s for _, s in PAIRS], len(pixels)),
    }
    return accuracy(oracle, pixels, truth)


def grid(base: Base, oracle: ArtOracle) -> dict[str, Any]:
    """Accuracy over schedulers, steps and scales, two pictures of every named pair."""
    texts = [named(ARTISTS[a], SUBJECTS[s]).text for a, s in PAIRS] * 2
    settings = [("ddim", 10, scale) for scale in (1.0, 2.0, 3.0)] + [("ddim", 6, 2.0), ("ddim", 8, 2.0)]
    settings += [("solver", steps, 2.0) for steps in (6, 8, 10)]
    return {
        f"{name} {steps} steps scale {scale}": style_and_subject(oracle, base.draw(texts, name, steps, scale))
        for name, steps, scale in settings
    }


def parts(base: Base) -> dict[str, int]:
    """Parameters of each part."""
    models = {"unet": base.unet, "vae": base.vae, "text_encoder": base.text, "clip": base.clip}
    return {name: sum(p.numel() for p in model.parameters()) for name, model in models.items()}


def megabytes(folder: Path) -> dict[str, float]:
    """Size of each part on disk."""
    parts = [path for path in folder.iterdir() if path.is_dir()]
    return {part.name: sum(file.stat().st_size for file in part.rglob("*")) / 1e6 for part in parts}


@torch.no_grad()
def rebuilt(vae: AutoencoderKL, pixels: Tensor) -> Tensor:
    """Send pixels through the VAE."""
    return torch.cat([vae(batch).sample.clamp(-1, 1) for batch in pixels.split(100)])


def art(base: Base) -> dict[str, Any]:
    """Measure paintings; look at named.png afterwards."""
    oracle, test = ArtOracle.load(), dict(np.load(outputs() / "test.npz"))
    pixels = to_pixels(test["pictures"])
    subject_only = base.draw([plain(SUBJECTS[s]).text for _, s in PAIRS], "ddim", 10, 2.0)
    texts = [named(ARTISTS[a], SUBJECTS[s]).text for a, s in PAIRS]
    begin = time.time()
    shown = base.draw(texts, "ddim", 10, 2.0)
    seconds = (time.time() - begin) / len(texts)
    save_grid(to_bytes(shown), len(ARTISTS), HERE / "named.png", zoom=2)
    save_grid(to_bytes(subject_only), len(ARTISTS), outputs() / "plain.png", zoom=2)
    return {
        "vae_psnr_db": psnr(base.vae, test["pictures"]),
        "oracle_on_unseen_pictures": accuracy(oracle, pixels, test),
        "oracle_on_reconstructions": accuracy(oracle, rebuilt(base.vae, pixels), test),
        "clip_retrieval_120_way": retrieval(base.clip, base.tokenizer, test),
        "subject_without_name": style_and_subject(oracle, subject_only)["subject"],
        "named": grid(base, oracle),
        "named_with_48_zero_tokens": style_and_subject(oracle, base.draw(texts, "ddim", 10, 2.0, zeros=48)),
        "seconds_per_picture_10_steps": seconds,
    }


def scenes(base: Base) -> dict[str, Any]:
    """Measure scenes; look at scenes.png afterwards."""
    oracle, (_, test) = SceneOracle.load(), pictures("test")
    graphs, pixels = test_graphs(len(test)), to_pixels(test)
    shown = base.draw([list_caption(graph) for graph in graphs[:72]], "ddim", 10, 2.0)
    save_grid(to_bytes(shown), 12, HERE / "scenes.png", zoom=2)
    return {
        "vae_psnr_db": psnr(base.vae, test),
        "oracle_on_unseen_pictures": scene_quality(oracle, pixels, graphs),
        "oracle_on_reconstructions": scene_quality(oracle, rebuilt(base.vae, pixels), graphs),
        "clip_picks_a_fitting_list_200_way": scene_retrieval(base.clip, base.tokenizer, test),
        "own_sentence_over_swapped": {
            name: own_over_swapped(
                CLIPModel.from_pretrained(model_folder() / name, dtype=torch.float32).eval(), base.tokenizer
            )
            for name in ("clip", "structure_clip")
        },
        "from_words": from_words(base.draw),
    }


def main() -> None:
    """Measure everything."""
    start("measure")
    folder = model_folder()
    base = Base(folder)
    stages = {name: stage for name, stage in load_recipe().items() if isinstance(stage, dict)}
    steps = {name: stage["steps"] for name, stage in stages.items() if "steps" in stage}
    quality = {
        "vae_scaling_factor": base.vae.config.scaling_factor,
        "paintings": art(base),
        "scenes": scenes(base),
        "parameters": parts(base),
        "megabytes": megabytes(folder),
        "oracle_bytes": {"art": WEIGHTS.stat().st_size, "scenes": SCENE_WEIGHTS.stat().st_size},
        "steps": steps,
    }
    (HERE / "quality.json").write_text(json.dumps(quality, indent=2) + "\n")
    print(json.dumps(quality, indent=2))


if __name__ == "__main__":
    main()
