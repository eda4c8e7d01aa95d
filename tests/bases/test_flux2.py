"""FLUX.2 Klein as a base: diffusers' pictures, tokens in joint attention, and models that are others."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, Flux2KleinPipeline, Flux2Transformer2DModel
from diffusers.models.transformers.transformer_flux2 import Flux2Attention
from torch import Tensor

from graphcond.adapters import LoraInjector, PeftInjector, PromptTokenInjector
from graphcond.bases import Flux2Base, Flux2Config, StableDiffusionConfig
from graphcond.bases.base_files import base_files, copy_files, write_index
from graphcond.bases.flux2 import PICTURE
from graphcond.bases.joint_weights import among_tokens
from graphcond.bases.phrases import phrase_states
from graphcond.bases.sites import filled
from graphcond.errors import InputError, Notice
from graphcond.guidance import stacked
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.recipe import parse_recipe
from graphcond.signals import GraphTokens
from tests.builders import FEATURE_WIDTH, recipe_values, some_features
from tests.typecheck import unchecked

TOKENS = 64
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def base(flux2_folder: Path) -> Flux2Base:
    return Flux2Base.from_pretrained(str(flux2_folder), tokens=TOKENS)


# What diffusers draws


@pytest.mark.parametrize("options", [{}, {"guidance_scale": 1.0}, {"sigmas": [1.0, 0.7, 0.2]}])
def test_a_picture_without_graph_is_that_of_diffusers(
    flux2_folder: Path, base: Flux2Base, options: dict[str, Any]
) -> None:
    pipe = GraphPipeline(GraphModel(base, [], feature_width=FEATURE_WIDTH))
    assert pipe.components["transformer"] is base.transformer
    theirs = Flux2KleinPipeline.from_pretrained(str(flux2_folder))
    theirs.set_progress_bar_config(disable=True)
    given = {"num_inference_steps": 3, "guidance_scale": 4.0, "height": 64, "width": 96} | options
    given |= {"output_type": "np"}
    wanted = theirs(prompt="a star", max_sequence_length=TOKENS, generator=torch.manual_seed(7), **given)
    found = pipe("a star", generator=torch.manual_seed(7), **given)
    assert wanted.images.std() > 0.05
    assert abs(found.images - wanted.images).max() < 1e-5


@torch.no_grad()
def test_pictures_become_the_latents_of_diffusers(flux2_folder: Path, base: Flux2Base) -> None:
    pixels = torch.rand(2, 3, 64, 32) * 2 - 1
    theirs = Flux2KleinPipeline.from_pretrained(str(flux2_folder))
    found = base.encode_pictures(pixels)
    torch.testing.assert_close(found.mean, theirs._encode_vae_image(pixels, None), atol=1e-5, rtol=1e-4)
    spread = theirs.vae.bn.running_var.add(theirs.vae.config.batch_norm_eps).sqrt().view(1, -1, 1, 1)
    wanted = theirs._patchify_latents(theirs.vae.encode(pixels).latent_dist.std)
    torch.testing.assert_close(found.std * spread, wanted, atol=1e-5, rtol=1e-4)


# Prompts


def test_prompts_are_messages_of_a_user_and_their_words_have_spans(base: Flux2Base) -> None:
    prompt = "a user's star"  # the template says 'user', too
    ((ids,), (spans,)) = base.encode_prompt([prompt]).ids, base.token_spans([prompt])
    assert base.tokenizer.decode(ids).startswith(
        f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant"
    )
    assert [prompt[start:end] for start, end in spans.tolist() if end] == list(prompt)


def test_long_prompts_are_cut_and_say_so(base: Flux2Base) -> None:
    long = "a very long sentence about stars and the sea " * 3
    (cut,) = base.cut_prompts(["a star", long, long])
    assert (cut.prompt, cut.kept) == (long, long[: int(base.token_spans([long]).max())])
    assert cut.tokens > TOKENS > len(cut.kept) > 40


def test_words_of_the_template_are_no_words_of_a_phrase(base: Flux2Base) -> None:
    states, known = phrase_states(base, ["star", "user", ""])
    assert known.tolist() == [True, True, False]
    last = int(base.token_spans(["star"])[0, :, 1].argmax())
    torch.testing.assert_close(states[0], base.encode_prompt(["star"]).hidden[0, last])


# Tokens of a graph


@torch.no_grad()
def test_the_order_of_tokens_behind_the_prompt_does_not_matter(base: Flux2Base) -> None:
    given = base.inputs(torch.randn(1, 16, 4, 6), torch.tensor([400.0]), base.encode_prompt(["a star"]))
    tokens = torch.randn(1, 5, base.facts.token_width)
    one, other = (
        base.denoise(given.with_tokens(some, None)) for some in (tokens, tokens[:, torch.randperm(5)])
    )
    torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)
    assert (one - base.denoise(given)).abs().max() > 1e-4


@torch.no_grad()
@pytest.mark.parametrize("beside", [False, True])
def test_a_sentence_in_the_prompts_place_is_the_prompt(base: Flux2Base, beside: bool) -> None:
    texts = base.encode_prompt(["a star", "a tree by the sea"])
    sample, time = torch.randn(1, 16, 4, 6), torch.tensor([400.0])
    plain, other = (base.inputs(sample, time, texts.select(torch.tensor([row]))) for row in (0, 1))
    signal = GraphTokens(other.context, torch.ones(1, TOKENS, dtype=torch.bool))
    shown = PromptTokenInjector(place="replace").apply(plain, signal)
    assert shown.sentences == 2
    if beside:  # as a branch of guidance, beside one with tokens of another condition
        tokens = GraphTokens(torch.randn(1, 3, base.facts.token_width), torch.ones(1, 3, dtype=torch.bool))
        found = base.denoise(stacked([shown, PromptTokenInjector().apply(plain, tokens)]))
        alone = base.denoise(PromptTokenInjector().apply(plain, tokens))
        torch.testing.assert_close(found[1:], alone, atol=1e-5, rtol=1e-4)
        found = found[:1]
    else:
        found = base.denoise(shown)
    torch.testing.assert_close(found, base.denoise(other), atol=1e-5, rtol=1e-4)


def test_tokens_read_each_other_where_they_show() -> None:
    rows = [[1, 1, 1, 1], [1, 1, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 1], [0, 0, 0, 0]]
    everywhere, left, inside, right, nowhere = range(5)
    found = among_tokens(torch.tensor(rows, dtype=torch.float32)[None])[0]
    assert found[:, everywhere].tolist() == [1, 1, 1, 1, 0]
    assert found[:, left].tolist() == [0, 1, 1, 0, 0]
    assert found[:, inside].tolist() == [0, 0, 0.5, 0, 0]
    assert found[:, right].tolist() == [0, 0, 0, 1, 0]
    assert not found[:, nowhere].any()


@torch.no_grad()
def test_a_token_reaches_no_place_from_which_it_is_hidden(base: Flux2Base) -> None:
    """Seen where the picture cannot carry it: at a block's first attention."""
    given = base.inputs(torch.randn(1, 16, 4, 6), torch.tensor([400.0]), base.encode_prompt(["a star"]))
    weight = torch.ones(1, TOKENS + 1, 4, 6)
    weight[:, -1, :, 3:] = 0
    seen: list[Tensor] = []
    site = base.sites("block")["transformer_blocks.1"]
    handle = site.attach(lambda features: seen.append(features.unflatten(1, (4, 6))))
    for scale in (1.0, -1.0):
        token = scale * torch.ones(1, 1, base.facts.token_width)
        base.denoise(replace(given.with_tokens(token, None), context_weight=weight))
    handle.remove()
    changed = (seen[0] - seen[1]).abs().amax((0, 1, 3))
    assert (changed[:3] > 1e-4).all()
    assert (changed[3:] == 0).all()


def test_the_one_in_the_package_has_its_own_number_of_tokens() -> None:
    base = Flux2Base.from_pretrained("tiny-dit")
    assert base.facts.token_count == 48
    assert Flux2Base.from_pretrained("tiny-dit", tokens=512).facts.token_count == 48


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"tokens": 10}, "base: tokens: expected greater than or equal to 16, got 10"),
        ({"embedded_guidance": -1.0}, "base: embedded_guidance: "),
        ({"attention": "xformers"}, "base: attention: expected 'auto' or 'sdpa', got 'xformers'"),
    ],
)
def test_settings_are_checked_in_python_too(setting: dict[str, Any], said: str) -> None:
    with unchecked(), pytest.raises(InputError) as caught:
        Flux2Base.from_pretrained("tiny-dit", **setting)
    assert said in str(caught.value)


# Other models


def changed(folder: Path, into: Path, **files: dict[str, Any]) -> Path:
    """A copy with other values in the configs of its parts."""
    new = Path(shutil.copytree(folder, into))
    for part, values in files.items():
        name = "model_index" if part == "model_index" else f"{part}/config"
        file = new / f"{name}.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))
    return new


OTHERS: dict[str, dict[str, Any]] = {
    "is a FLUX.1 model": {
        "model_index": {"_class_name": "FluxPipeline"},
        "transformer": {"_class_name": "FluxTransformer2DModel"},
        "text_encoder": {"model_type": "clip_text_model"},
    },
    "is a FLUX.2 dev model": {
        "model_index": {"_class_name": "Flux2Pipeline"},
        "text_encoder": {"model_type": "mistral3"},
    },
    "is a FLUX.2 Klein KV model": {"model_index": {"_class_name": "Flux2KleinKVPipeline"}},
}


@pytest.mark.parametrize("said", OTHERS)
def test_another_flux_is_named(flux2_folder: Path, tmp_path: Path, said: str) -> None:
    folder = str(changed(flux2_folder, tmp_path / "other", **OTHERS[said]))
    with pytest.raises(InputError, match=said):
        Flux2Config(model=folder).facts()
    with pytest.raises(InputError, match=said):
        Flux2Base.from_pretrained(folder)


def test_klein_9b_is_read_as_klein_4b_is(flux2_folder: Path, tmp_path: Path) -> None:
    sizes = {
        "num_layers": 8,
        "num_single_layers": 24,
        "num_attention_heads": 32,
        "joint_attention_dim": 12_288,
    }
    facts = Flux2Config(model=str(changed(flux2_folder, tmp_path / "9b", transformer=sizes))).facts()
    assert facts is not None
    assert facts.token_width == 12_288


def test_a_model_of_another_kind_is_told_which(flux2_folder: Path, sd_folder: Path) -> None:
    with pytest.raises(InputError, match=r"is a FLUX.2 Klein model.* Set base.kind to flux2"):
        StableDiffusionConfig(model=str(flux2_folder)).check()
    with pytest.raises(InputError, match=r"is a Stable Diffusion .* Set base.kind to stable_diffusion"):
        Flux2Config(model=str(sd_folder)).check()


def test_a_tokenizer_without_chat_template_is_named(flux2_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(flux2_folder, tmp_path / "other"))
    (folder / "tokenizer/chat_template.jinja").unlink()
    with pytest.raises(InputError, match="no chat template"):
        Flux2Base.from_pretrained(str(folder))


MISFITS: dict[str, dict[str, Any]] = {
    "min-SNR weights are not defined for a base with flow matching": {"training": {"min_snr_gamma": 5.0}},
    "'controlnet' needs sites of the kind encoder_level, the base 'flux2' has block, joint_attention": {
        "data": {"kind": "scenes", "resolution": 64},
        "conditions": [
            {
                "name": "scene",
                "sampler": {"kind": "scene_triples"},
                "encoder": {"kind": "layout"},
                "injector": {"kind": "controlnet"},
            }
        ],
    },
    "guidance: embedded: it is an input of the base's denoiser; set base.embedded_guidance": {
        "guidance": {"embedded": 3.5}
    },
    "base.attention: expected 'auto' or 'sdpa', got 'xformers'": {"base": {"attention": "xformers"}},
}


@pytest.mark.parametrize("said", MISFITS)
def test_settings_of_other_bases_are_refused(flux2_folder: Path, said: str) -> None:
    values = recipe_values(flux2_folder, base={"kind": "flux2", "model": str(flux2_folder)})
    changes = MISFITS[said]
    values |= changes | {"base": values["base"] | changes.get("base", {})}
    with pytest.raises(InputError) as caught:
        parse_recipe(values)
    assert said in str(caught.value)


def test_a_scheduler_for_epsilon_is_refused(flux2_folder: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(flux2_folder, tmp_path / "other"))
    DDIMScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(InputError, match=r"'flux2' predicts flow, the scheduler .* for epsilon"):
        parse_recipe(recipe_values(folder, base={"kind": "flux2", "model": str(folder)}))
    with pytest.raises(InputError, match="expected one for flow matching, got DDIMScheduler"):
        Flux2Base.from_pretrained(str(folder))


# Distilled models


@pytest.mark.parametrize(
    "files", [{"model_index": {"is_distilled": True}}, {"transformer": {"guidance_embeds": True}}]
)
def test_a_distilled_model_draws_with_text_scale_one_alone(
    flux2_folder: Path, tmp_path: Path, files: dict[str, Any]
) -> None:
    config = Flux2Config(model=str(changed(flux2_folder, tmp_path / "distilled", **files)), tokens=TOKENS)
    facts = config.facts()
    assert facts is not None
    assert facts.distilled
    recipe = recipe_values(flux2_folder, base=config.model_dump())
    with pytest.raises(InputError, match=r"guidance.text: the scale 7.5 needs a prediction without text"):
        parse_recipe(recipe | {"guidance": {"text": 7.5}})
    parse_recipe(recipe | {"guidance": {"text": 1.0, "graph": {"neighbors": 2.0}}})
    if "transformer" in files:  # its weights are not those of the folder
        return
    pipe = GraphPipeline(GraphModel(config.build(device=CPU), [], feature_width=FEATURE_WIDTH))
    with pytest.raises(InputError, match="guidance_scale: the scale 4 "):
        pipe("a star", guidance_scale=4, num_inference_steps=1)
    assert pipe("a star", guidance_scale=1, num_inference_steps=1, output_type="np").images.shape[0] == 1
    graphs = GraphPipeline(
        GraphModel.build(parse_recipe(recipe | {"guidance": {"text": 1.0}}), feature_width=24)
    )
    drawn = {"neighbors": some_features(), "num_inference_steps": 2, "output_type": "np"}
    with pytest.warns(Notice, match="takes a second prediction") as said:
        graphs("a star", graph_guidance_scale=2.0, **drawn)
    assert len(said) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error", Notice)
        graphs("a star", graph_guidance_scale=1.0, **drawn)


def test_what_was_trained_over_the_undistilled_model_draws_over_the_distilled_one(
    flux2_folder: Path, tmp_path: Path
) -> None:
    base = {"kind": "flux2", "model": str(flux2_folder), "tokens": TOKENS}
    recipe = parse_recipe(recipe_values(flux2_folder, base=base, guidance={"text": 4.0}))
    GraphModel.build(recipe, feature_width=FEATURE_WIDTH).save_pretrained(tmp_path / "model")
    distilled = changed(flux2_folder, tmp_path / "distilled", model_index={"is_distilled": True})
    with pytest.warns(Notice, match=r"guidance\.text is 1 in place of 4, since the base is distilled"):
        pipe = GraphPipeline.from_pretrained(tmp_path / "model", base=distilled)
    assert pipe.model.base.facts.distilled
    assert pipe("a star", some_features(), num_inference_steps=1, output_type="np").images.shape[0] == 1


@torch.no_grad()
def test_a_denoiser_is_told_its_guidance(base: Flux2Base) -> None:
    parts = {**base.components, "scheduler": base.scheduler, "tokens": TOKENS}
    torch.manual_seed(0)
    parts["transformer"] = transformer = Flux2Transformer2DModel.from_config(
        {**base.transformer.config, "guidance_embeds": True}
    )
    given = base.inputs(torch.randn(1, 16, 4, 6), torch.tensor([400.0]), base.encode_prompt(["a star"]))
    drawn = [Flux2Base(**parts, embedded_guidance=scale).denoise(given) for scale in (1.0, 4.0)]
    assert transformer.time_guidance_embed.guidance_embedder is not None
    assert (drawn[0] - drawn[1]).abs().max() > 1e-5


def test_a_copy_of_a_distilled_model_is_distilled(flux2_folder: Path, tmp_path: Path) -> None:
    source = changed(flux2_folder, tmp_path / "distilled", model_index={"is_distilled": True})
    copy_files(source, base_files(Flux2Config, source), tmp_path / "copy")
    write_index(Flux2Config, tmp_path / "copy", source)
    facts = Flux2Config(model=str(tmp_path / "copy")).facts()
    assert facts is not None
    assert facts.distilled
    assert Flux2KleinPipeline.from_pretrained(tmp_path / "copy").config.is_distilled
    assert Flux2Base.from_pretrained(str(tmp_path / "copy")).facts.distilled  # its chat template is there too


# Adapters


@torch.no_grad()
def test_what_is_added_beside_a_joint_attention_is_added_to_the_picture(base: Flux2Base) -> None:
    """To what it has read, before the output projection; the queries are those before the rotation."""
    torch.manual_seed(0)
    text, picture, references = 5, 4, 3
    for site in base.sites("joint_attention").values():
        attention, added = site.module, torch.randn(2, picture, site.width)
        streams = isinstance(attention, Flux2Attention)
        given = torch.randn(2, (0 if streams else text) + picture + references, site.width)
        other = {"encoder_hidden_states": torch.randn(2, text, site.width)} if streams else {}
        seen: list[Tensor] = []
        assert site.attach is not None
        handle = site.attach(lambda queries, seen=seen, added=added: seen.append(queries) or added)
        with filled({PICTURE: slice(text, text + picture)}):
            found = attention(given, **other)
        handle.remove()
        plain = attention(given, **other)
        if streams:
            assert torch.equal(found[1], plain[1])
            found, plain, there, out = found[0], plain[0], slice(picture), attention.to_out[0]
            queries = attention.to_q(given[:, there])
        else:
            there, out = slice(text, text + picture), attention.to_out
            queries = attention.to_qkv_mlp_proj(given[:, there])[..., : site.width]
        wanted = torch.zeros_like(plain)
        wanted[:, there] = added @ out.weight[:, : site.width].T
        torch.testing.assert_close(found - plain, wanted, atol=1e-5, rtol=1e-4)
        heads = attention.norm_q(queries.unflatten(-1, (site.heads, -1))).flatten(2)
        torch.testing.assert_close(seen[0], heads)


@pytest.mark.parametrize("injector", [LoraInjector(rank=2), PeftInjector(method="lokr", settings={"r": 2})])
def test_adapters_reach_every_block(base: Flux2Base, injector: LoraInjector | PeftInjector) -> None:
    injector.inject(base)
    injector.eject()
    adapted = {name.rpartition(".lo")[0].replace("/", ".") for name in injector.trainable_parameters()}
    double, single = ("to_q", "to_k", "to_v", "to_out.0"), ("to_qkv_mlp_proj", "to_out")
    transformer = base.transformer
    assert adapted == {
        *(
            f"transformer_blocks.{n}.attn.{one}"
            for n in range(len(transformer.transformer_blocks))
            for one in double
        ),
        *(
            f"single_transformer_blocks.{n}.attn.{one}"
            for n in range(len(transformer.single_transformer_blocks))
            for one in single
        ),
    }
