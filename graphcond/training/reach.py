"""What a base can draw of the pictures it is to be trained on, measured before the training."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from graphcond.bases import Base
from graphcond.io.pictures import to_pixels
from graphcond.recipe import Recipe
from graphcond.training.examples import Examples
from graphcond.training.objective import squared_error
from graphcond.training.validation import fixed_draws

RESTORED, PREDICTED = 8, 32
"""Pictures that the autoencoder restores, and that the denoiser predicts."""

BATCH = 8


@dataclass(frozen=True)
class Reach:
    """How well a base knows some pictures.

    Args:
        psnr: of pictures behind the autoencoder, in dB; the mean over pictures.
        error: the denoiser's squared error without graph, over that of the best linear prediction from the
            mean and the spread of the latents. At 1 it knows nothing else of the pictures.
    """

    psnr: float
    error: float


OWN_KIND = {
    "tiny": Reach(psnr=29.0, error=0.40),
    "tiny-dit": Reach(psnr=29.1, error=0.44),
    "emoji": Reach(psnr=30.9, error=0.52),
}
"""What bases reach on held-out pictures of the kind that they were trained on.

The tiny base: 28.9 dB and 0.31 on the art world, 29.1 dB and 0.49 on the scene world.
The tiny FLUX.2: 29.2 dB and 0.40 on the art world, 29.1 dB and 0.49 on the scene world.
The emoji base: 30.9 dB and 0.52 on held-out pairs of subject and studio.
"""

POOR = Reach(psnr=22.0, error=0.9)
"""For bases without figures of their own: beyond these, pictures are far from what the base draws."""

LOST, WORSE = 3.0, 1.5
"""Beyond so many decibels less, or so many times the error, pictures are not of the base's own kind."""


@torch.no_grad()
def measure(base: Base, examples: Examples, resolution: int) -> Reach:
    """The reach of ``base`` on the first examples; no random generator of torch or numpy is touched."""
    rows = examples.pictures.alike(RESTORED)
    truths = np.stack([to_pixels(picture) for picture in examples.shown(rows, resolution)])
    latents = examples.batch(rows, base.device).latents.mean
    restored = torch.cat([base.decode_latents(one[None]).cpu() for one in latents]).clamp(-1, 1)
    # Values in -1..1 are twice as far apart as those in 0..1, of which the unit speaks.
    errors = (restored - torch.from_numpy(truths)).square().mean(dim=(1, 2, 3)) / 4
    return Reach(float((-10 * errors.clamp(min=1e-10).log10()).mean()), _error(base, examples))


def advice(found: Reach, recipe: Recipe) -> str | None:
    """What to know where the pictures are far from what the base draws; None where they are not."""
    own = OWN_KIND.get(recipe.base.kind)
    psnr, error = (POOR.psnr, POOR.error) if own is None else (own.psnr - LOST, WORSE * own.error)
    blurred, unknown = found.psnr < psnr, found.error > error
    if not blurred and not unknown:
        return None
    beside = "" if own is None else f" (on its own kind of pictures {own.psnr:.1f} dB and {own.error:.2f})"
    said = (
        "these pictures are far from what the base draws: its autoencoder restores them to "
        f"{found.psnr:.1f} dB, and without a graph its error is {found.error:.2f} of a linear "
        f"prediction's{beside}"
    )
    sentences = [said]
    if unknown and (recipe.updates or recipe.training.train_base):
        sentences.append("The base is adapted to them, which takes longer than to train a graph alone")
    elif unknown:
        sentences.append(
            "Adapt the base by --set training.train_base=true (the whole denoiser) or by a section `lora:`; "
            "else the graph can only choose among what the base draws"
        )
    if blurred:
        other = "Stable Diffusion" if own is not None else "another base"
        sentences.append(f"No training here changes the autoencoder: for finer pictures train over {other}")
    return ". ".join(sentences)


def _error(base: Base, examples: Examples) -> float:
    rows, found, linear = examples.pictures.alike(PREDICTED), [], []
    count, shape = len(rows), examples.pictures.shape(rows)
    (noise,), times = fixed_draws([(count, *shape)], 0)
    latents = examples.batch(rows, base.device).latents.mean
    spread = latents.var(dim=(0, 2, 3), correction=0, keepdim=True)
    for part in np.array_split(np.arange(count), range(BATCH, count, BATCH)):
        batch = examples.batch(rows[part], base.device)
        steps = base.process.timesteps(times[part], "uniform", shape[1:]).to(base.device)
        clean, noisy = batch.latents.mean, noise[part].to(base.device)
        inputs = base.inputs(base.process.noisy(clean, noisy, steps), steps, batch.text)
        target = base.process.target(clean, noisy, steps)
        found.append(squared_error(base.denoise(inputs), target))
        # The best linear prediction of the target y = c z + d n from the noisy latents x = a z + b n, z of
        # variance s and n of variance 1: the variance of y given x is s (c b - d a)^2 / (a^2 s + b^2).
        s, ones, zeros = spread.expand_as(clean), torch.ones_like(clean), torch.zeros_like(clean)
        a, b = base.process.noisy(ones, zeros, steps), base.process.noisy(zeros, ones, steps)
        c, d = base.process.target(ones, zeros, steps), base.process.target(zeros, ones, steps)
        linear.append((s * (c * b - d * a).square() / (a.square() * s + b.square())).mean(dim=(1, 2, 3)))
    return (torch.cat(found).mean() / torch.cat(linear).mean()).item()
