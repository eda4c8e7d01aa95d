"""The pictures of one demo in fewer steps, judged as the demo judges them.

    graphcond demo && python benchmarks/demo_steps.py outputs/demo

Style and subject of 160 held-out paintings and the style of 60 by unseen artists, drawn from the same noise;
differences to 8 steps are paired by target. Intervals are of 95 %.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from graphcond.data.dataset import GraphDataset
from graphcond.demo.judge import WorldJudge
from graphcond.demo.worlds import WORLDS
from graphcond.evaluation.arms import DrawSettings, ModelPictures
from graphcond.graphs import load_graph
from graphcond.intervals import bootstrap_interval
from graphcond.pipeline import GraphPipeline

BATCH, STEPS, SEED = 40, (8, 6, 4), 0


def main(demo: Path) -> None:
    world, graph = WORLDS["art"], load_graph(demo / "graph")
    pipe, judge, data = (
        GraphPipeline.from_pretrained(demo / "model"),
        WorldJudge(graph, world),
        GraphDataset(graph),
    )
    rng = np.random.default_rng(SEED)
    held_out, unseen = (
        np.sort(rng.permutation(data.rows(split))[:count])
        for split, count in (("test", world.full.held_out), ("unseen", world.full.unseen))
    )
    views = data.views(pipe.model.recipe, pipe.model.extractors, forbidden=data.rows("test"))
    maker = ModelPictures(pipe, views, np.concatenate([held_out, unseen]), shuffle_seed=SEED)
    first: dict[str, np.ndarray] = {}
    for steps in STEPS:
        drawing, begun = maker.with_settings(DrawSettings(steps=steps)), time.process_time()
        pictures = [
            [
                one
                for start in range(0, len(rows), BATCH)
                for one in drawing.make(rows[start : start + BATCH], "graph", SEED)
            ]
            for rows in (held_out, unseen)
        ]
        spent = 1000 * (time.process_time() - begun) / (len(held_out) + len(unseen))
        seen = judge.verdict(held_out, pictures[0])
        right = {"style": seen.style, "subject": seen.subject}
        right["unseen"] = judge.verdict(unseen, pictures[1], unseen=True).style
        cells = [f"{steps}", f"{spent:.0f}"]
        for name, one in right.items():
            difference = one.astype(float) - first.get(name, np.zeros(len(one)))
            low, high = bootstrap_interval(difference, seed=SEED)
            cells.append(f"{difference.mean():+.3f} [{low:+.3f}, {high:+.3f}]")
            first.setdefault(name, one.astype(float))
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
