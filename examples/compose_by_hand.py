"""Every part by hand, without a recipe: a sampler, an encoder, an injector, a base, a training loop.

Run it after `make demo`, whose graph it uses; it takes a few minutes on a laptop:

    python examples/compose_by_hand.py --steps 300

You see composed.png: held-out paintings drawn without graph and with the one that was just trained, by the
model as it was saved and loaded again. This is what `graphcond train` does at heart, without checkpoints,
previews and drops.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, RandomSampler

from graphcond import (
    ClipExtractor,
    Condition,
    ConsensusSimilarity,
    GraphContexts,
    GraphModel,
    GraphPipeline,
    GraphQFormerConfig,
    PictureDataset,
    PromptTokenInjector,
    SemanticPPRSampler,
    StableDiffusionBase,
    denoising_loss,
    embed_graph,
    load_graph,
)
from graphcond.drawing.sheets import contact_sheet
from graphcond.io.pictures import open_picture


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

    pipe = GraphPipeline.from_parts(base, condition, extractor=clip)
    targets = graph.nodes.in_split("train")
    pictures = PictureDataset(graph, {"neighbors": contexts}, targets, resolution=64, base=base)
    learn(pipe.model, pictures, steps=options.steps, batch=options.batch)
    pipe.save_pretrained(options.model)
    pipe = GraphPipeline.from_pretrained(options.model)

    rows = graph.nodes.in_split("test")[:6]
    drawings = [draw(pipe, contexts, rows, graph_scale=scale) for scale in (0.0, 2.0)]
    truth = [open_picture(path) for path in map(graph.picture_path, rows.tolist()) if path]
    titles = [graph.nodes.texts[row] for row in rows.tolist()]
    sheet = contact_sheet(
        [truth, *drawings], row_labels=["true picture", "no graph", "graph"], column_labels=titles
    )
    sheet.save(options.out)
    print(f"look at {options.out}")


def learn(model: GraphModel, pictures: PictureDataset, *, steps: int, batch: int) -> None:
    """Train the conditions over the frozen base."""
    order = RandomSampler(pictures, replacement=True, num_samples=steps * batch)
    loader = DataLoader(pictures, batch, sampler=order, collate_fn=pictures.collate)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    for step, examples in enumerate(loader):
        loss = denoising_loss(model, *examples, timesteps="high_noise")
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
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


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--out", type=Path, default=Path("composed.png"))
    parser.add_argument("--model", type=Path, default=Path("outputs/composed"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
