"""Train the art world's oracle on softened procedural pictures and write its weights in half precision."""

import numpy as np
import torch
from common import Log, outputs, soften, start, to_pixels, warm_cosine
from safetensors.torch import save_file

from graphcond.worlds.oracle import WEIGHTS, ArtOracle


@torch.no_grad()
def accuracy(oracle: ArtOracle, pixels: torch.Tensor, data: dict[str, np.ndarray]) -> dict[str, float]:
    """Shares of pictures whose artist and subject the oracle names."""
    found = oracle.classify(pixels)
    return {
        "artist": float((found.artist.numpy() == data["artists"][: len(pixels)]).mean()),
        "subject": float((found.subject.numpy() == data["subjects"][: len(pixels)]).mean()),
    }


def main() -> None:
    """Train by steps and save."""
    recipe = start("oracle", threads=1)
    train, test = (dict(np.load(outputs() / f"{split}.npz")) for split in ("train", "test"))
    oracle = ArtOracle()
    optimizer = torch.optim.AdamW(oracle.parameters(), recipe["learning_rate"], weight_decay=0.01, fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"]), Log(100)
    generator, rng = torch.Generator().manual_seed(2), np.random.default_rng(2)
    for step in range(1, recipe["steps"] + 1):
        chosen = rng.integers(0, len(train["pictures"]), recipe["batch_size"])
        artist, subject = oracle(soften(to_pixels(train["pictures"][chosen]), generator))
        loss = torch.nn.functional.cross_entropy(artist, torch.as_tensor(train["artists"][chosen]))
        loss = loss + torch.nn.functional.cross_entropy(subject, torch.as_tensor(train["subjects"][chosen]))
        loss.backward()
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        log(step, loss=loss.detach())
    print(
        f"parameters {sum(p.numel() for p in oracle.parameters()):,}",
        accuracy(oracle, to_pixels(test["pictures"]), test),
    )
    save_file({name: value.half() for name, value in oracle.state_dict().items()}, WEIGHTS)


if __name__ == "__main__":
    main()
