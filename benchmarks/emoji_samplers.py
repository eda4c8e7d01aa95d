"""Samplers on real pictures: how often neighbors are by their target's studio, in the emoji world.

    python benchmarks/emoji_samplers.py

Prints a markdown table over all held-out targets at three shares of misleading edges. Pictures are compared
by features without CLIP (colors and lines, standardized over the graph) and by the CLIP of the emoji base.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float32

from graphcond.attributed_graph import AttributedGraph, Column, NodeEmbeddings
from graphcond.cli.rivals import rivals
from graphcond.features.clip import ClipExtractor
from graphcond.graphs import build_graph
from graphcond.intervals import bootstrap_interval
from graphcond.io.pictures import to_pixels
from graphcond.samplers import SemanticPPRSamplerConfig
from graphcond.samplers.config import NeighborSamplerConfig
from graphcond.worlds import NOISE_LEVELS, EmojiWorld
from graphcond.worlds.emoji.looks import manner


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--without-clip", action="store_true", help="leave the emoji base's CLIP out")
    options = parser.parse_args()
    features = embedded(EmojiWorld(), with_clip=not options.without_clip)
    found: dict[tuple[str, str], list[str]] = {}
    for noise in NOISE_LEVELS.values():
        world = EmojiWorld(noise=noise)
        graph = build_graph(world.nodes(), world.edges())
        for name, embeddings in features.items():
            for sampler, config in compared(graph, embeddings).items():
                found.setdefault((name, sampler), []).append(share(graph, config, embeddings))
    print(
        "| features | sampler | " + " | ".join(NOISE_LEVELS) + " |\n|---|---|" + "---:|" * len(NOISE_LEVELS)
    )
    for names, cells in found.items():
        print("| " + " | ".join((*names, *cells)) + " |")


def embedded(world: EmojiWorld, *, with_clip: bool) -> dict[str, NodeEmbeddings]:
    """The embeddings of the world's pictures, and texts where there are any, by name."""
    drawn = [world.draw(row) for row in range(len(world))]
    pixels = torch.from_numpy(np.stack([to_pixels(picture) for picture in drawn]))
    found = {"colors and lines": NodeEmbeddings(pictures=standardized(pixels))}
    if with_clip:
        clip = ClipExtractor.from_pretrained("emoji")
        found["CLIP"] = NodeEmbeddings(clip.embed_pictures(drawn), clip.embed_texts(world.nodes().texts))
    return found


def standardized(pixels: torch.Tensor) -> Float32[np.ndarray, "n d"]:
    """What tells studios apart, each feature with mean 0 and deviation 1 where it varies at all."""
    seen = torch.cat([manner(part) for part in pixels.split(256)])
    return ((seen - seen.mean(0)) / (seen.std(0) + 0.01)).numpy()


def compared(graph: AttributedGraph, embeddings: NodeEmbeddings) -> Mapping[str, NeighborSamplerConfig]:
    """The samplers that can read ``embeddings``, and one that sees the true picture."""
    columns: frozenset[Column] = frozenset(
        {"pictures"} if embeddings.texts is None else {"pictures", "texts"}
    )
    image = SemanticPPRSamplerConfig.model_validate({"similarity": {"kind": "image_image"}})
    return {**rivals(graph, columns), "semantic_ppr (image)": image}


def share(graph: AttributedGraph, config: NeighborSamplerConfig, embeddings: NodeEmbeddings) -> str:
    """The share of neighbors by their target's studio, with its interval."""
    held_out = graph.nodes.in_split("test")
    sampler = config.build(graph=graph, embeddings=embeddings, forbidden=held_out)
    chosen = sampler.sample(held_out, np.random.default_rng(0))
    right = chosen.agreement(graph.nodes.attributes["studio"])
    low, high = bootstrap_interval(right, seed=0)
    return f"{right.mean():.2f} [{low:.2f}, {high:.2f}]"


if __name__ == "__main__":
    main()
