"""Measure the tiny FLUX.2 through the library: paintings and scenes drawn from words alone."""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from common import load_recipe, outputs, save_grid, to_bytes
from measure import HERE, PAIRS, style_and_subject
from scene_measures import drawn, list_caption, test_graphs
from torch import Tensor

from graphcond.bases import Flux2Base
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import named, plain
from graphcond.worlds.oracle import ArtOracle


class Drawer:
    """Draws captions with the base of a folder."""

    def __init__(self, folder: Path) -> None:
        base = Flux2Base.from_pretrained(str(folder), tokens=load_recipe()["clip"]["positions"])
        self.pipe = GraphPipeline(GraphModel(base, [], feature_width=1))
        self.pipe.set_progress_bar_config(disable=True)

    def draw(self, texts: list[str], scheduler: str, steps: int, scale: float) -> Tensor:
        """Return pixels (B, 3, 64, 64); ``scheduler`` is the folder's own."""
        del scheduler
        parts = []
        for place in range(0, len(texts), 48):
            images = self.pipe(
                texts[place : place + 48],
                guidance_scale=scale,
                num_inference_steps=steps,
                generator=torch.manual_seed(place),
                output_type="pt",
            ).images
            parts.append(images.float() * 2 - 1)
        return torch.cat(parts)


def main() -> None:
    """Measure everything; write quality-transformer.json and two grids to look at."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path(load_recipe()["transformer"]["model"]))
    parser.add_argument("--scenes", type=int, default=240)
    given = parser.parse_args()
    torch.set_num_threads(1)
    drawer, oracle = Drawer(given.folder), ArtOracle.load()
    texts = [named(ARTISTS[artist], SUBJECTS[subject]).text for artist, subject in PAIRS]
    begin, found = time.process_time(), {}
    for steps, scale in ((8, 1.0), (8, 2.0), (8, 3.0), (6, 2.0), (16, 2.0)):
        shown = drawer.draw(texts, "", steps, scale)
        found[f"{steps} steps, scale {scale:g}"] = style_and_subject(oracle, shown)
        if (steps, scale) == (8, 2.0):
            save_grid(to_bytes(shown), len(ARTISTS), outputs() / "named-transformer.png")
    bare = drawer.draw([plain(SUBJECTS[subject]).text for _, subject in PAIRS], "", 8, 2.0)
    graphs = test_graphs(given.scenes)
    some = drawer.draw([list_caption(graph) for graph in graphs[:72]], "", 8, 2.0)
    save_grid(to_bytes(some), 12, outputs() / "scenes-transformer.png")
    quality: dict[str, Any] = {
        "named": found,
        "without the artist": style_and_subject(oracle, bare),
        "scenes from a list, 8 steps": drawn(drawer.draw, list_caption, graphs, 8),
        "scenes from a list, 16 steps, scale 3": drawn(drawer.draw, list_caption, graphs, 16, 3.0),
        "seconds": time.process_time() - begin,
        "pairs": len(PAIRS),
    }
    (HERE / "quality-transformer.json").write_text(json.dumps(quality, indent=2) + "\n")
    print(json.dumps(quality, indent=2))


if __name__ == "__main__":
    main()
