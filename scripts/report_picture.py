"""Draw the picture of docs/reports.md: the head of a report of two short runs, seen in Chromium.

    python scripts/report_picture.py --out docs/images/report.png

Trains the two runs in a temporary folder, a minute each on two cores.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
RUNS = {"fast": "1e-3", "slow": "3e-4"}
TRAINING = ("steps=30", "log_every=2", "validate_every=5", "preview_every=15", "warmup=2")
WIDTH, HEIGHT = 1240, 1180
"""Pixels of the page that are shown."""

COLORS = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit("Chromium is not installed")
    command = [sys.executable, "-m", "graphcond"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for run, rate in RUNS.items():
            settings = [f"--set=training.{one}" for one in (*TRAINING, f"learning_rate={rate}")]
            train = [*command, "train", "instructg2i", "--base", "tiny", "--out", folder / run, *settings]
            subprocess.run(train, check=True)
        model, report = folder / "fast" / "final", folder / "fast" / "test.json"
        subprocess.run(
            [*command, "evaluate", model, "--limit", "24", "--steps", "8", "--out", report], check=True
        )
        page = folder / "report.html"
        subprocess.run([*command, "report", *(folder / run for run in RUNS), "--out", page], check=True)
        subprocess.run(
            [
                *(browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"),
                *(f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={folder / 'seen.png'}", page.as_uri()),
            ],
            check=True,
        )
        Image.open(folder / "seen.png").convert("RGB").quantize(COLORS).save(out, optimize=True)


if __name__ == "__main__":
    main()
