"""The cosine that CLIP-I, CLIP-T and DINO-I share."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64


def clipped_cosine(
    left: Float32[np.ndarray, "n d"], right: Float32[np.ndarray, "n d"]
) -> Float64[np.ndarray, " n"]:
    """Cosine of paired rows, cut off below 0, times 100; 0 where a row is zero."""
    a, b = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    cosine = (a * b).sum(axis=1) / np.where(lengths > 0, lengths, 1.0)
    return 100.0 * np.maximum(cosine, 0.0)
