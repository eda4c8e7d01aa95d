"""Judge what the base that ships draws of held-out pairs, told of the subject alone or of its studio too."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from common import save_grid, to_bytes, to_pixels
from diffusers import AutoencoderKL, UNet2DConditionModel
from emoji_data import HERE, caption, recipe, splits
from export import BASE
from sampling import ddim, decode, sample_latents
from torch import Tensor
from train_unet import Texts
from transformers import CLIPTextModel, CLIPTokenizer

from graphcond.intervals import bootstrap_interval
from graphcond.worlds.emoji.judge import EmojiJudge


def share(told: Tensor, names: Sequence[str], truth: np.ndarray) -> dict[str, Any]:
    """Return the share of pictures that are told rightly, with its interval."""
    right = (np.array(names)[told.numpy()] == truth).astype(float)
    return {
        "share": round(right.mean(), 3),
        "interval": [round(end, 3) for end in bootstrap_interval(right, seed=0)],
    }


def main() -> None:
    """Write quality.json and named.png beside this file."""
    settings, test = recipe()["measure"], splits().test
    torch.set_num_threads(1)
    texts = Texts(
        CLIPTextModel.from_pretrained(BASE / "text_encoder", dtype=torch.float32),
        CLIPTokenizer.from_pretrained(BASE / "tokenizer"),
    )
    texts.freeze()
    unet = UNet2DConditionModel.from_pretrained(BASE / "unet", torch_dtype=torch.float32).eval()
    vae = AutoencoderKL.from_pretrained(BASE / "vae", torch_dtype=torch.float32).eval()
    judge, found, shown = EmojiJudge.load(), {}, [test.pictures[:24]]
    for kind, name in ((None, "real"), (1, "told the subject"), (0, "told both")):
        pictures = test.pictures
        if kind is not None:
            states = texts([caption(*pair, kind) for pair in zip(test.subjects, test.studios, strict=True)])
            drawn = sample_latents(
                unet, ddim(), states, texts([""])[0], settings["steps"], settings["scale"], seed=0
            )
            pictures = np.concatenate([to_bytes(decode(vae, part)) for part in drawn.split(64)])
            shown.append(pictures[:24])
        told = judge.classify(to_pixels(pictures))
        found[name] = {
            "subject": share(told.subject, judge.subjects, test.subjects),
            "studio": share(told.studio, judge.studios, test.studios),
        }
    sheet = np.concatenate([row[half : half + 12] for half in (0, 12) for row in shown])
    save_grid(sheet, 12, HERE / "named.png")
    (HERE / "quality.json").write_text(json.dumps({"n": len(test), **settings, **found}, indent=2) + "\n")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
