"""Every part by hand, without a recipe: a sampler, an encoder, an injector, a base, a training loop.

Run it after `make demo`, whose graph it uses; it takes a few minutes on a laptop:

    python examples/compose_by_hand.py --steps 300

You see composed.png: held-out paintings drawn without graph and with the one that was just trained. This
is what `graphcond train` does at heart, without caches, checkpoints, previews and drops.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from graphcond import (
    ClipExtractor,
    Condition,
    ConsensusSimilarity,
    GraphContexts,
    GraphPipeline,
    GraphQFormerConfig,
    PromptTokenInjector,
    SemanticPPRSampler,
    StableDiffusionBase,
    embed_graph,
    load_graph,
)
from graphcond.drawing.sheets import contact_sheet
from graphcond.io.pictures import open_picture, to_pixels
from graphcond.training.objective import squared_error


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    torch.manual_seed(0)
    base = StableDiffusionBase.from_pretrained("tiny")  # or any Stable Diffusion 1.x or 2.x
    clip = ClipExtractor.from_pretrained("tiny")

    graph = load_graph(options.graph)
    embeddings = embed_graph(graph, clip)
    sampler = SemanticPPRSampler(
        graph, ConsensusSimilarity(embeddings), forbidden=graph.nodes.in_split("test", "unseen")
    )
    contexts = GraphContexts(graph, sampler, embeddings)
    encoder = GraphQFormerConfig().build(feature_width=clip.width, base=base)
    condition = Condition("neighbors", encoder, PromptTokenInjector())

    learn(condition, contexts, base, steps=options.steps, batch=options.batch)

    rows = graph.nodes.in_split("test")[:6]
    pipe = GraphPipeline.from_parts(base, condition, extractor=clip)
    drawings = [draw(pipe, contexts, rows, graph_scale=scale) for scale in (0.0, 2.0)]
    truth = [open_picture(path) for path in map(graph.picture_path, rows.tolist()) if path]
    titles = [graph.nodes.texts[row] for row in rows.tolist()]
    sheet = contact_sheet(
        [truth, *drawings], row_labels=["true picture", "no graph", "graph"], column_labels=titles
    )
    sheet.save(options.out)
    print(f"look at {options.out}")


def learn(
    condition: Condition, contexts: GraphContexts, base: StableDiffusionBase, *, steps: int, batch: int
) -> None:
    """Train the condition over the frozen base."""
    graph = contexts.graph
    targets = graph.nodes.in_split("train")
    chosen = contexts.sample(targets)
    targets = targets[chosen.present.any(axis=1)]  # a target without neighbors could teach nothing
    optimizer = torch.optim.AdamW(condition.trainable_parameters().values(), lr=1e-3)
    draws = np.random.default_rng(0)
    for step in range(steps):
        rows = draws.choice(targets, batch)
        latents = base.encode_pictures(_pixels(contexts, rows)).mean
        noise = torch.randn_like(latents)
        timesteps = base.process.timesteps(torch.rand(batch), "high_noise", latents.shape[2:])

        text = base.encode_prompt([graph.nodes.texts[row] for row in rows.tolist()])
        signal = condition.signal(contexts.features(contexts.sample(rows)), text)
        plain = base.inputs(base.process.noisy(latents, noise, timesteps), timesteps, text)
        prediction = base.denoise(condition.apply(plain, signal))

        loss = squared_error(prediction, base.process.target(latents, noise, timesteps)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(condition.parameters(), 1.0)
        optimizer.step()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)


def draw(pipe: GraphPipeline, contexts: GraphContexts, rows: np.ndarray, *, graph_scale: float) -> list:
    """The pictures of some nodes, from the same noise at every scale."""
    return pipe(
        [contexts.graph.nodes.texts[row] for row in rows.tolist()],
        contexts.features(contexts.sample(rows)),
        guidance_scale=2.0,
        graph_guidance_scale=graph_scale,
        num_inference_steps=8,
        generator=torch.Generator().manual_seed(0),
    ).images


def _pixels(contexts: GraphContexts, rows: np.ndarray) -> torch.Tensor:
    paths = [contexts.graph.picture_path(row) for row in rows.tolist()]
    return torch.from_numpy(np.stack([to_pixels(open_picture(path)) for path in paths if path]))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("composed.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
