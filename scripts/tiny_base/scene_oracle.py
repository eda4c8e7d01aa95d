"""Train the scene world's detector on procedural pictures, softened or sent through the VAE."""

from typing import Any

import numpy as np
import torch
from common import Log, load_recipe, outputs, soften, start, to_bytes, to_pixels, warm_cosine
from diffusers import AutoencoderKL
from draw import scene_world
from safetensors.torch import save_file
from scene_measures import occurred, shares
from torch import Tensor
from torch.nn.functional import cross_entropy, l1_loss

from graphcond.evaluation import match_scene
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.scene_graph import SceneGraph, center, iou
from graphcond.worlds.scene_oracle import CELL, WEIGHTS, SceneOracle

Look = tuple[list[int], list[float], list[float]]


def read(graph: SceneGraph, place: int, oracle: SceneOracle) -> Look:
    """Return an object's level, row, column, shape and colour; its box as told; its centre in cells."""
    box, grid = graph.boxes[place], oracle.resolution // CELL
    (x, y), width, height = center(box), box.x1 - box.x0, box.y1 - box.y0
    column, row = int(x * grid), int(y * grid)
    shape = SceneOracle.shapes.index(graph.objects[place])
    color = SceneOracle.colors.index(graph.attributes_of(place)[0])
    level = sum(max(width, height) >= edge for edge in oracle.levels)
    look = [level, row, column, shape, color]
    return look, [x * grid - column, y * grid - row, width, height], [x * grid, y * grid]


class Truth:
    """What the oracle should say of a batch of scenes; row i of every column is an object.

    ``scene``, ``level``, ``row``, ``column`` say where, ``shape``, ``color`` and ``box`` what.
    """

    def __init__(self, scenes: list[list[Look]], oracle: SceneOracle) -> None:
        looks, boxes, centers = zip(*(row for scene in scenes for row in scene), strict=True)
        self.scene = torch.tensor([number for number, scene in enumerate(scenes) for _ in scene])
        self.level, self.row, self.column, self.shape, self.color = torch.tensor(looks).T
        self.box, self.centers, self.count = torch.tensor(boxes), torch.tensor(centers), len(scenes)
        self.grid, self.levels = oracle.resolution // CELL, len(oracle.levels) + 1

    def heat(self) -> Tensor:
        """Return how near each cell is to a centre, (B, levels, shapes, grid, grid), 1 in its own cell."""
        cells, grid = torch.arange(self.grid) + 0.5, self.grid
        across = (cells[None] - self.centers[:, :1]) ** 2
        down = (cells[None] - self.centers[:, 1:]) ** 2
        bumps = torch.exp(-(down[:, :, None] + across[:, None]) / (2 * 0.7**2))
        bumps[torch.arange(len(bumps)), self.row, self.column] = 1
        shapes = len(SceneOracle.shapes)
        places = (self.scene * self.levels + self.level) * shapes + self.shape
        target = torch.zeros(self.count * self.levels * shapes, grid, grid)
        return target.index_reduce_(0, places, bumps, "amax").view(-1, self.levels, shapes, grid, grid)


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """CenterNet's focal loss: neighbours of a centre count the less, the nearer they are."""
    score, centre = logits.sigmoid().clamp(1e-4, 1 - 1e-4), target == 1
    hit = -((1 - score) ** 2) * score.log()
    miss = -((1 - target) ** 4) * score**2 * (1 - score).log()
    return torch.where(centre, hit, miss).sum() / centre.sum()


def loss_of(oracle: SceneOracle, pixels: Tensor, truth: Truth) -> Tensor:
    """Heat map, colours and boxes; the last two at the centres alone."""
    heat, color, box = oracle(pixels)
    at = (truth.scene, truth.level, slice(None), truth.row, truth.column)
    return (
        focal(heat, truth.heat()) + cross_entropy(color[at], truth.color) + 10 * l1_loss(box[at], truth.box)
    )


@torch.no_grad()
def rebuild(vae: AutoencoderKL, pictures: np.ndarray) -> np.ndarray:
    """Send pictures through the VAE, (N, H, W, 3) bytes."""
    parts = np.array_split(pictures, max(1, len(pictures) // 50))
    return np.concatenate(
        [to_bytes(vae.decode(vae.encode(to_pixels(part)).latent_dist.sample()).sample) for part in parts]
    )


def quality(oracle: SceneOracle, pixels: Tensor, graphs: list[SceneGraph]) -> dict[str, float]:
    """Shares of objects found, colours and relations right, scenes all right; extra objects; box IoU."""
    seen = OracleDetector(oracle).read(pixels, graphs)
    matches = [match_scene(*both) for both in zip(graphs, seen, strict=True)]
    overlaps = [
        iou(graph.boxes[place], shown.boxes[taken])
        for graph, shown, match in zip(graphs, seen, matches, strict=True)
        for place, taken in enumerate(match.places)
        if taken is not None
    ]
    extra = [len(shown) - sum(occurred(match)) for shown, match in zip(seen, matches, strict=True)]
    return {
        **shares(matches),
        "scenes_all_right": float(np.mean([match.right for match in matches])),
        "extra_objects_per_scene": float(np.mean(extra)),
        "box_iou": float(np.mean(overlaps)),
    }


def main() -> None:
    """Train by steps and save."""
    recipe = start("scene_oracle", threads=1)
    world, pictures = scene_world("train"), np.load(outputs() / "scenes-train.npz")["pictures"]
    graphs = [world.graph(row) for row in range(len(pictures))]
    vae = AutoencoderKL.from_pretrained(outputs() / "vae").eval().to(memory_format=torch.channels_last)
    rebuilt = rebuild(vae, pictures[: recipe["rebuilt"]])
    known = load_recipe()["warm_start"] and WEIGHTS.exists()
    oracle = SceneOracle.load().train().requires_grad_(True) if known else SceneOracle()
    oracle.to(memory_format=torch.channels_last)
    train(oracle, recipe, (pictures, rebuilt), graphs)
    save_file({name: value.half().contiguous() for name, value in oracle.state_dict().items()}, WEIGHTS)
    tested, unseen = scene_world("test"), np.load(outputs() / "scenes-test.npz")["pictures"]
    graphs = [tested.graph(row) for row in range(len(unseen))]
    for name, some in (("drawn", unseen), ("rebuilt", rebuild(vae, unseen))):
        print(name, quality(SceneOracle.load(), to_pixels(some), graphs), flush=True)


def train(
    oracle: SceneOracle,
    recipe: dict[str, Any],
    pictures: tuple[np.ndarray, np.ndarray],
    graphs: list[SceneGraph],
) -> None:
    """Train by steps on softened pictures, half drawn and half sent through the VAE; graphs are the truth."""
    truths = [[read(graph, place, oracle) for place in range(len(graph))] for graph in graphs]
    optimizer = torch.optim.AdamW(oracle.parameters(), recipe["learning_rate"], weight_decay=0.01, fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"]), Log(100)
    generator, rng = torch.Generator().manual_seed(2), np.random.default_rng(2)
    half = recipe["batch_size"] // 2
    for step in range(1, recipe["steps"] + 1):
        drawn, sent = (rng.integers(0, len(some), half) for some in pictures)
        batch = np.concatenate([some[rows] for some, rows in zip(pictures, (drawn, sent), strict=True)])
        pixels = soften(to_pixels(batch), generator, reach=0)
        loss = loss_of(oracle, pixels, Truth([truths[row] for row in [*drawn, *sent]], oracle))
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        log(step, loss=loss.detach())


if __name__ == "__main__":
    main()
