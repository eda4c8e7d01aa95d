"""Put the trained parts into the folder that ships."""

from pathlib import Path

import torch
from common import model_folder, outputs
from folder import replace, write_base, write_clip
from transformers import BertModel, BertTokenizer


def write(folder: Path) -> None:
    """Write every part."""
    vae = outputs() / ("vae-final" if (outputs() / "vae-final").is_dir() else "vae")
    trained = list(outputs().glob("unet-?????")) or [outputs() / "warm-unet"]
    write_base(folder, vae=vae, unet=max(trained), clip=outputs() / "clip")
    write_clip(folder / "structure_clip", outputs() / "structure_clip", outputs() / "clip")
    BertModel.from_pretrained(outputs() / "bert", dtype=torch.float16).save_pretrained(folder / "bert")
    BertTokenizer.from_pretrained(outputs() / "bert").save_pretrained(folder / "bert")


if __name__ == "__main__":
    replace(model_folder(), write)
