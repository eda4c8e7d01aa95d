"""Train the shipped CLIP on so that a swap counts, with hard negatives (Structure-CLIP, arXiv 2305.06152).

InfoNCE over whole pictures asks what is in them, and hardly who is where: between a scene's sentence and the
same with a swap in it, the shipped CLIP chooses little better than by chance. A swapped caption tells the
picture half one bit. So that half first learns to tell looks and places, and stays; then both projections and
the text half learn from captions and their swaps.
"""

from dataclasses import dataclass

import numpy as np
import torch
from clip import contrastive, save, scene_positives, tokens
from common import Log, descend, model_folder, outputs, soften, start, to_pixels, warm_cosine
from draw import scene_world
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize, softplus
from transformers import CLIPModel, CLIPTokenizer

from graphcond.samplers.hard_negatives import swapped
from graphcond.scene_graph import SceneGraph, area, center, sentence_of
from graphcond.worlds.scene_captions import SceneCaption, caption_of
from graphcond.worlds.shapes import COLORS, SHAPES

LOOKS = [(color, shape) for color in COLORS for shape in SHAPES]
NOTHING = len(LOOKS)
WORDS = [*COLORS, *SHAPES]
SAVE_EVERY = 100


def looks(graph: SceneGraph) -> list[int]:
    """Return the number of each object's look."""
    return [LOOKS.index((graph.attributes_of(n)[0], shape)) for n, shape in enumerate(graph.objects)]


def told(graph: SceneGraph) -> Tensor:
    """Return of each colour and shape how often it is there and the sums of the centres, (words * 3).

    Centres count from the middle. Looks in their place would be more numbers than an embedding has.
    """
    target = torch.zeros(len(WORDS), 3)
    for place, shape in enumerate(graph.objects):
        x, y = center(graph.boxes[place])
        for word in (graph.attributes_of(place)[0], shape):
            target[WORDS.index(word)] += torch.tensor([1, 2 * x - 1, 2 * y - 1])
    return target.flatten()


def cells(graph: SceneGraph, side: int) -> Tensor:
    """Return the look in each cell of a grid, (side * side); of two that cover its middle the smaller."""
    shown = torch.full((side, side), NOTHING)
    for look, box in sorted(zip(looks(graph), graph.boxes, strict=True), key=lambda both: -area(both[1])):
        x0, y0, x1, y1 = (round(edge * side) for edge in box)
        shown[y0:y1, x0:x1] = look
    return shown.flatten()


@dataclass(frozen=True)
class Scenes:
    """Pictures (N, H, W, 3) of a split and their graphs."""

    pictures: np.ndarray
    graphs: list[SceneGraph]

    @classmethod
    def of(cls, split: str) -> "Scenes":
        """Return those that ``draw.py`` drew."""
        pictures, world = np.load(outputs() / f"scenes-{split}.npz")["pictures"], scene_world(split)
        return cls(pictures, [world.graph(row) for row in range(len(pictures))])


def learn_pictures(model: CLIPModel, scenes: Scenes, recipe: dict) -> None:
    """Teach the picture half what is where: the look of each cell, and words from the whole embedding."""
    vision, side = model.vision_model, 64 // model.config.vision_config.patch_size
    # The last attention starts as a mean over all cells, so that each is heard from the first step on.
    for part in vision.encoder.layers[-1].self_attn.k_proj.parameters():
        nn.init.zeros_(part)
    whole = nn.Linear(model.config.projection_dim, 3 * len(WORDS))
    cell = nn.Linear(model.config.vision_config.hidden_size, NOTHING + 1)
    halves = [*vision.parameters(), *model.visual_projection.parameters()]
    heads = [*whole.parameters(), *cell.parameters()]
    rate = recipe["learning_rate"]
    groups = [{"params": halves, "lr": rate}, {"params": heads, "lr": 5 * rate}]
    optimizer = torch.optim.AdamW(groups, weight_decay=0.02, fused=True)
    schedule, log = warm_cosine(optimizer, recipe["picture_steps"]), Log(25)
    wholes = torch.stack([told(graph) for graph in scenes.graphs])
    patches = torch.stack([cells(graph, side) for graph in scenes.graphs])
    generator = torch.Generator().manual_seed(4)
    for step in range(1, recipe["picture_steps"] + 1):
        rows = torch.randint(len(wholes), (recipe["batch_size"],), generator=generator)
        states = vision(soften(to_pixels(scenes.pictures[rows.numpy()]), generator))
        embedded = normalize(model.visual_projection(states.pooler_output), dim=-1)
        apart = (whole(8 * embedded) - wholes[rows]).square().sum(1).mean()
        local = cross_entropy(cell(states.last_hidden_state[:, 1:]).flatten(0, 1), patches[rows].flatten())
        descend(apart + local, [*halves, *heads], optimizer, schedule)
        log(step, whole=apart.detach(), cell=local.detach())


@torch.no_grad()
def pooled(model: CLIPModel, pictures: np.ndarray) -> Tensor:
    """Return what the picture half tells of pictures before its projection, (N, W)."""
    parts = np.array_split(pictures, max(1, len(pictures) // 100))
    return torch.cat([model.vision_model(to_pixels(part)).pooler_output for part in parts])


def swap_of(caption: SceneCaption, scene: SceneGraph, rng: np.random.Generator) -> tuple[str, bool]:
    """Return the caption with a swap in it, and whether it is wrong of the scene."""
    negative = swapped(caption.told, rng)
    if negative is None:
        return "", False
    return negative.sentence, not SceneCaption("", negative.scene).fits(scene)


def learn_words(model: CLIPModel, tokenizer: CLIPTokenizer, scenes: Scenes, recipe: dict) -> None:
    """Teach text half and projections which caption fits a picture, and that its swap does not."""
    seen = pooled(model.eval(), scenes.pictures)
    learned = [p for name, p in model.named_parameters() if not name.startswith("vision_model")]
    optimizer = torch.optim.AdamW(learned, recipe["learning_rate"], weight_decay=0.02, fused=True)
    schedule, log, rng = warm_cosine(optimizer, recipe["steps"]), Log(25), np.random.default_rng(4)
    each = recipe["each"]
    for step in range(1, recipe["steps"] + 1):
        kind = "sentence" if rng.random() < recipe["whole"] * step / recipe["steps"] else "relation"
        rows = rng.integers(0, len(seen), recipe["batch_size"])
        graphs = [scenes.graphs[row] for row in rows for _ in range(each)]
        captions = [caption_of(graph, kind, rng) for graph in graphs]
        swaps, wrong = zip(*(swap_of(*both, rng) for both in zip(captions, graphs, strict=True)), strict=True)
        ids = tokens(tokenizer, [*(caption.text for caption in captions), *swaps])
        texts = normalize(model.get_text_features(ids).pooler_output, dim=-1)
        own, other = texts.chunk(2)
        pictures, scale = normalize(model.visual_projection(seen[rows]), dim=-1), model.logit_scale.exp()
        nearer = ((own - other) * pictures.repeat_interleave(each, 0)).sum(-1)[torch.tensor(wrong)]
        among = contrastive(
            own[::each] @ pictures.T * scale, scene_positives(captions[::each], graphs[::each])
        )
        swap = softplus(-nearer * scale).mean()
        descend(among + recipe["swap"] * swap, learned, optimizer, schedule)
        model.logit_scale.data.clamp_(max=4.0)
        log(step, among=among.detach(), swap=swap.detach(), right=(nearer > 0).float().mean())
        if step % SAVE_EVERY == 0 or step == recipe["steps"]:
            print("unseen", own_over_swapped(model, tokenizer), flush=True)
            save(model, tokenizer, outputs() / "structure_clip")


@torch.no_grad()
def own_over_swapped(model: CLIPModel, tokenizer: CLIPTokenizer) -> float:
    """Return how often an unseen picture is nearer to its whole sentence than to the swapped one."""
    scenes, rng = Scenes.of("test"), np.random.default_rng(0)
    swaps = [swapped(graph, rng) for graph in scenes.graphs]
    kept = [row for row, swap in enumerate(swaps) if swap is not None]
    image = normalize(model.visual_projection(pooled(model, scenes.pictures[kept])), dim=-1)
    own = tokens(tokenizer, [sentence_of(scenes.graphs[row]) for row in kept])
    other = tokens(tokenizer, [swap.sentence for swap in swaps if swap is not None])
    near, far = (
        (image * normalize(model.get_text_features(ids).pooler_output, dim=-1)).sum(-1)
        for ids in (own, other)
    )
    return float((near > far).float().mean())


def main() -> None:
    """Train by steps; print how often unseen pictures are nearer to their sentence than to its swap."""
    recipe = start("structure_clip", threads=1)
    first = next(path for path in (outputs() / "clip", model_folder() / "clip") if path.is_dir())
    model, tokenizer = (
        CLIPModel.from_pretrained(first, dtype=torch.float32),
        CLIPTokenizer.from_pretrained(first),
    )
    scenes = Scenes.of("train")
    learn_pictures(model, scenes, recipe)
    learn_words(model, tokenizer, scenes, recipe)


if __name__ == "__main__":
    main()
