"""Pictures from files and from memory, made plain: RGB, upright, square."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image, ImageOps, UnidentifiedImageError

from graphcond.errors import InputError
from graphcond.io.files import atomic_file
from graphcond.io.quiet import ignored
from graphcond.io.readable import unreadable

MAX_PIXELS = 178_956_970
"""Larger pictures are refused as decompression bombs; Pillow's own limit of about 179 megapixels."""

FORMATS = (
    *("AVIF", "BMP", "DDS", "DIB", "GIF", "ICNS", "ICO", "IM", "JPEG", "JPEG2000", "MSP", "PCX"),
    *("PNG", "PPM", "PSD", "QOI", "SGI", "SPIDER", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM"),
)
"""Formats that are read, by Pillow's names: those that Pillow decodes itself. EPS is not among them: Pillow
would start Ghostscript for it, whatever the file's name, and files may come from untrusted sources."""

BAND_PIXELS = 2**24
"""Larger pictures are converted in bands of rows, so that copies stay small beside the picture."""

ORIENTATION = 0x0112
"""The EXIF tag that says how a picture is turned."""

WHITE_16_BIT = 65535
"""The white of pictures with 16 bits a channel; those with 32 hold the same values."""


def open_picture(path: Path, *, longest: int | None = None, draft: int | None = None) -> Image.Image:
    """Read a picture as RGB: rotated as EXIF says, transparency laid on white.

    Args:
        path: a file in one of `FORMATS`.
        longest: scale down so that the longer side has at most this many pixels. JPEG files are
            decoded at a lower size where that is enough, so very large ones stay cheap.
        draft: JPEG files are decoded at a lower size where both sides keep at least this many pixels,
            which takes a fraction of the time; ``longest`` unless given.

    Raises:
        InputError: missing, not a regular file, truncated, not a picture, or too large to decode safely.
    """
    with _decoded(path, longest if draft is None else draft) as picture:
        times = 1 if longest is None else max(1, max(picture.size) // (2 * longest))
        rgb = to_rgb(picture, reduce_by=times if picture.width * picture.height > BAND_PIXELS else 1)
        if longest is not None and max(rgb.size) > longest:
            rgb.thumbnail((longest, longest), Image.Resampling.BICUBIC)
        return rgb


def read_picture(path: Path) -> Image.Image:
    """Read a picture as it is: in its own mode, not turned, at its full size.

    Raises:
        InputError: missing, not a regular file, truncated, not a picture, or too large to decode safely.
    """
    with _decoded(path) as picture:
        picture.getexif()  # kept with the picture; some formats cannot be asked once the file is closed
        return picture


def picture_format(path: Path) -> str:
    """Pillow's name of the format of a picture file, by the end of its name.

    Raises:
        InputError: there is no such format.
    """
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise InputError(
            "the name does not end like a picture file", place=path, remedy="end the name in .png or .jpg"
        )
    return kind


def write_picture(path: Path, picture: Image.Image, **options: Any) -> None:
    """Write a picture, atomically, with Pillow's ``options`` of its `picture_format`.

    Raises:
        InputError: there is no such format.
        StorageError: the place refuses, or its disk is full.
    """
    kind = picture_format(path)
    with atomic_file(path) as temporary:
        picture.save(temporary, kind, **options)


def picture_size(path: Path, *, upright: bool = False) -> tuple[int, int]:
    """Width and height of a picture, which is not decoded.

    Args:
        path: a file in one of `FORMATS`.
        upright: as EXIF turns it.

    Raises:
        InputError: missing, not a regular file, or not a picture.
    """
    with _opened(path) as picture:
        turned = upright and picture.getexif().get(ORIENTATION, 1) in (5, 6, 7, 8)
        return picture.size[::-1] if turned else picture.size


def to_rgb(picture: Image.Image, *, reduce_by: int = 1) -> Image.Image:
    """``picture`` upright and in RGB, whatever its mode; transparent parts become white.

    White is 65535 in pictures of 16 bits (and of 32) a channel, and 1 in pictures of floating-point numbers
    unless they hold larger ones, where it is 255.

    Args:
        picture: in any mode.
        reduce_by: the mean of so many pixels each way becomes one.

    Raises:
        InputError: the picture is closed, cut short or has no pixels.
    """
    width, height = picture.size
    if not width or not height:
        raise InputError(f"a picture has {width} x {height} pixels", remedy="give one with pixels")
    try:
        picture.load()
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything; a closed picture raises a ValueError
        raise InputError(
            f"a picture cannot be read ({error})", remedy="give a picture whose file is open and whole"
        ) from error
    unit = 1.0 if picture.mode == "F" and float(np.nanmax(np.asarray(picture))) <= 1 else 255.0
    rows = max(1, BAND_PIXELS // (width * reduce_by)) * reduce_by
    if rows >= height and reduce_by == 1:
        rgb = _band_to_rgb(picture, unit)
    else:
        rgb = Image.new("RGB", (-(-width // reduce_by), -(-height // reduce_by)))
        for top in range(0, height, rows):
            band = picture.crop((0, top, width, min(top + rows, height)))
            band.info = picture.info  # a palette's transparency is in it
            rgb.paste(_band_to_rgb(band, unit).reduce(reduce_by), (0, top // reduce_by))
    rgb.getexif()[ORIENTATION] = picture.getexif().get(ORIENTATION, 1)
    ImageOps.exif_transpose(rgb, in_place=True)  # a copy only where it is turned
    return rgb


def _band_to_rgb(picture: Image.Image, unit: float) -> Image.Image:
    if picture.mode in ("RGBA", "LA", "PA") or "transparency" in picture.info:
        canvas = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(canvas, picture.convert("RGBA")).convert("RGB")
    white = unit if picture.mode == "F" else WHITE_16_BIT if picture.mode.startswith("I") else None
    if white is not None:
        levels = np.nan_to_num(np.asarray(picture, np.float32)) / white * 255
        return Image.fromarray(levels.clip(0, 255).astype(np.uint8)).convert("RGB")
    return picture.convert("RGB")


@cache
def _built_in() -> tuple[str, ...]:
    """Those of `FORMATS` that this build of Pillow has."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def to_square(picture: Image.Image, size: int) -> Image.Image:
    """Pad with white to a square, then scale to ``size``: InstructG2I's preparation of its data."""
    side = max(picture.size)
    padded = picture if picture.size == (side, side) else ImageOps.pad(picture, (side, side), color="white")
    return padded.resize((size, size), Image.Resampling.BICUBIC)


def open_square(path: Path, size: int) -> Image.Image:
    """`open_picture`, then `to_square`.

    Raises:
        InputError: as `open_picture`.
    """
    return to_square(open_picture(path, longest=2 * size), size)


def to_pixels(picture: Image.Image) -> Float32[np.ndarray, "3 height width"]:
    """An RGB picture as values in -1..1, channels first."""
    return np.asarray(picture, np.float32).transpose(2, 0, 1) / 127.5 - 1.0


def from_pixels(pixels: Float32[np.ndarray, "3 height width"]) -> Image.Image:
    """The picture of values in -1..1; values outside are clamped."""
    levels = (np.clip(pixels, -1.0, 1.0) + 1.0) * 127.5
    return Image.fromarray(levels.round().astype(np.uint8).transpose(1, 2, 0))


@contextmanager
def _decoded(path: Path, draft: int | None = None) -> Iterator[Image.Image]:
    """The decoded picture; JPEG files at a lower size where both sides keep at least ``draft`` pixels."""
    with _opened(path) as picture:
        if draft is not None:
            picture.draft("RGB", (draft, draft))
        picture.load()
        yield picture


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """The opened picture; an error of Pillow, now or on later reading, becomes an InputError."""
    replace = "replace it by a PNG or JPEG file"
    try:
        # Reading a FIFO or a device may never end.
        if path.exists() and not path.is_dir() and not path.is_file():
            raise InputError("is not a regular file", place=path, remedy=replace)
        with (
            ignored(Image.DecompressionBombWarning),  # at half of `MAX_PIXELS`
            Image.open(path, formats=_built_in()) as picture,
        ):
            yield picture
    except FileNotFoundError:
        raise InputError("no such picture", place=path, remedy="check the path") from None
    except IsADirectoryError:
        problem = "expected a picture, got a folder"
        raise InputError(problem, place=path, remedy="name the pictures in it") from None
    except Image.DecompressionBombError:
        problem = f"the picture has more than {MAX_PIXELS / 1e6:.0f} megapixels"
        raise InputError(problem, place=path, remedy="scale it down first") from None
    except UnidentifiedImageError:
        raise InputError("the file is not a picture", place=path, remedy=replace) from None
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise anything: AVIF's a RuntimeError, struct's its own
        if isinstance(error, OSError) and error.errno is not None:
            raise unreadable(path, error) from None
        problem = f"the picture cannot be decoded ({error})"
        raise InputError(problem, place=path, remedy="replace the file") from None
