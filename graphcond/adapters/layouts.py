"""What injectors that read a layout share: its width, its size, and residuals where there is one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.errors import InputError
from graphcond.signals import LayoutMap


def known_width(width: int | None, place: str) -> int:
    """The number of channels of the layouts that an injector reads.

    Raises:
        InputError: it is not known.
    """
    if width is None:
        raise InputError(
            "the number of channels of the layouts is not known",
            place=f"{place}.layout_width",
            remedy="give it the width of the encoder's layouts",
        )
    return width


def resized(
    signal: LayoutMap, size: tuple[int, int], width: int | None, place: str
) -> Float[Tensor, "b c height width"]:
    """The features of a layout at another size, 0 where it is absent.

    Raises:
        InputError: it has another number of channels than ``width``.
    """
    features = signal.features.masked_fill(~signal.present[:, None, None, None], 0)
    if features.shape[1] != width:
        raise InputError(
            f"layouts have {features.shape[1]} channels, it was made for {width}",
            place=f"{place}.layout_width",
            remedy="build it with the width of the encoder's layouts",
        )
    if features.shape[2:] == size:
        return features
    smaller = size[0] < features.shape[2] or size[1] < features.shape[3]
    return F.interpolate(features.float(), size=size, mode="bilinear", antialias=smaller)


def with_residuals(inputs: DenoiserInputs, added: Mapping[str, Tensor], signal: LayoutMap) -> DenoiserInputs:
    """Inputs with residuals on top of those that are there, for the samples that have a layout."""
    shown, residuals = signal.present[:, None, None, None], dict(inputs.residuals)
    for site, residual in added.items():
        residual = torch.where(shown, residual, 0.0)
        residuals[site] = residuals[site] + residual if site in residuals else residual
    return replace(inputs, residuals=residuals)
