"""The art world's oracle: it recognises the artist and the subject of a picture."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
from jaxtyping import Float, Float32, Int64
from safetensors.torch import load_file
from torch import Tensor, nn

from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.scene_oracle import conv_block

WEIGHTS = Path(__file__).with_name("art_oracle.safetensors")


@dataclass(frozen=True)
class OraclePrediction:
    """Indices into `ArtOracle.artists` and `ArtOracle.subjects`."""

    artist: Int64[Tensor, " b"]
    subject: Int64[Tensor, " b"]


class ArtOracle(nn.Module):
    """A small CNN that reads 64x64 pictures: four strided convolutions, a feature vector and two heads.

    It was trained on the world's own procedural pictures alone (blurred, shifted, noisy), never on generated
    ones. Other sizes are resized first.
    """

    artists = ARTISTS
    subjects = SUBJECTS
    resolution = 64

    def __init__(self, widths: tuple[int, ...] = (24, 48, 96, 96), feature_width: int = 64) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(conv_block(*ends, 2) for ends in pairwise((3, *widths))))
        self.to_features = nn.Linear(widths[-1] * 16, feature_width)
        self.artist_head = nn.Linear(feature_width, len(self.artists))
        self.subject_head = nn.Linear(feature_width, len(self.subjects))

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> "ArtOracle":
        """Load the trained oracle, in evaluation mode and frozen."""
        oracle = cls()
        oracle.load_state_dict({name: value.float() for name, value in load_file(path).items()})
        return oracle.eval().requires_grad_(False)

    def embed(self, pixels: Float32[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Return raw features."""
        if pixels.shape[-2:] != (self.resolution, self.resolution):
            size = (self.resolution, self.resolution)
            pixels = nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)
        return self.to_features(self.blocks(pixels).flatten(1))

    def forward(
        self, pixels: Float32[Tensor, "b 3 h w"]
    ) -> tuple[Float[Tensor, "b artists"], Float[Tensor, "b subjects"]]:
        """Return the logits of both heads for pixels in [-1, 1]."""
        features = self.embed(pixels)
        return self.artist_head(features), self.subject_head(features)

    @torch.no_grad()
    def classify(self, pixels: Float32[Tensor, "b 3 h w"]) -> OraclePrediction:
        """Classify the artist and the subject of each picture, pixels in [-1, 1]."""
        artist, subject = self(pixels)
        return OraclePrediction(artist.argmax(-1), subject.argmax(-1))

    @torch.no_grad()
    def features(self, pixels: Float32[Tensor, "b 3 h w"]) -> Float[Tensor, "b d"]:
        """Return unit-length feature vectors: their distance is low for the same artist and subject."""
        return nn.functional.normalize(self.embed(pixels), dim=-1)
