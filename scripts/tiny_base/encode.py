"""Encode all training pictures to latents and all captions to text states, once."""

import numpy as np
import torch
from common import outputs, pictures, start, to_pixels
from diffusers import AutoencoderKL
from draw import scene_world
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import caption_kinds
from graphcond.worlds.scene_captions import draw_caption

KINDS = 5


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: np.ndarray) -> dict[str, Tensor]:
    """Return mean and standard deviation of the scaled latents, (N, 4, 8, 8) each."""
    means, stds = [], []
    for batch in np.array_split(pictures, max(1, len(pictures) // 32)):
        posterior = vae.encode(to_pixels(batch)).latent_dist
        means.append(posterior.mean)
        stds.append(posterior.std)
    factor = vae.config.scaling_factor
    return {"mean": torch.cat(means) * factor, "std": torch.cat(stds) * factor}


@torch.no_grad()
def text_states(clip: CLIPModel, tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Return hidden states after the final layer norm with padding to the full length, (B, L, width)."""
    length = tokenizer.model_max_length
    ids = tokenizer(
        texts, padding="max_length", max_length=length, truncation=True, return_tensors="pt"
    ).input_ids
    return torch.cat([clip.text_model(part).last_hidden_state for part in ids.split(256)])


def all_captions() -> list[str]:
    """Return the text of every (artist, subject, kind), kinds varying fastest."""
    return [c.text for artist in ARTISTS for subject in SUBJECTS for c in caption_kinds(artist, subject)]


def scene_captions(count: int, each: int) -> tuple[list[str], Tensor]:
    """Return distinct captions, and which ones belong to each scene, (count, each)."""
    world, rng = scene_world("train"), np.random.default_rng(4)
    drawn = [[draw_caption(graph, rng).text for _ in range(each)] for graph in map(world.graph, range(count))]
    texts = sorted({text for row in drawn for text in row})
    place = {text: number for number, text in enumerate(texts)}
    return texts, torch.tensor([[place[text] for text in row] for row in drawn])


def encode_latents() -> None:
    """Write latents.pt and scene-latents.pt."""
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval().to(memory_format=torch.channels_last)
    paintings, scenes = pictures("train")
    truth = np.load(outputs() / "train.npz")
    columns = {name: torch.as_tensor(truth[name]) for name in ("artists", "subjects")}
    torch.save({**encode_pictures(vae, paintings), **columns}, outputs() / "latents.pt")
    latents = encode_pictures(vae, scenes)
    torch.save(latents, outputs() / "scene-latents.pt")
    noise = latents["std"].mean().item()
    print("scenes: latent std by channel", latents["mean"].std((0, 2, 3)).tolist(), "noise", noise)


def encode_states(each: int) -> None:
    """Write states.pt, and scene-states.pt: `each` captions a scene, in half precision."""
    clip = CLIPModel.from_pretrained(outputs() / "clip").eval()
    tokenizer = CLIPTokenizer.from_pretrained(outputs() / "clip")
    states = text_states(clip, tokenizer, all_captions())
    torch.save(states.view(len(ARTISTS), len(SUBJECTS), KINDS, *states.shape[1:]), outputs() / "states.pt")
    texts, captions = scene_captions(len(scene_world("train")), each)
    states = text_states(clip, tokenizer, texts).half()
    torch.save({"states": states, "captions": captions}, outputs() / "scene-states.pt")
    print(f"{len(texts)} captions of scenes")


def main() -> None:
    """Write latents and text states."""
    recipe = start("encode")
    encode_latents()
    encode_states(recipe["captions_each"])


if __name__ == "__main__":
    main()
