"""Pictures of every kind that people have, and files that are none."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graphcond.errors import InputError
from graphcond.io.pictures import (
    from_pixels,
    open_picture,
    picture_size,
    read_picture,
    to_pixels,
    to_rgb,
    to_square,
)


@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "I", "I;16", "F"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    picture = Image.new("L", (5, 3), 128)
    converted = picture.convert("I").convert(mode) if mode in ("I;16", "F") else picture.convert(mode)
    rgb = to_rgb(converted)
    assert (rgb.mode, rgb.size) == ("RGB", (5, 3))


@pytest.mark.parametrize(
    "name", ["a##b 1.jpg", "grün – été.png", "plus+sign%20.png", "UPPER.JPG", "no_ending"]
)
def test_odd_file_names(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    Image.new("RGB", (4, 4), "red").save(file, format="PNG")
    assert open_picture(file).getpixel((0, 0)) == (255, 0, 0)


def test_transparent_becomes_white(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (2, 1), (255, 0, 0, 255))
    picture.putpixel((1, 0), (0, 0, 0, 0))
    picture.save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").tobytes() == bytes([255, 0, 0, 255, 255, 255])


def test_palette_transparency_becomes_white(tmp_path: Path) -> None:
    picture = Image.new("P", (2, 1), 0)
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    picture.save(tmp_path / "a.gif", transparency=1)
    assert open_picture(tmp_path / "a.gif").getpixel((1, 0)) == (255, 255, 255)


def test_exif_turns_the_picture_upright(tmp_path: Path) -> None:
    picture = Image.new("RGB", (8, 4), "blue")
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / "a.jpg", exif=exif)
    assert open_picture(tmp_path / "a.jpg").size == (4, 8)


@pytest.mark.parametrize("ending", ["jpg", "png", "tiff", "webp"])
def test_a_picture_may_be_read_as_it_is(tmp_path: Path, ending: str) -> None:
    picture = Image.new("RGB", (8, 4), "blue")
    exif = picture.getexif()
    exif[0x0112] = 6
    picture.save(tmp_path / f"a.{ending}", exif=exif)
    read = read_picture(tmp_path / f"a.{ending}")
    with Image.open(tmp_path / f"a.{ending}") as plain:
        assert read.tobytes() == plain.tobytes()
    assert to_rgb(read).tobytes() == open_picture(tmp_path / f"a.{ending}").tobytes()


def test_what_is_transparent_stays_so_in_a_picture_read_as_it_is(tmp_path: Path) -> None:
    Image.new("RGBA", (2, 1), (255, 0, 0, 0)).save(tmp_path / "a.png")
    assert read_picture(tmp_path / "a.png").getpixel((0, 0)) == (255, 0, 0, 0)


def test_large_pictures_are_scaled_down(tmp_path: Path) -> None:
    Image.new("RGB", (6000, 3000), "green").save(tmp_path / "a.jpg")
    assert open_picture(tmp_path / "a.jpg", longest=512).size == (512, 256)
    assert open_picture(tmp_path / "a.jpg").size == (6000, 3000)


def test_sixteen_bits_keep_their_contrast(tmp_path: Path) -> None:
    levels = np.array([[0, 20000, 40000]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").tobytes()[::3] == bytes([0, 77, 155])


def write_png(file: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(file, format="PNG")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such picture"):
        open_picture(tmp_path / "nowhere.png")
    with pytest.raises(InputError, match=r"got a folder\. Name the pictures in it"):
        open_picture(tmp_path)


@pytest.mark.parametrize("ending", ["png", "jpg"])
def test_truncated(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"cut.{ending}"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(file)
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=rf"cut\.{ending}: the picture cannot be decoded"):
        open_picture(file)


@pytest.mark.parametrize("content", [b"just text", b"", b"\x89PNG\r\n\x1a\n"])
def test_a_text_named_jpg(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "text.jpg"
    file.write_bytes(content)
    with pytest.raises(InputError, match=r"text\.jpg"):
        open_picture(file)


def test_a_folder_is_no_picture(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        open_picture(tmp_path)


def test_decompression_bombs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(InputError, match="megapixels"):
        open_picture(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 3000)  # it refuses twice that, and warns before
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_picture(tmp_path / "bomb.png")


def test_square_pads_with_white() -> None:
    square = to_square(Image.new("RGB", (40, 20), "black"), 8)
    assert square.size == (8, 8)
    assert square.getpixel((4, 0)) == (255, 255, 255)
    assert square.getpixel((4, 4)) == (0, 0, 0)


def test_pixels_and_back() -> None:
    picture = Image.fromarray(np.random.default_rng(1).integers(0, 256, (5, 7, 3)).astype(np.uint8))
    pixels = to_pixels(picture)
    assert pixels.shape == (3, 5, 7)
    assert (pixels.min() >= -1, pixels.max() <= 1) == (True, True)
    assert from_pixels(pixels).tobytes() == picture.tobytes()


def test_eps_starts_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pillow would hand the file to whatever ``gs`` is on the path, under any name of the file."""
    ran = tmp_path / "ran"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    file = tmp_path / "a.png"
    file.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    for read in (open_picture, read_picture, picture_size):
        with pytest.raises(InputError, match="is not a picture"):
            read(file)
    assert not ran.exists()


def test_a_fifo_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    for path in (tmp_path / "a.png", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not a regular file"):
            open_picture(path)


@pytest.mark.parametrize("brightest", [65535, 600])
def test_sixteen_bits_mean_the_same_in_every_picture(tmp_path: Path, brightest: int) -> None:
    levels = np.array([[0, 600, brightest]], np.uint16)
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert open_picture(tmp_path / "a.png").getpixel((1, 0)) == (2, 2, 2)


@pytest.mark.parametrize(("levels", "expected"), [([0, 0.5, 1], 127), ([0, 127.6, 255], 127)])
def test_floating_point_is_not_black(tmp_path: Path, levels: list[float], expected: int) -> None:
    Image.fromarray(np.array([[*levels, np.nan]], np.float32)).save(tmp_path / "a.tiff")
    picture = open_picture(tmp_path / "a.tiff")
    assert [picture.getpixel((x, 0))[0] for x in range(4)] == [0, expected, 255, 0]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "F"])
def test_large_pictures_are_converted_in_bands(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grey = Image.fromarray(np.arange(35 * 23, dtype=np.uint8).reshape(23, 35))
    picture = grey.convert("I").convert(mode) if mode in ("I;16", "F") else grey.convert(mode)
    picture.getexif()[0x0112] = 6
    whole = to_rgb(picture)
    monkeypatch.setattr("graphcond.io.pictures.BAND_PIXELS", 100)
    assert whole.size == (23, 35)
    assert to_rgb(picture).tobytes() == whole.tobytes()
    assert to_rgb(picture, reduce_by=3).size == (8, 12)
    lying = whole.rotate(90, expand=True).reduce(3).rotate(-90, expand=True)
    assert np.abs(np.asarray(to_rgb(picture, reduce_by=3), np.float32) - np.asarray(lying)).max() <= 1


GROWTH = """
import sys
from pathlib import Path
from resource import RUSAGE_SELF, getrusage
from graphcond.io import pictures

pictures.BAND_PIXELS = 2**18
files = [Path(name) for name in sys.argv[1:]]
pictures.open_picture(files.pop(), longest=64)
before = getrusage(RUSAGE_SELF).ru_maxrss
for longest in (224, None):
    for file in files:
        pictures.open_picture(file, longest=longest)
    print((getrusage(RUSAGE_SELF).ru_maxrss - before) * 1024)
"""


def test_a_small_file_takes_little_memory_however_many_its_pixels(tmp_path: Path) -> None:
    """Of 16 megapixels in a few kB; full copies in RGBA, as before, take over 13 bytes a pixel."""
    names = {"1": 4000, "P": 4000, "I;16": 4000, "L": 40}
    for mode, side in names.items():
        Image.new(mode, (side, side)).save(tmp_path / f"{mode}.png", transparency=0)
    command = [sys.executable, "-c", GROWTH, *(str(tmp_path / f"{mode}.png") for mode in names)]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scaled, full = (int(grown) / 4000**2 for grown in found.split())
    assert scaled < 4
    assert full < 8


def test_a_decoder_may_raise_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """AVIF's raises a RuntimeError for damaged files."""

    def fails(self: Image.Image) -> None:
        raise RuntimeError("Failed to decode frame 0")

    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    monkeypatch.setattr("PIL.PngImagePlugin.PngImageFile.load", fails)
    with pytest.raises(InputError, match=r"a\.png: the picture cannot be decoded \(Failed"):
        open_picture(tmp_path / "a.png")
