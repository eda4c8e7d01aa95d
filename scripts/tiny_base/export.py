"""Put the trained parts into one folder, in diffusers' layout and half precision, atomically."""

import json
import shutil
from pathlib import Path

import torch
from common import model_folder, outputs
from diffusers import AutoencoderKL, UNet2DConditionModel
from sampling import ddim
from transformers import BertModel, BertTokenizer, CLIPModel, CLIPTextModel, CLIPTokenizer

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


def write(folder: Path) -> None:
    """Write every part."""
    vae = outputs() / ("vae-final" if (outputs() / "vae-final").is_dir() else "vae")
    AutoencoderKL.from_pretrained(vae, torch_dtype=torch.float16).save_pretrained(folder / "vae")
    trained = list(outputs().glob("unet-?????")) or [outputs() / "warm-unet"]
    unet = UNet2DConditionModel.from_pretrained(max(trained), torch_dtype=torch.float16)
    unet.save_pretrained(folder / "unet")
    text_half(CLIPModel.from_pretrained(outputs() / "clip")).half().save_pretrained(folder / "text_encoder")
    for name in ("clip", "structure_clip"):
        CLIPModel.from_pretrained(outputs() / name, dtype=torch.float16).save_pretrained(folder / name)
    for name in ("tokenizer", "clip", "structure_clip"):
        CLIPTokenizer.from_pretrained(outputs() / "clip").save_pretrained(folder / name)
        for plain in ("vocab.json", "merges.txt"):
            shutil.copy(outputs() / "clip" / plain, folder / name / plain)
    for name in ("clip", "structure_clip"):
        shutil.copy(outputs() / "clip" / "preprocessor_config.json", folder / name)
    BertModel.from_pretrained(outputs() / "bert", dtype=torch.float16).save_pretrained(folder / "bert")
    BertTokenizer.from_pretrained(outputs() / "bert").save_pretrained(folder / "bert")
    ddim().save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n")


def strip_paths(folder: Path) -> None:
    """Drop where a part was loaded from: it means nothing elsewhere."""
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(content, dict) and content.pop("_name_or_path", None) is not None:
            path.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def main() -> None:
    """Write beside the model, then swap folders by renaming."""
    folder = model_folder()
    fresh, old = folder.with_name(".tiny-new"), folder.with_name(".tiny-old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    write(fresh)
    strip_paths(fresh)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
