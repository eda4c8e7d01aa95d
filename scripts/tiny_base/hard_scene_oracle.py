"""Train the detector of hard scenes, from that of plain ones, on as many pictures of either world."""

import numpy as np
import torch
from common import start, to_pixels
from diffusers import AutoencoderKL
from draw import SCENE_SEEDS
from safetensors.torch import save_file
from scene_oracle import quality, rebuild, train

from graphcond.bases.config import TINY_FOLDER
from graphcond.worlds.scene_oracle import HARD_WEIGHTS, SceneOracle
from graphcond.worlds.scenes import SceneWorld

SEEDS = {"train": 50_000_011, "test": 50_000_012}
"""Worlds of their own."""


def main() -> None:
    """Train by steps and save."""
    recipe = start("hard_scene_oracle", threads=1)
    vae = AutoencoderKL.from_pretrained(TINY_FOLDER / "vae").eval().to(memory_format=torch.channels_last)
    count = recipe["pictures"]
    hard = SceneWorld(seed=SEEDS["train"], count=count, difficulty="hard")
    plain = SceneWorld(seed=SCENE_SEEDS["train"], count=count)
    # In turns, so that the first of them are of both worlds: those are sent through the VAE.
    graphs = [world.shown(row) for row in range(count) for world in (hard, plain)]
    pictures = np.stack([np.asarray(world.draw(row)) for row in range(count) for world in (hard, plain)])
    rebuilt = rebuild(vae, pictures[: recipe["rebuilt"]])
    oracle, known = SceneOracle.for_hard_scenes().train(), SceneOracle.load().state_dict()
    fitting = {name: value for name, value in known.items() if not name.startswith("head")}
    oracle.load_state_dict(fitting, strict=False)
    train(oracle.to(memory_format=torch.channels_last), recipe, (pictures, rebuilt), graphs)
    save_file({name: value.half().contiguous() for name, value in oracle.state_dict().items()}, HARD_WEIGHTS)
    tested = SceneWorld(seed=SEEDS["test"], count=recipe["tested"], difficulty="hard")
    unseen = np.stack([np.asarray(tested.draw(row)) for row in range(len(tested))])
    graphs = [tested.shown(row) for row in range(len(tested))]
    for name, some in (("drawn", unseen), ("rebuilt", rebuild(vae, unseen))):
        print(name, quality(SceneOracle.load(hard=True), to_pixels(some), graphs), flush=True)


if __name__ == "__main__":
    main()
