"""The demo's accuracy of style apart for titles that name the movement and for plain ones.

Draws the held-out paintings of a finished demo again, from the same noise, and asks its oracle:

    graphcond demo --world art --out outputs/demo
    python benchmarks/titles.py outputs/demo
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from graphcond.data.dataset import GraphDataset
from graphcond.demo.judge import WorldJudge
from graphcond.demo.run import BATCH
from graphcond.demo.worlds import WORLDS
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.evaluation.evaluate import ARMS, make_pictures
from graphcond.evaluation.targets import targets_of
from graphcond.graphs import open_graph
from graphcond.intervals import bootstrap_interval
from graphcond.pipeline import GraphPipeline
from graphcond.worlds import MOVEMENTS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("demo", type=Path, help="the folder of a finished demo")
    folder = parser.parse_args().demo
    report = json.loads((folder / "report.json").read_text())
    graph, seed, world = open_graph(folder / "graph"), report["seed"], WORLDS["art"]
    pipe, data = GraphPipeline.from_pretrained(folder / "model"), GraphDataset(graph)
    judge = WorldJudge(graph, world)
    rng = np.random.default_rng(seed)
    held_out, unseen = (
        np.sort(rng.permutation(data.rows(split))[:count])
        for split, count in (("test", report["n"]), ("unseen", report["unseen"]["n"]))
    )
    views = data.views(pipe.model.recipe, pipe.model.extractors, forbidden=data.rows("test"))
    everyone = np.concatenate([held_out, unseen])  # among whom the demo shuffles graphs
    maker = ModelPictures(pipe, views, everyone, DrawSettings(steps=world.steps), shuffle_seed=seed)
    pictures = make_pictures(maker, targets_of(data, held_out, 64), seed=seed, batch_size=BATCH)
    named = np.array([any(word in data.texts[row] for word in MOVEMENTS) for row in held_out.tolist()])
    print("| titles | n | " + " | ".join(arm.replace("_", " ") for arm in ARMS) + " |")
    print("|---|---:|" + "---:|" * len(ARMS))
    for name, chosen in (("all", named | ~named), ("name the movement", named), ("plain", ~named)):
        cells = []
        for arm in ARMS:
            right = judge.verdict(held_out, pictures[arm].pictures).style[chosen]
            low, high = bootstrap_interval(right, seed=seed)
            cells.append(f"{right.mean():.1%} [{low:.0%}, {high:.0%}]")
        print(f"| {name} | {chosen.sum()} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
