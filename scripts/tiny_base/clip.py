"""Train the small CLIP: text half for the denoiser, picture half for neighbours' embeddings and scores."""

from pathlib import Path

import numpy as np
import tokenizer as tokenizers
import torch
from common import Log, descend, outputs, soften, start, to_pixels, warm_cosine, warm_start
from draw import scene_world
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from transformers import CLIPConfig, CLIPImageProcessorPil, CLIPModel, CLIPTokenizer

from graphcond.scene_graph import SceneGraph
from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import Caption, draw_caption, named, vocabulary
from graphcond.worlds.scene_captions import SceneCaption
from graphcond.worlds.scene_captions import draw_caption as draw_scene_caption
from graphcond.worlds.styles import STYLES

SHARES = [0.5, 0.15, 0.15, 0.2, 0.0]
SCENE_SHARES = (0.65, 0.2, 0.15, 0.0, 0.0)
MEAN = STD = [0.5, 0.5, 0.5]


def settings_of_half(recipe: dict) -> dict:
    """Return the settings that both halves have."""
    return {
        "hidden_size": recipe["width"],
        "intermediate_size": recipe["hidden"],
        "num_attention_heads": recipe["heads"],
    }


def text_settings(recipe: dict, tokenizer: CLIPTokenizer) -> dict:
    """Return the settings of the text half; ids of special tokens are explicit."""
    return settings_of_half(recipe) | {
        "num_hidden_layers": recipe["text_layers"],
        "vocab_size": len(tokenizer),
        "max_position_embeddings": recipe["positions"],
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }


def vision_settings(recipe: dict) -> dict:
    """Return the settings of the picture half."""
    return settings_of_half(recipe) | {
        "num_hidden_layers": recipe["vision_layers"],
        "image_size": 64,
        "patch_size": recipe["patch"],
        "attention_dropout": recipe.get("dropout", 0.0),
    }


def build(recipe: dict, text: dict) -> CLIPModel:
    """Build an untrained CLIP around the settings of a text half."""
    return CLIPModel(
        CLIPConfig(
            text_config=text, vision_config=vision_settings(recipe), projection_dim=recipe["projection"]
        )
    )


def tokens(tokenizer: CLIPTokenizer, texts: list[str]) -> Tensor:
    """Return ids padded to the longest, (B, L); causal attention keeps padding from the pooled token.

    What is longer than the positions is cut, as SD cuts: a sentence of a scene of five or six objects, say.
    """
    return tokenizer(texts, padding="longest", truncation=True, return_tensors="pt").input_ids


def positives(captions: list[Caption], artists: np.ndarray, subjects: np.ndarray) -> Tensor:
    """Which picture (column) fits which caption (row), (B, B) bool."""
    facts = np.array(
        [
            (ARTISTS[a], SUBJECTS[s], STYLES[ARTISTS[a]].movement)
            for a, s in zip(artists, subjects, strict=True)
        ]
    )
    told = np.array([(c.artist or "", c.subject or "", c.movement or "") for c in captions])
    return torch.as_tensor(((told[:, None] == "") | (told[:, None] == facts[None])).all(-1))


class Words(nn.Module):
    """Names, from the state of each token, its own word and the word before: two linear heads.

    InfoNCE reads the end of a sentence alone and leaves the states of its words as they come. The denoiser
    reads these: at "circle" it should be plain that the circle is red.
    """

    def __init__(self, width: int, vocabulary: int) -> None:
        super().__init__()
        self.own, self.before = nn.Linear(width, vocabulary), nn.Linear(width, vocabulary)

    def forward(self, states: Tensor, ids: Tensor, end: int) -> Tensor:
        """Return the mean cross-entropy of both over words; states (B, L, C), ids (B, L)."""
        inside = (ids != end)[:, 1:]
        states, own, before = states[:, 1:][inside], ids[:, 1:][inside], ids[:, :-1][inside]
        return cross_entropy(self.own(states), own) + cross_entropy(self.before(states), before)


def scene_positives(captions: list[SceneCaption], scenes: list[SceneGraph]) -> Tensor:
    """Which scene (column) fits which caption (row), (B, B) bool."""
    return torch.tensor([[caption.fits(scene) for scene in scenes] for caption in captions])


def contrastive(logits: Tensor, fits: Tensor) -> Tensor:
    """InfoNCE with several positives, over texts and over pictures."""
    losses = []
    for scores, mask in ((logits, fits), (logits.T, fits.T)):
        losses.append(scores.logsumexp(1) - scores.masked_fill(~mask, -1e4).logsumexp(1))
    return torch.stack(losses).mean()


@torch.no_grad()
def retrieval(model: CLIPModel, tokenizer: CLIPTokenizer, data: dict[str, np.ndarray]) -> dict[str, float]:
    """Share of pictures whose best of the 120 named captions is right; also for its artist alone."""
    texts = [named(artist, subject).text for artist in ARTISTS for subject in SUBJECTS]
    text = normalize(model.get_text_features(tokens(tokenizer, texts)).pooler_output, dim=-1)
    image = normalize(model.get_image_features(to_pixels(data["pictures"])).pooler_output, dim=-1)
    best = (image @ text.T).argmax(1).numpy()
    artist, subject = best // len(SUBJECTS), best % len(SUBJECTS)
    right = (artist == data["artists"]) & (subject == data["subjects"])
    return {"caption": float(right.mean()), "artist": float((artist == data["artists"]).mean())}


@torch.no_grad()
def scene_retrieval(
    model: CLIPModel, tokenizer: CLIPTokenizer, scenes: np.ndarray, count: int = 200
) -> float:
    """Share of scenes whose nearest list of objects, among those of ``count`` scenes, fits them."""
    world, rng = scene_world("test"), np.random.default_rng(0)
    graphs = [world.graph(row) for row in range(count)]
    captions = [draw_scene_caption(graph, rng, (1.0, 0.0, 0.0, 0.0, 0.0)) for graph in graphs]
    ids = tokens(tokenizer, [caption.text for caption in captions])
    text = normalize(model.get_text_features(ids).pooler_output, dim=-1)
    image = normalize(model.get_image_features(to_pixels(scenes[:count])).pooler_output, dim=-1)
    best = (image @ text.T).argmax(1).tolist()
    return float(np.mean([captions[row].fits(graph) for row, graph in zip(best, graphs, strict=True)]))


def save(model: CLIPModel, tokenizer: CLIPTokenizer, folder: Path) -> None:
    """Write the model, its tokenizer and its preprocessor."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    CLIPImageProcessorPil(
        size={"shortest_edge": 64}, crop_size={"height": 64, "width": 64}, image_mean=MEAN, image_std=STD
    ).save_pretrained(folder)


class Batches:
    """Pictures of both worlds, half and half, their captions and what fits what."""

    def __init__(self, size: int) -> None:
        self.half = size // 2
        self.paintings = dict(np.load(outputs() / "train.npz"))
        self.scenes = np.load(outputs() / "scenes-train.npz")["pictures"]
        self.world = scene_world("train")

    def draw(self, rng: np.random.Generator) -> tuple[np.ndarray, list[str], Tensor]:
        """Return pictures (B, H, W, 3), texts and which picture fits which text, (B, B) bool."""
        rows = rng.integers(0, len(self.paintings["pictures"]), self.half)
        artists, subjects = self.paintings["artists"][rows], self.paintings["subjects"][rows]
        pairs = zip(artists, subjects, strict=True)
        titles = [draw_caption(ARTISTS[a], SUBJECTS[s], SHARES, rng) for a, s in pairs]
        places = rng.integers(0, len(self.scenes), self.half)
        graphs = [self.world.graph(int(place)) for place in places]
        captions = [draw_scene_caption(graph, rng, SCENE_SHARES) for graph in graphs]
        fits = torch.block_diag(
            positives(titles, artists, subjects), scene_positives(captions, graphs)
        ).bool()
        pictures = np.concatenate([self.paintings["pictures"][rows], self.scenes[places]])
        return pictures, [caption.text for caption in [*titles, *captions]], fits


def main() -> None:
    """Train by steps, print retrieval."""
    recipe = start("clip", threads=1)
    test, scenes = dict(np.load(outputs() / "test.npz")), np.load(outputs() / "scenes-test.npz")["pictures"]
    tokenizer = tokenizers.build(vocabulary(), recipe["positions"], outputs() / "clip")
    shipped = warm_start("clip")
    model = (
        CLIPModel.from_pretrained(shipped, dtype=torch.float32)
        if shipped
        else build(recipe, text_settings(recipe, tokenizer))
    )
    if model.config.text_config.vocab_size != len(tokenizer):
        raise ValueError("the vocabulary has changed: start from nothing")
    print(f"parameters {model.num_parameters():,} vocabulary {len(tokenizer)}")
    words = Words(recipe["width"], len(tokenizer))
    learned = [*model.parameters(), *words.parameters()]
    optimizer = torch.optim.AdamW(learned, recipe["learning_rate"], weight_decay=0.02, fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"]), Log(50)
    generator, rng, batches = torch.Generator(), np.random.default_rng(1), Batches(recipe["batch_size"])
    generator.manual_seed(1)
    for step in range(1, recipe["steps"] + 1):
        pictures, texts, fits = batches.draw(rng)
        pixels = soften(to_pixels(pictures), generator)
        ids = tokens(tokenizer, texts)
        output = model(input_ids=ids, pixel_values=pixels)
        named = words(output.text_model_output.last_hidden_state, ids, tokenizer.eos_token_id)
        loss = contrastive(output.logits_per_text, fits) + recipe["words"] * named
        descend(loss, model.parameters(), optimizer, schedule)
        model.logit_scale.data.clamp_(max=4.0)
        log(step, loss=loss.detach(), words=named.detach(), scale=model.logit_scale.detach().exp())
        if step % 300 == 0 or step == recipe["steps"]:
            figures = retrieval(model.eval(), tokenizer, test), scene_retrieval(model, tokenizer, scenes)
            print(*figures, flush=True)
            save(model.train(), tokenizer, outputs() / "clip")


if __name__ == "__main__":
    main()
