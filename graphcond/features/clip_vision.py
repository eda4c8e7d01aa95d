"""The vision network of a CLIP alone, as the InstructG2I release ships it."""

from __future__ import annotations

from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from transformers import CLIPConfig, CLIPVisionConfig, CLIPVisionModelWithProjection

from graphcond.errors import InputError
from graphcond.features.clip import PretrainedExtractor
from graphcond.features.networks import clip_processor, load_network, load_pretrained
from graphcond.io.pictures import to_rgb
from graphcond.io.quiet import ignored


class ClipVisionExtractor(PretrainedExtractor):
    """CLIP's projected picture embeddings (``image_embeds``) before normalization.

    Pictures are prepared by CLIP's own preprocessing and in no other way: a transparent pixel
    shows the colour that is stored under it, and pictures are not turned upright.
    """

    @classmethod
    def from_pretrained(
        cls, name: str | Path, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> ClipVisionExtractor:
        """Load a `CLIPVisionModelWithProjection`, or that half of a whole CLIP: a folder or a hub id.

        Without a ``preprocessor_config.json`` pictures are prepared as CLIP's are, at the model's size.

        Raises:
            InputError: the model is missing, damaged, or not a CLIP.
        """
        options = {"config": vision_config(name)}
        model = load_network(CLIPVisionModelWithProjection, name, device, dtype, **options)
        return cls(model, clip_processor(name, model.config.image_size), name=str(name))

    @property
    def width(self) -> int:
        """Length of one embedding: CLIP's projection width."""
        return int(self.model.config.projection_dim)

    def _plain(self, picture: Image.Image) -> Image.Image:
        if picture.mode.startswith("I"):  # 16 or 32 bits, of which CLIP's own conversion leaves white
            return to_rgb(picture)
        with ignored(UserWarning, "Palette images with Transparency"):  # it is meant
            return picture.convert("RGB")

    def _encode(self, pixels: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b d"]:
        return self.model(pixel_values=pixels).image_embeds


def vision_config(name: str | Path) -> CLIPVisionConfig:
    """The sizes of a CLIP's vision network, given alone or in a whole CLIP, without loading any weight.

    Raises:
        InputError: the config is missing or damaged.
    """
    if Path(name).is_dir() and not (Path(name) / "config.json").is_file():
        raise InputError("the folder has no config.json", place=name, remedy="name the folder of a CLIP")
    config: CLIPVisionConfig = load_pretrained(CLIPVisionConfig, name)
    config.projection_dim = load_pretrained(CLIPConfig, name).projection_dim  # its half may name a default
    return config
