"""SGCond's experiments over Stable Diffusion 2.1 at full size, with random weights of the real architecture.

Writes a random checkpoint of SD 2.1's shapes into a temporary folder, then trains a shipped recipe on
procedural scenes through the ordinary trainer: one step of each stage and of the main training, in bf16.
Prints trainable parameters, seconds and peak memory. The small CLIP inside the package embeds the words:

    python benchmarks/sd21_step.py sgcond-vi
    python benchmarks/sd21_step.py sgcond-iv
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from checkpoints import SD21, write_base
from sd15_step import trained

from graphcond.recipe import load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", help="sgcond-iv, sgcond-vi ...")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resolution", type=int, default=64)
    parser.add_argument("--batch-size", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recipe = load_recipe(
            options.recipe,
            overrides=[
                f"base.model={write_base(folder / 'sd21', SD21)}",
                "base.attention=auto",
                f"data={{kind: world, world: scenes, scenes: 64, resolution: {options.resolution}}}",
                "features={kind: tiny}",
                *(f"stages.{stage.name}.steps=1" for stage in load_recipe(options.recipe).stages),
                "training.steps=1",
                f"training.batch_size={options.batch_size}",
                "training.accumulate=1",
                "training.drop={text: 0, graph: 0, both: 0}",
                "training.log_every=1",
                "training.validate_every=null",
                "training.preview_every=null",
                "training.checkpoint_every=null",
            ],
        )
        print(json.dumps(trained(recipe, folder, options.device), indent=2))


if __name__ == "__main__":
    main()
