"""What minutes of training reach on pictures that the base never saw: OpenMoji, over the emoji base.

    make -C scripts/emoji run-fetch run-render     # needs npm
    export PYTHONPATH=scripts/emoji:scripts/tiny_base
    python benchmarks/fine_tuning.py outputs/emoji_base/pictures.parquet

Trains as a user does, by `graphcond train` on a graph folder. Each training is stopped by SIGTERM when its
minutes are over, judged, and resumed. Held-out pictures of subjects that the base draws are judged: whether
they show their subject, and whether their look is nearer to OpenMoji's than to that of each of the base's six
studios.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from emoji_data import read_table, recipe, splits
from judge import studio_weights
from PIL import Image

from graphcond import AttributedGraph, GraphPipeline
from graphcond.data.dataset import GraphDataset
from graphcond.evaluation.arms import Arm, DrawSettings, ModelPictures
from graphcond.graphs import load_graph, save_world
from graphcond.intervals import bootstrap_interval
from graphcond.io.pictures import open_picture, to_pixels
from graphcond.worlds.emoji.judge import EmojiJudge
from graphcond.worlds.emoji.world import EmojiWorld

STUDIO = "openmoji"
WAYS = {
    "adapter": ["instructg2i"],
    "LoRA": ["instructg2i-lora", "--set", "lora.rank=16", "--set", "training.learning_rates.lora=1.0e-3"],
    "whole denoiser": ["instructg2i", "--set", "training.train_base=true"],
}
SETTINGS = (
    "conditions.neighbors.sampler={kind: ppr}",
    "training.steps=100000",  # the clock ends it
    "training.schedule=constant",
    "training.validate_every=null",
    "training.preview_every=null",
    "training.checkpoint_every=100000",
)
STEPS = 12
BATCH = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pictures", type=Path, help="the table that scripts/emoji/render.py writes")
    parser.add_argument("--minutes", default="5,15,60", help="when each training is judged")
    parser.add_argument("--ways", default=",".join(WAYS), help="which trainings")
    parser.add_argument("--held-out", type=int, default=120, help="pictures that are judged")
    parser.add_argument(
        "--out", type=Path, default=Path("outputs/fine_tuning"), help="folder of graph and runs"
    )
    options = parser.parse_args()
    exam = Exam(options.pictures, folder_of(options.pictures, options.held_out, options.out))
    print("| trained | minutes | steps | pictures | subject | look |\n|---|---:|---:|---|---:|---:|")
    row("none", 0, 0, "true", exam.true())
    for way in options.ways.split(","):
        run, spent = options.out / way.replace(" ", "-"), 0.0
        for minutes in map(float, options.minutes.split(",")):
            model = trained(way, run, options.out / "graph", minutes - spent)
            steps = int(model.name.removeprefix("step-"))
            for arm, shares in exam.drawn(model).items():
                row(way, minutes, steps, arm.replace("_", " "), shares)
            spent = minutes


def row(way: str, minutes: float, steps: int, pictures: str, shares: Sequence[str]) -> None:
    """Print a row of the table."""
    print(f"| {way} | {minutes:g} | {steps} | {pictures} | {' | '.join(shares)} |", flush=True)


def folder_of(pictures: Path, held_out: int, out: Path) -> AttributedGraph:
    """A graph folder of OpenMoji alone; some subjects that the base draws are its test split."""
    rows = [row for row in pq.read_table(pictures).to_pylist() if row["studio"] == STUDIO]
    drawn = sorted({row["text"] for row in rows} & set(splits().names))
    test = set(np.random.default_rng(0).permutation(drawn)[:held_out])
    table = [
        {
            "id": row["id"].replace("/", "-"),
            "subject": row["text"],
            "hint": row["text"],
            "split": "test" if row["text"] in test else "train",
            "picture": row["png"],
            **{name: row[name] for name in ("studio", "group", "license", "credit")},
        }
        for row in rows
    ]
    out.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile(suffix=".parquet") as file:
        pq.write_table(pa.Table.from_pylist(table), file.name)
        save_world(EmojiWorld(Path(file.name)), out / "graph")
    return load_graph(out / "graph")


def trained(way: str, run: Path, graph: Path, minutes: float) -> Path:
    """Train so many minutes more; return the newest checkpoint."""
    command = [sys.executable, "-m", "graphcond", "train"]
    if run.exists():
        command += ["--resume", str(run)]
    else:
        command += [*WAYS[way], "--base", "emoji", "--out", str(run), "--set", f"data.path={graph}"]
        command += [word for setting in SETTINGS for word in ("--set", setting)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        status = process.wait(60 * minutes)
        raise SystemExit(f"{way}: the training ended by itself with exit code {status}")
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGTERM)
    process.wait()
    found = sorted((run / "checkpoints").glob("step-*"))
    if not found:
        raise SystemExit(f"{way}: no step was trained in {minutes:g} minutes; give more")
    return found[-1]


class Exam:
    """Judges pictures of OpenMoji: a mean look is fitted to those that are not held out."""

    def __init__(self, pictures: Path, graph: AttributedGraph) -> None:
        self.graph, self.rows = graph, graph.nodes.in_split("test")
        self.truth = np.array(graph.nodes.attributes["subject"])[self.rows]
        known, every = splits().everything, read_table(pictures)
        seen = np.isin(every.subjects, splits().names) & ~np.isin(every.subjects, self.truth)
        studios, drawn = sorted(recipe()["studios"]), np.isin(known.subjects, splits().names)
        look = studio_weights(known, every.where(seen & (every.studios == STUDIO)), drawn, studios)
        judge = EmojiJudge.load()
        self.judge = EmojiJudge(
            {**judge.weights, **look}, studios=studios, compared=[*studios, STUDIO], subjects=judge.subjects
        )

    def true(self) -> list[str]:
        """The shares among the true pictures."""
        paths = [self.graph.picture_path(row) for row in self.rows.tolist()]
        return self.shares([open_picture(path) for path in paths if path is not None])

    def drawn(self, model: Path) -> dict[Arm, list[str]]:
        """The shares among pictures that a model draws without graph and with it."""
        pipe, data = GraphPipeline.from_pretrained(model), GraphDataset(self.graph)
        views = data.views(pipe.model.recipe, pipe.model.extractors, forbidden=self.rows)
        maker = ModelPictures(pipe, views, self.rows, DrawSettings(steps=STEPS))
        parts = np.array_split(self.rows, -(-len(self.rows) // BATCH))
        arms: tuple[Arm, ...] = ("no_graph", "graph")
        return {
            arm: self.shares([picture for part in parts for picture in maker.make(part, arm, 0)])
            for arm in arms
        }

    def shares(self, pictures: Sequence[Image.Image]) -> list[str]:
        """The shares that show their subject, and that look like OpenMoji, with intervals."""
        told = self.judge.classify(torch.from_numpy(np.stack([to_pixels(one) for one in pictures])))
        subject = np.array(self.judge.subjects)[told.subject.numpy()] == self.truth
        look = np.array(self.judge.compared)[told.nearest.numpy()] == STUDIO
        return [share(subject), share(look)]


def share(right: np.ndarray) -> str:
    """A share with its interval."""
    low, high = bootstrap_interval(right.astype(float), seed=0)
    return f"{right.mean():.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
