"""Train a small BERT on the captions of both worlds: masked words, predicted from the rest."""

import numpy as np
import torch
from common import Log, descend, outputs, start, warm_cosine
from draw import scene_world
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import draw_caption, vocabulary
from graphcond.worlds.scene_captions import draw_caption as draw_scene_caption

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
SHARES = [0.4, 0.2, 0.2, 0.2, 0.0]
SCENE_SHARES = (0.45, 0.3, 0.2, 0.05, 0.0)
IGNORED = -100


def tokenizer_of(positions: int) -> BertTokenizer:
    """Return a WordPiece tokenizer in which every word of both worlds is one piece."""
    vocab = {word: place for place, word in enumerate([*SPECIAL, *vocabulary()])}
    return BertTokenizer(vocab=vocab, do_lower_case=True, model_max_length=positions)


def build(recipe: dict, tokenizer: BertTokenizer) -> BertForMaskedLM:
    """Build an untrained BERT."""
    return BertForMaskedLM(
        BertConfig(
            vocab_size=len(tokenizer),
            hidden_size=recipe["width"],
            num_hidden_layers=recipe["layers"],
            num_attention_heads=recipe["heads"],
            intermediate_size=recipe["hidden"],
            max_position_embeddings=recipe["positions"],
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def texts(count: int, rng: np.random.Generator) -> list[str]:
    """Return captions, half of each world."""
    world = scene_world("train")
    scenes = [world.graph(int(row)) for row in rng.integers(0, len(world), count // 2)]
    pairs = rng.integers(0, (len(ARTISTS), len(SUBJECTS)), (count - len(scenes), 2))
    titles = [draw_caption(ARTISTS[a], SUBJECTS[s], SHARES, rng).text for a, s in pairs]
    return [*titles, *(draw_scene_caption(scene, rng, SCENE_SHARES).text for scene in scenes)]


def mask(
    ids: Tensor, tokenizer: BertTokenizer, share: float, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return ids with some words hidden, and the words to name (`IGNORED` elsewhere).

    Three of ten words to name stay in sight, more than BERT's one: no sentence tells "left" from "right", so
    only naming words that are seen keeps their states apart.
    """
    words = ids >= len(SPECIAL)
    named = words & (torch.rand(ids.shape, generator=generator) < share)
    hidden = named & (torch.rand(ids.shape, generator=generator) < 0.7)
    return ids.masked_fill(hidden, tokenizer.mask_token_id), ids.masked_fill(~named, IGNORED)


def main() -> None:
    """Train by steps; print the share of words that are named right."""
    recipe = start("bert", threads=1)
    tokenizer = tokenizer_of(recipe["positions"])
    model = build(recipe, tokenizer)
    rng, generator = np.random.default_rng(3), torch.Generator().manual_seed(3)
    optimizer = torch.optim.AdamW(model.parameters(), recipe["learning_rate"], weight_decay=0.01, fused=True)
    schedule, log = warm_cosine(optimizer, recipe["steps"]), Log(100)
    captions = texts(recipe["captions"], rng)
    for step in range(1, recipe["steps"] + 1):
        chosen = [captions[row] for row in rng.integers(0, len(captions), recipe["batch_size"])]
        batch = tokenizer(chosen, padding="longest", truncation=True, return_tensors="pt")
        ids, hidden = mask(batch.input_ids, tokenizer, recipe["hide"], generator)
        output = model(input_ids=ids, attention_mask=batch.attention_mask, labels=hidden)
        descend(output.loss, model.parameters(), optimizer, schedule)
        right = (output.logits.argmax(-1) == hidden)[hidden != IGNORED].float().mean()
        log(step, loss=output.loss.detach(), right=right)
    torch.manual_seed(0)
    whole = model.bert.__class__(
        model.config
    )  # with a pooler, untrained, so that plain loading warns of nothing
    whole.load_state_dict(model.bert.state_dict(), strict=False)
    whole.eval().half().save_pretrained(outputs() / "bert")
    tokenizer.save_pretrained(outputs() / "bert")
    print(f"parameters {sum(p.numel() for p in whole.parameters()):,} vocabulary {len(tokenizer)}")


if __name__ == "__main__":
    main()
