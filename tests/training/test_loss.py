from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphcond.attributed_graph import AttributedGraph
from graphcond.denoiser_inputs import DenoiserInputs
from graphcond.training.objective import denoising_loss, squared_error, without_graph
from tests.training.toys import prepare_toy, toy_condition, toy_recipe


@pytest.mark.parametrize("conditions", [1, 2])
@torch.no_grad()
def test_without_graph_the_loss_is_the_bases_own(
    conditions: int, sd_folder: Path, clip_folder: Path, toy_graph: AttributedGraph
) -> None:
    named = [toy_condition(name) for name in ("first", "second")[:conditions]]
    prepared, _ = prepare_toy(toy_recipe(sd_folder, clip_folder, conditions=named), toy_graph)
    model, device = prepared.model, torch.device("cpu")
    batch = prepared.train.batch(np.arange(4), device)
    timesteps = torch.tensor([10, 300, 600, 999])
    generator = torch.Generator().manual_seed(0)
    noise, other = torch.randn(2, *batch.latents.mean.shape, generator=generator)
    latents = batch.latents.mean + batch.latents.std * other

    def losses(contexts: object) -> torch.Tensor:
        return denoising_loss(
            model,
            batch.latents,
            batch.text,
            contexts,  # type: ignore[arg-type]
            posterior=other,
            noise=noise,
            timesteps=timesteps,
            reduction="none",
        )

    noisy = model.base.process.noisy(latents, noise, timesteps)
    plain = squared_error(model.base.denoise(DenoiserInputs(noisy, timesteps, batch.text.hidden)), noise)
    full, none = losses(batch.contexts), losses(without_graph(batch.contexts))
    dropped = torch.tensor([False, True, False, True])[:, None].expand(4, conditions)
    some = losses(without_graph(batch.contexts, dropped))
    assert torch.equal(none, plain)
    assert (full != plain).all()
    torch.testing.assert_close(some[[0, 2]], full[[0, 2]])
    torch.testing.assert_close(some[[1, 3]], plain[[1, 3]])
