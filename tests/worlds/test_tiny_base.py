"""The embedded tiny base loads from its folder as diffusers does, and draws named styles."""

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import BertModel, BertTokenizer, CLIPModel, CLIPTextModel, CLIPTokenizer

from graphcond.evaluation import match_scene
from graphcond.evaluation.scene_world import OracleDetector
from graphcond.features.clip import ClipExtractor
from graphcond.samplers.hard_negatives import swapped
from graphcond.scene_graph import list_of, name_of, sentence_of
from graphcond.worlds import SceneWorld
from graphcond.worlds.art import ARTISTS, SUBJECTS
from graphcond.worlds.captions import SCENE_WORDS, vocabulary
from graphcond.worlds.oracle import ArtOracle

FOLDER = Path(str(files("graphcond") / "bases" / "tiny"))


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline(
        vae=AutoencoderKL.from_pretrained(FOLDER / "vae", torch_dtype=torch.float32),
        text_encoder=CLIPTextModel.from_pretrained(FOLDER / "text_encoder", dtype=torch.float32),
        tokenizer=CLIPTokenizer.from_pretrained(FOLDER / "tokenizer"),
        unet=UNet2DConditionModel.from_pretrained(FOLDER / "unet", torch_dtype=torch.float32),
        scheduler=DDIMScheduler.from_pretrained(FOLDER / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def test_draws_subjects_in_named_styles(pipeline):
    pairs = [(a, (3 * a) % len(SUBJECTS)) for a in range(len(ARTISTS))]
    prompts = [f"a {SUBJECTS[s]} by {ARTISTS[a]}" for a, s in pairs]
    generator = torch.Generator().manual_seed(0)
    pictures = pipeline(
        prompts, num_inference_steps=8, guidance_scale=2.0, generator=generator, output_type="pt"
    ).images
    assert pictures.shape == (len(pairs), 3, 64, 64)
    found = ArtOracle.load().classify(pictures * 2 - 1)
    assert (found.artist == torch.tensor([a for a, _ in pairs])).float().mean() >= 0.9
    assert (found.subject == torch.tensor([s for _, s in pairs])).float().mean() >= 0.9


def test_draws_the_shapes_that_a_caption_lists(pipeline):
    graphs = SceneWorld(seed=77, count=60).graphs
    prompts = [list_of([name_of(graph, place) for place in range(len(graph))]) for graph in graphs]
    generator = torch.Generator().manual_seed(0)
    pictures = pipeline(
        prompts, num_inference_steps=8, guidance_scale=2.0, generator=generator, output_type="pt"
    ).images
    seen = OracleDetector.load().read(pictures * 2 - 1, graphs)
    matches = [match_scene(*both) for both in zip(graphs, seen, strict=True)]
    assert np.mean([place is not None for match in matches for place in match.places]) >= 0.7
    assert np.mean([hit for match in matches for words in match.attributes for hit in words]) >= 0.6


@torch.no_grad()
def test_small_bert_reads_both_worlds_and_tells_left_from_right():
    bert, tokenizer = (part.from_pretrained(FOLDER / "bert") for part in (BertModel, BertTokenizer))
    assert all(len(tokenizer.tokenize(word)) == 1 for word in vocabulary())
    assert tokenizer.unk_token_id not in tokenizer(" ".join(vocabulary())).input_ids
    assert sum(path.stat().st_size for path in (FOLDER / "bert").iterdir()) < 600_000
    ids = tokenizer(["left of", "right of", "above of"], return_tensors="pt").input_ids
    states = torch.nn.functional.normalize(bert.float()(ids).last_hidden_state[:, 1], dim=-1)
    assert (states @ states.T).fill_diagonal_(0).max() < 0.9


def test_scheduler_ends_in_pure_noise(pipeline):
    config = pipeline.scheduler.config
    assert config.prediction_type == "v_prediction"
    assert config.timestep_spacing == "trailing"
    assert pipeline.scheduler.alphas_cumprod[-1] < 1e-6


def test_every_word_of_both_worlds_is_one_token(pipeline):
    tokenizer = pipeline.tokenizer
    assert all(len(tokenizer.tokenize(word)) == 1 for word in vocabulary())
    assert set(SCENE_WORDS.replace(".", "").split()) - {","} <= set(vocabulary())
    assert tokenizer.model_max_length == pipeline.text_encoder.config.max_position_embeddings == 48


def test_special_tokens_are_explicit(pipeline):
    config, tokenizer = pipeline.text_encoder.config, pipeline.tokenizer
    assert (config.bos_token_id, config.eos_token_id) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert config.vocab_size == len(tokenizer)


def test_text_encoder_is_the_text_half_of_clip(pipeline):
    clip = CLIPModel.from_pretrained(FOLDER / "clip", dtype=torch.float32)
    tokens = pipeline.tokenizer(["a star by zarvo"], padding="max_length", return_tensors="pt").input_ids
    with torch.no_grad():
        expected = clip.text_model(tokens).last_hidden_state
        torch.testing.assert_close(pipeline.text_encoder(tokens).last_hidden_state, expected)


@torch.no_grad()
def test_hidden_context_changes_nothing(pipeline):
    unet = pipeline.unet
    text, other = torch.randn(2, 1, 48, unet.config.cross_attention_dim)
    latents, mask = torch.randn(1, unet.config.in_channels, 8, 8), torch.ones(1, 96)
    mask[:, 48:] = 0
    plain = unet(latents, 500, text).sample
    hidden = unet(latents, 500, torch.cat([text, other], 1), encoder_attention_mask=mask).sample
    torch.testing.assert_close(plain, hidden, atol=1e-4, rtol=1e-3)


def test_folder_is_small():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 16e6


def test_structure_clip_tells_who_is_where():
    """Nearer to its own sentence than to the swapped one, more often than with CLIP (Structure-CLIP)."""
    world, rng = SceneWorld(seed=78, count=300), np.random.default_rng(0)
    swaps = [swapped(graph, rng) for graph in world.graphs]
    kept = [row for row, swap in enumerate(swaps) if swap is not None]
    pictures = [world.draw(row) for row in kept]
    right = {}
    for name in ("clip", "structure_clip"):
        clip = ClipExtractor.from_pretrained(FOLDER / name)
        seen = clip.embed_pictures(pictures)
        own, other = (
            clip.embed_texts(texts)
            for texts in ([sentence_of(world.graph(n)) for n in kept], [swaps[n].sentence for n in kept])
        )
        near, far = ((seen * text).sum(1) / np.linalg.norm(text, axis=1) for text in (own, other))
        right[name] = float((near > far).mean())
    assert right["structure_clip"] > right["clip"] + 0.05
