"""Pictures as the denoiser sees them: the VAE's posterior of every target, computed once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32

from graphcond.fingerprint import fingerprint, module_version
from graphcond.models import StableDiffusionBase
from graphcond.pictures import open_picture, to_pixels, to_square
from graphcond.progress import Progress
from graphcond.training.cache import Arrays, Layout, cached_arrays

BATCH = 16
"""Pictures that go through the VAE at once."""

Moments = Float[np.ndarray, "n views 2 channels height width"]
"""Mean and standard deviation of every picture, upright and, with two views, mirrored."""


def storage_type(base: StableDiffusionBase) -> type[np.floating]:
    """The number format of cached tensors: float32 for a base in float32, else float16."""
    return np.float32 if base.dtype == torch.float32 else np.float16


def cached_latents(
    base: StableDiffusionBase,
    pictures: Sequence[tuple[Path, str]],
    *,
    resolution: int,
    mirrored: bool,
    progress: Progress | None = None,
) -> Moments:
    """The posterior of each picture, padded to a square of ``resolution`` pixels; memory-mapped.

    A changed picture or VAE is computed anew.

    Args:
        base: whose VAE encodes.
        pictures: the path and the digest (see `graphcond.fingerprint.file_digest`) of each.
        resolution: side in pixels.
        mirrored: encode the mirrored pictures too.
        progress: called after each batch.

    Raises:
        InputError: a picture cannot be read, or the cache cannot be written.
    """
    paths, digests = [path for path, _ in pictures], [digest for _, digest in pictures]
    vae = module_version(base.vae, base.vae.config)
    dtype = storage_type(base)
    side = resolution // base.pixels_per_latent
    shape = (len(paths), 1 + mirrored, 2, base.unet.config.in_channels, side, side)

    def fill(arrays: Arrays) -> None:
        _encode_all(base, paths, resolution, arrays["moments"], progress)

    key = f"latents-{fingerprint(vae, resolution, mirrored, dtype.__name__, digests)}"
    return cached_arrays(key, {"moments": Layout(shape, dtype)}, fill)["moments"]


def _encode_all(
    base: StableDiffusionBase,
    paths: Sequence[Path],
    resolution: int,
    into: Moments,
    progress: Progress | None,
) -> None:
    with ThreadPoolExecutor() as pool:
        for start in range(0, len(paths), BATCH):
            batch = paths[start : start + BATCH]
            pixels = torch.from_numpy(np.stack(list(pool.map(lambda path: _pixels(path, resolution), batch))))
            for view in range(into.shape[1]):
                moments = base.encode_pictures(pixels.flip(-1) if view else pixels)
                both = torch.stack([moments.mean, moments.std], dim=1)
                into[start : start + len(batch), view] = both.float().cpu().numpy()
            if progress is not None:
                progress(start + len(batch), len(paths))


def _pixels(path: Path, resolution: int) -> Float32[np.ndarray, "3 height width"]:
    return to_pixels(to_square(open_picture(path, longest=2 * resolution), resolution))
