"""The Inception network by which published FID and KID figures are made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image

from graphcond.errors import InputError
from graphcond.pictures import to_square

BATCH = 32


class InceptionExtractor:
    """Pooled features (2048) of the InceptionV3 that torch-fidelity ships; needs the extra ``fid``.

    Pictures are padded to a square and scaled to 256, as InstructG2I's evaluation does.

    Raises:
        InputError: torch-fidelity is not installed, or its weights are neither cached nor downloadable.
    """

    identity = "inception-v3-compat-2048"
    width = 2048
    resolution = 256

    def __init__(self, device: str | torch.device = "cpu") -> None:
        from torchmetrics.image.fid import NoTrainInceptionV3

        try:
            network = NoTrainInceptionV3("inception-v3-compat", ["2048"])
        except ModuleNotFoundError:
            raise InputError(
                "the Inception network of FID and KID is not installed",
                place="evaluation",
                remedy='run: pip install "graphcond[fid]"; or leave out fid and kid, or give them another '
                "feature network",
            ) from None
        except OSError as error:
            raise InputError(
                f"the weights of the Inception network cannot be loaded ({error})",
                place="evaluation",
                remedy="go online once, so that they are downloaded, or leave out fid and kid",
            ) from error
        self.network = network.to(device)
        self.device = device

    @torch.inference_mode()
    def embed_pictures(self, pictures: Sequence[Image.Image]) -> Float32[np.ndarray, "n d"]:
        """One feature vector for each picture."""
        batches = [pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH)]
        features = [self.network(self._pixels(batch)).float().cpu().numpy() for batch in batches]
        return np.concatenate([np.empty((0, self.width), np.float32), *features])

    def _pixels(self, pictures: Sequence[Image.Image]) -> torch.Tensor:
        levels = np.stack([np.asarray(to_square(picture, self.resolution)) for picture in pictures])
        return torch.from_numpy(levels).permute(0, 3, 1, 2).to(self.device)
