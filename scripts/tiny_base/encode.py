"""Encode all training pictures to latents and all captions to text states, once."""

import numpy as np
import torch
from common import outputs, start, to_pixels
from diffusers import AutoencoderKL
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import caption_kinds

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
    ids = tokenizer(texts, padding="max_length", max_length=length, return_tensors="pt").input_ids
    return clip.text_model(ids).last_hidden_state


def all_captions() -> list[str]:
    """Return the text of every (artist, subject, kind), kinds varying fastest."""
    return [c.text for artist in ARTISTS for subject in SUBJECTS for c in caption_kinds(artist, subject)]


def main() -> None:
    """Write latents.pt and states.pt."""
    start("encode")
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval()
    clip = CLIPModel.from_pretrained(outputs() / "clip").eval()
    data = np.load(outputs() / "train.npz")
    latents = encode_pictures(vae, data["pictures"])
    columns = {name: torch.as_tensor(data[name]) for name in ("artists", "subjects")}
    print(
        "latent std by channel",
        latents["mean"].std((0, 2, 3)).tolist(),
        "noise",
        latents["std"].mean().item(),
    )
    torch.save({**latents, **columns}, outputs() / "latents.pt")
    states = text_states(clip, CLIPTokenizer.from_pretrained(outputs() / "clip"), all_captions())
    torch.save(states.view(len(ARTISTS), len(SUBJECTS), KINDS, *states.shape[1:]), outputs() / "states.pt")


if __name__ == "__main__":
    main()
