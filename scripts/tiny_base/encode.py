"""Encode all training pictures to latents and all captions to text states, once."""

import numpy as np
import torch
from common import outputs, start, to_pixels
from diffusers import AutoencoderKL
from draw import scene_world
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer

from graphcond.scene_graph import SceneGraph
from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import caption_kinds
from graphcond.worlds.scene_captions import ANY_SCENE, draw_caption

KINDS = 5
UNTOLD = ("", ANY_SCENE)
"""Captions that tell nothing of a scene."""


@torch.no_grad()
def encode_pictures(vae: AutoencoderKL, pictures: np.ndarray) -> dict[str, Tensor]:
    """Return mean and standard deviation of the scaled latents, (N, 7, 8, 8) each."""
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


def is_nested(graph: SceneGraph) -> bool:
    """Return whether a shape lies inside another."""
    return any(relation.predicate in ("inside", "surrounding") for relation in graph.relationships)


def scene_captions(split: str, recipe: dict) -> tuple[list[str], Tensor]:
    """Return distinct captions, and which ones belong to each scene, (scenes, each)."""
    world, rng = scene_world(split), np.random.default_rng(4)
    drawn = [
        [
            draw_caption(graph, rng, recipe["nested" if is_nested(graph) else "beside"]).text
            for _ in range(recipe["captions_each"])
        ]
        for graph in map(world.graph, range(len(world)))
    ]
    texts = sorted({text for row in drawn for text in row} | set(UNTOLD))
    place = {text: number for number, text in enumerate(texts)}
    return texts, torch.tensor([[place[text] for text in row] for row in drawn])


def encode_latents() -> None:
    """Write latents.pt (paintings) and scene-latents-SPLIT.pt."""
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval().to(memory_format=torch.channels_last)
    truth = np.load(outputs() / "train.npz")
    columns = {name: torch.as_tensor(truth[name]) for name in ("artists", "subjects")}
    torch.save({**encode_pictures(vae, truth["pictures"]), **columns}, outputs() / "latents.pt")
    for split in ("train", "single"):
        scenes = np.load(outputs() / f"scenes-{split}.npz")["pictures"]
        torch.save(encode_pictures(vae, scenes), outputs() / f"scene-latents-{split}.pt")


def encode_states(recipe: dict) -> None:
    """Write states.pt, and scene-states-SPLIT.pt: the captions of each scene, in half precision."""
    clip = CLIPModel.from_pretrained(outputs() / "clip").eval()
    tokenizer = CLIPTokenizer.from_pretrained(outputs() / "clip")
    states = text_states(clip, tokenizer, all_captions())
    torch.save(states.view(len(ARTISTS), len(SUBJECTS), KINDS, *states.shape[1:]), outputs() / "states.pt")
    for split in ("train", "single"):
        texts, captions = scene_captions(split, recipe)
        content = {
            "states": text_states(clip, tokenizer, texts).half(),
            "captions": captions,
            "untold": torch.tensor([texts.index(text) for text in UNTOLD]),
        }
        torch.save(content, outputs() / f"scene-states-{split}.pt")


def main() -> None:
    """Write latents and text states."""
    recipe = start("encode")
    encode_latents()
    encode_states(recipe)


if __name__ == "__main__":
    main()
