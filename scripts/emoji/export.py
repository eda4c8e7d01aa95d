"""Put the trained base and the world's pictures into the package."""

import shutil
from pathlib import Path

from emoji_data import ROOT, outputs
from folder import replace, write_base

BASE = ROOT / "graphcond/bases/emoji"
WORLD = ROOT / "graphcond/worlds/emoji"


def write(folder: Path) -> None:
    """Write every part of the base."""
    write_base(folder, vae=outputs() / "vae", unet=outputs() / "unet", clip=outputs() / "clip")
    shutil.copy(WORLD / "CREDITS.md", folder)


def main() -> None:
    """Replace the base, then the world's pictures."""
    replace(BASE, write)
    shutil.copy(outputs() / "world.parquet", WORLD / ".pictures")
    (WORLD / ".pictures").replace(WORLD / "pictures.parquet")


if __name__ == "__main__":
    main()
