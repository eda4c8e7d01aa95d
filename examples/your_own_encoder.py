"""Your own encoder: the prompt decides which neighbors count.

Run it after `make demo`, whose graph it uses; it takes a few minutes on a laptop:

    python examples/your_own_encoder.py --steps 300

You see pooled.png: held-out paintings drawn without graph and with the one that was just trained. To use your
encoder in a recipe, name its config in your package's pyproject.toml:

    [project.entry-points."graphcond.encoders"]
    prompt_pooling = "mypackage.prompt_pooling:PromptPoolingConfig"
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, RandomSampler

from graphcond import (
    ClipExtractor,
    Condition,
    Encoder,
    GraphPipeline,
    GraphTokens,
    NeighborFeatures,
    PictureDataset,
    PromptTokenInjector,
    StableDiffusionBase,
    denoising_loss,
    load_recipe,
)
from graphcond.drawing.sheets import contact_sheet
from graphcond.encoders import EncoderFields
from graphcond.io.pictures import open_picture
from graphcond.signals import TextTokens


class PromptPooling(Encoder[NeighborFeatures, GraphTokens]):
    """Means of the neighbors' embeddings, each weighed by another question that the prompt asks.

    Args:
        feature_width: d, width of a neighbor's embedding.
        token_width: c, width of the base's context tokens.
        tokens: questions, and so tokens, for each target.
    """

    def __init__(self, *, feature_width: int, token_width: int, tokens: int = 4) -> None:
        super().__init__()
        self.token_count = tokens
        self.questions = nn.Linear(token_width, tokens * feature_width)
        self.answer = nn.Sequential(
            nn.Linear(feature_width, 4 * token_width), nn.GELU(), nn.Linear(4 * token_width, token_width)
        )
        self.norm = nn.LayerNorm(token_width)

    def forward(self, context: NeighborFeatures, text: TextTokens) -> GraphTokens:
        """Tokens (b, tokens, c); hidden for targets without any neighbor."""
        embeddings = context.embeddings.to(self.norm.weight.dtype)  # (b, k, d)
        prompt = text.hidden.mean(1).to(embeddings.dtype)
        questions = self.questions(prompt).unflatten(1, (self.token_count, -1))  # (b, tokens, d)
        likes = questions @ embeddings.mT / embeddings.shape[-1] ** 0.5
        hidden = ~context.present[:, None].expand_as(likes)
        shares = likes.masked_fill(hidden, -1e4).softmax(-1)  # not -inf, of which a row could have no other
        tokens = self.norm(self.answer(shares @ embeddings))
        return GraphTokens(tokens, context.has_graph[:, None].expand(tokens.shape[:2]))


class PromptPoolingConfig(EncoderFields):
    """A few means of the neighbors' embeddings, weighed by what the prompt asks for."""

    component = PromptPooling
    kind: Literal["prompt_pooling"] = "prompt_pooling"
    tokens: int = 4
    """Graph tokens per target."""

    def token_count(self) -> int:
        """As the setting says, so that the null `zeros` is possible."""
        return self.tokens


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    torch.manual_seed(0)
    base, clip = StableDiffusionBase.from_pretrained("tiny"), ClipExtractor.from_pretrained("tiny")
    recipe = load_recipe("instructg2i", base="tiny", overrides=[f"data.path={options.graph}"])
    pictures = PictureDataset.from_recipe(recipe, base=base)

    encoder = PromptPoolingConfig(tokens=4).build(feature_width=clip.width, base=base)
    condition = Condition("neighbors", encoder, PromptTokenInjector())
    pipe = GraphPipeline.from_parts(base, condition, extractor=clip)

    order = RandomSampler(pictures, replacement=True, num_samples=options.steps * options.batch)
    loader = DataLoader(pictures, options.batch, sampler=order, collate_fn=pictures.collate)
    optimizer = torch.optim.AdamW(pipe.model.parameters(), lr=1e-3)
    for step, batch in enumerate(loader):
        loss = denoising_loss(pipe.model, *batch, timesteps="high_noise")
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        if step % 20 == 0:
            print(f"step {step}: loss {loss.item():.4f}", flush=True)

    sheet(pipe, pictures).save(options.out)
    print(f"look at {options.out}")


def sheet(pipe: GraphPipeline, pictures: PictureDataset) -> Image.Image:
    """Held-out paintings, drawn without their neighbors and with them, from the same noise."""
    data, source = pictures.data, pictures.sources["neighbors"]
    rows = data.rows("test")[:6]
    prompts, neighborhood = [data.texts[row] for row in rows], source.features(source.sample(rows))
    drawings = [
        pipe(
            prompts,
            neighborhood,
            guidance_scale=2.0,
            graph_guidance_scale=scale,
            num_inference_steps=8,
            generator=torch.Generator().manual_seed(0),
        ).images
        for scale in (0.0, 2.0)
    ]
    truth = [open_picture(path) for path in map(data.picture_path, rows.tolist()) if path]
    labels = ["true picture", "no graph", "graph"]
    return contact_sheet([truth, *drawings], row_labels=labels, column_labels=prompts)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--graph", type=Path, default=Path("outputs/demo/graph"))
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path("pooled.png"))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
