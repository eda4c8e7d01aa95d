"""A folder in Stable Diffusion's layout and half precision, from trained parts."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from sampling import ddim
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "_diffusers_version": "0.36.0",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}


def text_half(clip: CLIPModel) -> CLIPTextModel:
    """Return CLIP's text encoder as a model of its own."""
    encoder = CLIPTextModel(clip.config.text_config)
    missing, _ = encoder.load_state_dict(
        {k: v for k, v in clip.state_dict().items() if k.startswith("text_model.")}, strict=False
    )
    if missing:
        encoder.load_state_dict(clip.text_model.state_dict())
    return encoder


def write_tokenizer(folder: Path, clip: Path) -> None:
    """Write the tokenizer of ``clip``, also in the plain files that diffusers' loaders look for."""
    CLIPTokenizer.from_pretrained(clip).save_pretrained(folder)
    for plain in ("vocab.json", "merges.txt"):
        shutil.copy(clip / plain, folder / plain)


def write_clip(folder: Path, weights: Path, clip: Path) -> None:
    """Write the network of ``weights`` with the tokenizer and the preprocessor of ``clip``."""
    CLIPModel.from_pretrained(weights, dtype=torch.float16).save_pretrained(folder)
    write_tokenizer(folder, clip)
    shutil.copy(clip / "preprocessor_config.json", folder)


def write_base(folder: Path, *, vae: Path, unet: Path, clip: Path) -> None:
    """Write a base from the folders of its trained parts; the whole CLIP comes beside it."""
    AutoencoderKL.from_pretrained(vae, torch_dtype=torch.float16).save_pretrained(folder / "vae")
    UNet2DConditionModel.from_pretrained(unet, torch_dtype=torch.float16).save_pretrained(folder / "unet")
    text_half(CLIPModel.from_pretrained(clip)).half().save_pretrained(folder / "text_encoder")
    write_tokenizer(folder / "tokenizer", clip)
    write_clip(folder / "clip", clip, clip)
    ddim().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")


def strip_paths(folder: Path) -> None:
    """Drop where a part was loaded from: it means nothing elsewhere."""
    for path in folder.rglob("config.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = [content, *(part for part in content.values() if isinstance(part, dict))]  # a CLIP has halves
        if [part for part in parts if part.pop("_name_or_path", None) is not None]:
            path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def replace(folder: Path, write: Callable[[Path], None]) -> None:
    """Write beside ``folder``, then swap folders by renaming."""
    fresh, old = (folder.with_name(f".{folder.name}-{age}") for age in ("new", "old"))
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    write(fresh)
    strip_paths(fresh)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder.name}: {size / 1e6:.1f} MB")
