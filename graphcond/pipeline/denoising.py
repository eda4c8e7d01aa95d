"""From noise to latents: the steps of a scheduler, from noise alone or from a picture."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F
from diffusers import SchedulerMixin
from diffusers.image_processor import VaeImageProcessor
from diffusers.utils.torch_utils import randn_tensor
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from graphcond.bases import Base
from graphcond.config import as_number
from graphcond.errors import InputError
from graphcond.io.pictures import open_picture, to_rgb
from graphcond.pipeline.arguments import Generators, check_count, check_generators

Latents = Float[Tensor, "b channels height width"]

IMAGE_STRENGTH, MASK_STRENGTH = 0.8, 1.0
"""The strengths that diffusers has for a picture without mask and with one."""


@dataclass(frozen=True)
class GivenPicture:
    """A picture to draw from, and where it is kept.

    Args:
        pixels: with values in -1..1.
        redrawn: 1 where the picture is drawn anew, as large as the latents; None for everywhere.
        strength: share of the steps that are made, 0..1.
    """

    pixels: Float[Tensor, "b 3 height width"]
    redrawn: Float[Tensor, "b 1 h w"] | None
    strength: float

    @property
    def from_noise(self) -> bool:
        """Whether the first step starts from noise alone, as in diffusers with a mask and strength 1."""
        return self.redrawn is not None and self.strength == 1


def read_given(
    base: Base, image: Any, mask: Any, strength: float | None, sides: tuple[int | None, int | None]
) -> GivenPicture | None:
    """The picture to draw from, as diffusers' pipelines read it; None if there is none.

    Args:
        base: whose latents they become.
        image: in any form that diffusers' ``VaeImageProcessor`` reads, or a file.
        mask: white where it is drawn anew; as large as ``image``.
        strength: that of diffusers unless given.
        sides: height and width to scale them to; those of ``image``, rounded down, unless given.

    Raises:
        InputError: a mask or a strength without picture, a mask of another size, or a strength out of range.
    """
    if image is None:
        for name, value in (("mask_image", mask), ("strength", strength)):
            if value is not None:
                raise InputError(
                    "there is no picture to draw from", place=name, remedy="give one (image=, --image)"
                )
        return None
    picture, cut = (_plain(one) for one in (image, mask))
    if mask is not None and _size(picture) != _size(cut):
        raise InputError(
            f"the picture has {_size(picture)} pixels (height, width), the mask {_size(cut)}",
            place="mask_image",
            remedy="give a mask of the picture's size",
        )
    default = IMAGE_STRENGTH if mask is None else MASK_STRENGTH
    strength = default if strength is None else as_number(strength, "strength")
    if not 0 <= strength <= 1:
        raise InputError(f"expected a number in 0..1, got {strength}", place="strength")
    unit, multiple = base.facts.pixels_per_latent, base.facts.multiple
    height, width = (
        given or max(own // multiple, 1) * multiple for given, own in zip(sides, _size(picture), strict=True)
    )
    pixels = VaeImageProcessor(unit).preprocess(picture, height, width)
    if mask is None:
        return GivenPicture(pixels, None, strength)
    reader = VaeImageProcessor(unit, do_normalize=False, do_binarize=True, do_convert_grayscale=True)
    redrawn = F.interpolate(reader.preprocess(cut, height, width), size=(height // unit, width // unit))
    return GivenPicture(pixels, redrawn, strength)


def _plain(picture: Any) -> Any:
    """Pictures in a form that diffusers reads: files are read, and PIL pictures made RGB."""
    if isinstance(picture, list | tuple):
        return [_plain(one) for one in picture]
    if isinstance(picture, str | Path):
        return open_picture(Path(picture))
    return to_rgb(picture) if isinstance(picture, Image.Image) else picture


def _size(picture: Any) -> tuple[int, int]:
    """Height and width of a picture in a form that diffusers reads; of the first one of a list."""
    if isinstance(picture, list) and picture:
        return _size(picture[0])
    if isinstance(picture, Tensor) and picture.ndim > 1:
        height, width = picture.shape[-2:]
    elif isinstance(picture, np.ndarray) and picture.ndim > 1:
        height, width = picture.shape[-3:-1] if picture.ndim > 2 else picture.shape
    elif isinstance(picture, Image.Image):
        width, height = picture.size
    else:
        raise InputError(
            f"expected a picture, got a {type(picture).__name__}",
            place="image",
            remedy="give a PIL picture, a file, an array or a tensor",
        )
    return int(height), int(width)


def side(base: Base, name: str, pixels: int | None, drawn: int | None) -> int:
    """The requested side in pixels, else that of latents of ``drawn`` units, else the base's own.

    Raises:
        InputError: the base draws no such side.
    """
    facts = base.facts
    if pixels is None:
        given = (drawn or 0) * facts.pixels_per_latent
        return given if given and given % facts.multiple == 0 else facts.default_size
    pixels = check_count(pixels, name)
    if pixels % facts.multiple:
        raise InputError(
            f"{pixels} pixels do not fit the base", place=name, remedy=f"use a multiple of {facts.multiple}"
        )
    return pixels


def drawn_noise(
    base: Base,
    count: int,
    sides: tuple[int | None, int | None],
    generator: Generators,
    latents: Tensor | None,
) -> Latents:
    """The initial noise, standard normal, unless ``latents`` are it.

    Raises:
        InputError: wrong sides, generators or latents.
    """
    if latents is not None and not (isinstance(latents, Tensor) and latents.isfinite().all()):
        raise InputError("expected a tensor of finite numbers", place="latents", remedy="leave it out")
    units = [None, None] if latents is None or latents.ndim != 4 else [*latents.shape[2:]]
    height, width = (side(base, *one) for one in zip(("height", "width"), sides, units, strict=True))
    shape = (count, *base.latent_shape(height, width))
    check_generators(generator, count)
    if latents is None:
        return randn_tensor(shape, generator=generator, device=base.device, dtype=base.dtype)
    if tuple(latents.shape) != shape:
        raise InputError(f"expected the shape {shape}, got {tuple(latents.shape)}", place="latents")
    return latents.to(base.device, base.dtype)


def picture_latents(base: Base, pixels: Tensor, rows: int, copies: int, generator: Generators) -> Latents:
    """The latents of pictures, a row for each picture that is drawn.

    Args:
        base: encodes them.
        pixels: one picture, or one for each prompt.
        rows: pictures that are drawn.
        copies: of each prompt.
        generator: of the draw from the autoencoder's posterior.

    Raises:
        InputError: there is another number of pictures.
    """
    if len(pixels) not in (1, rows // copies, rows):
        raise InputError(
            f"expected one picture, or one for each of {rows // copies} prompts, got {len(pixels)}",
            place="image",
            remedy="give one, or one each",
        )
    if isinstance(generator, list):  # then each drawn picture has a draw of its own
        pixels = _rows(pixels, rows)
    moments = base.encode_pictures(pixels)
    noise = randn_tensor(
        moments.std.shape, generator=generator, device=moments.std.device, dtype=moments.std.dtype
    )
    return _rows((moments.mean + moments.std * noise).to(base.device, base.dtype), rows)


def _rows(tensor: Tensor, rows: int) -> Tensor:
    return tensor.repeat_interleave(rows // len(tensor), dim=0)


@dataclass(frozen=True)
class Canvas:
    """The latents that a call starts from.

    Args:
        noise: standard normal.
        clean: those of the picture to draw from.
        given: that picture.
    """

    noise: Latents
    clean: Latents | None
    given: GivenPicture | None

    @classmethod
    def of(
        cls,
        base: Base,
        given: GivenPicture | None,
        sides: tuple[int | None, int | None],
        *,
        rows: int,
        copies: int,
        generator: Generators,
        latents: Tensor | None,
    ) -> Canvas:
        """The canvas for ``rows`` pictures, ``copies`` of each prompt.

        Raises:
            InputError: as `picture_latents` and `drawn_noise`.
        """
        if given is None:
            return cls(drawn_noise(base, rows, sides, generator, latents), None, None)
        clean = picture_latents(base, given.pixels, rows, copies, generator)
        height, width = given.pixels.shape[2:]
        return cls(drawn_noise(base, rows, (height, width), generator, latents), clean, given)


class Steps:
    """The steps of one call: a copy of a scheduler, since a scheduler keeps state, and its timesteps.

    The first steps are left out for a picture whose strength is below 1.

    Args:
        base: the base.
        scheduler: the one to copy.
        count: of steps.
        canvas: the latents that they start from.
        eta: of DDIM; other schedulers do not read it.
        generator: of schedulers that draw noise.
        end: the share of the noise after whose removal the steps end; None for all of it.
        own: ``timesteps`` or ``sigmas`` in place of the scheduler's.

    Raises:
        InputError: the scheduler cannot make these steps, or none is left.
    """

    def __init__(
        self,
        base: Base,
        scheduler: SchedulerMixin,
        count: int,
        canvas: Canvas,
        *,
        eta: float = 0.0,
        generator: Generators = None,
        end: float | None = None,
        **own: Any,
    ) -> None:
        self.scheduler: Any = deepcopy(scheduler)
        self._canvas = canvas
        size = canvas.noise.shape[2], canvas.noise.shape[3]
        strength = None if canvas.given is None else canvas.given.strength
        count = base.process.set_timesteps(self.scheduler, count, device=base.device, size=size, **own)
        made = count if strength is None else int(count * strength)
        if made < 1:
            raise InputError(
                f"no step of {count} is left at {strength}", place="strength", remedy="use a larger one"
            )
        first = (count - made) * self.scheduler.order
        self.timesteps = self.scheduler.timesteps[first:]
        if end is not None:
            self.timesteps = _until(end, self.timesteps, self.scheduler.config.num_train_timesteps)
        if strength is not None and hasattr(self.scheduler, "set_begin_index"):
            self.scheduler.set_begin_index(first)
        takes = signature(self.scheduler.step).parameters
        options = {"eta": eta, "generator": generator}
        self._options = {name: value for name, value in options.items() if name in takes}

    def start(self) -> Latents:
        """The latents before the first step."""
        noise, clean, given = self._canvas.noise, self._canvas.clean, self._canvas.given
        if given is None or clean is None or given.from_noise:
            return noise * getattr(self.scheduler, "init_noise_sigma", 1.0)  # flow matching starts at 1
        return self.noised(clean, noise, self.timesteps[0])

    def noised(self, clean: Latents, noise: Latents, timestep: Tensor) -> Latents:
        """``clean`` as noisy as latents are at ``timestep``.

        Raises:
            InputError: the scheduler cannot tell.
        """
        times = timestep.reshape(1).repeat(len(clean))
        if hasattr(self.scheduler, "add_noise"):
            noisy: Tensor = self.scheduler.add_noise(clean, noise, times)
        elif hasattr(self.scheduler, "scale_noise"):
            noisy = self.scheduler.scale_noise(clean, times, noise)
        else:
            raise InputError(
                f"{type(self.scheduler).__name__} cannot start from a picture",
                place="scheduler",
                remedy="use another, such as DDIMScheduler",
            )
        return noisy

    def scaled(self, latents: Latents, timestep: Tensor) -> Latents:
        """Latents as the denoiser reads them."""
        scale = getattr(self.scheduler, "scale_model_input", None)
        return latents if scale is None else scale(latents, timestep)

    def step(self, prediction: Latents, timestep: Tensor, latents: Latents) -> Latents:
        """The latents after one step.

        Raises:
            InputError: the scheduler cannot make it.
        """
        try:
            after: Tensor = self.scheduler.step(prediction, timestep, latents, **self._options).prev_sample
        except (AttributeError, IndexError, TypeError, ValueError) as error:
            raise InputError(
                f"{type(self.scheduler).__name__} cannot make a step ({str(error).splitlines()[0]})",
                place="scheduler",
                remedy="use one of diffusers' Stable Diffusion pipelines, such as DDIMScheduler",
            ) from error
        return after

    def kept(self, latents: Latents, number: int) -> Latents:
        """Latents after step ``number``, with the noisy picture where nothing is redrawn."""
        clean, given = self._canvas.clean, self._canvas.given
        if clean is None or given is None or given.redrawn is None:
            return latents
        if number + 1 < len(self.timesteps):
            clean = self.noised(clean, self._canvas.noise, self.timesteps[number + 1])
        redrawn = given.redrawn.to(latents)
        return (1 - redrawn) * clean + redrawn * latents


def _until(end: float, timesteps: Tensor, levels: int) -> Tensor:
    """The timesteps at which more than 1 - ``end`` of a scheduler's ``levels`` of noise are left.

    Raises:
        InputError: ``end`` is not between 0 and 1, or no step is left.
    """
    end = as_number(end, "denoising_end")
    kept = timesteps[timesteps >= round(levels - end * levels)]
    if not 0 < end <= 1 or not len(kept):
        problem = f"expected a number in 0..1 that leaves a step, got {end}"
        raise InputError(problem, place="denoising_end", remedy="use a larger one, or leave it out")
    return kept
