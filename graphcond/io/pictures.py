"""Pictures from files and from memory, made plain: RGB, upright, square."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageOps, UnidentifiedImageError

from graphcond.errors import InputError

MAX_PIXELS = 178_956_970
"""Larger pictures are refused as decompression bombs; Pillow's own limit of about 179 megapixels."""


def open_picture(path: Path, *, longest: int | None = None) -> Image.Image:
    """Read a picture as RGB: rotated as EXIF says, transparency laid on white.

    Args:
        path: any format that Pillow reads.
        longest: scale down so that the longer side has at most this many pixels. JPEG files are
            decoded at a lower size where that is enough, so very large ones stay cheap.

    Raises:
        InputError: missing, a folder, truncated, no picture at all, or too large to decode safely.
    """
    with _decoded(path, longest) as picture:
        return _shrink(to_rgb(picture), longest)


def read_picture(path: Path) -> Image.Image:
    """Read a picture as it is: in its own mode, not turned, at its full size.

    Raises:
        InputError: missing, a folder, truncated, no picture at all, or too large to decode safely.
    """
    with _decoded(path) as picture:
        picture.getexif()  # kept with the picture; some formats cannot be asked once the file is closed
        return picture


def to_rgb(picture: Image.Image) -> Image.Image:
    """``picture`` upright and in RGB, whatever its mode; transparent parts become white."""
    picture = ImageOps.exif_transpose(picture)
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        canvas = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(canvas, picture.convert("RGBA")).convert("RGB")
    if picture.mode.startswith("I;16") or picture.mode == "I":
        levels = np.asarray(picture, np.float32)
        return Image.fromarray((levels / max(float(levels.max()), 1.0) * 255).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


def to_square(picture: Image.Image, size: int) -> Image.Image:
    """Pad with white to a square, then scale to ``size``: InstructG2I's preparation of its data."""
    side = max(picture.size)
    padded = picture if picture.size == (side, side) else ImageOps.pad(picture, (side, side), color="white")
    return padded.resize((size, size), Image.Resampling.BICUBIC)


def to_pixels(picture: Image.Image) -> Float32[np.ndarray, "3 height width"]:
    """An RGB picture as values in -1..1, channels first."""
    return np.asarray(picture, np.float32).transpose(2, 0, 1) / 127.5 - 1.0


def from_pixels(pixels: Float32[np.ndarray, "3 height width"]) -> Image.Image:
    """The picture of values in -1..1; what lies outside is cut off."""
    levels = (np.clip(pixels, -1.0, 1.0) + 1.0) * 127.5
    return Image.fromarray(levels.round().astype(np.uint8).transpose(1, 2, 0))


@contextmanager
def _decoded(path: Path, longest: int | None = None) -> Iterator[Image.Image]:
    """The decoded picture; JPEG files at a lower size where at least ``longest`` pixels are left."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # at half of `MAX_PIXELS`
            with Image.open(path) as picture:
                if longest is not None:
                    picture.draft("RGB", (longest, longest))
                picture.load()
                yield picture
    except FileNotFoundError:
        raise InputError("no such picture", place=path, remedy="check the path") from None
    except IsADirectoryError:
        raise InputError("is a folder", place=path, remedy="name the pictures in it") from None
    except Image.DecompressionBombError:
        raise InputError(
            f"has more than {MAX_PIXELS / 1e6:.0f} megapixels", place=path, remedy="scale it down first"
        ) from None
    except UnidentifiedImageError:
        raise InputError("is not a picture", place=path, remedy="replace it by a PNG or JPEG file") from None
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"cannot be decoded ({error})", place=path, remedy="replace the file") from None


def _shrink(picture: Image.Image, longest: int | None) -> Image.Image:
    if longest is not None and max(picture.size) > longest:
        picture.thumbnail((longest, longest), Image.Resampling.BICUBIC)
    return picture
