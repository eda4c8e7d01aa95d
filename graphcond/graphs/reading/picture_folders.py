"""Pictures that are named by what they show."""

from __future__ import annotations

from pathlib import Path

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp")


def pictures_by_stem(folder: Path, pattern: str) -> dict[str, str]:
    """Name without ending to path in ``folder``, of pictures in the folders that ``pattern`` names."""
    return {
        file.stem: file.relative_to(folder).as_posix()
        for place in sorted(folder.glob(pattern))
        if place.is_dir()
        for file in sorted(place.iterdir())
        if file.suffix.lower() in SUFFIXES
    }
