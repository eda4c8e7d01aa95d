from __future__ import annotations

import warnings
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from graphcond.attributed_graph import AttributedGraph
from graphcond.bases import Base, StableDiffusionConfig
from graphcond.bases.stable_diffusion_xl import StableDiffusionXLBase
from graphcond.data.dataset import GraphDataset
from graphcond.errors import Notice
from graphcond.graphs.inspect import inspect_graph, least_tokens
from graphcond.pipeline import GraphPipeline
from graphcond.training.prepare import prepare
from graphcond.training.report import Report
from tests.builders import small_model
from tests.tiny_checkpoints import write_sdxl_folder
from tests.training.toys import NODES, toy_recipe, write_graph

CPU = torch.device("cpu")
LIMIT = 77


@pytest.fixture(scope="module", params=["1.5", "XL"])
def base(request: pytest.FixtureRequest, sd_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Base:
    if request.param == "XL":
        return StableDiffusionXLBase.from_pretrained(str(write_sdxl_folder(tmp_path_factory.mktemp("xl"))))
    return StableDiffusionConfig(model=str(sd_folder)).build(device=CPU)


def test_exactly_the_prompts_whose_ends_have_no_effect_are_cut(base: Base) -> None:
    limit = base.facts.token_count
    counts = [1, limit - 3, limit - 2, limit - 1, 3 * limit]
    prompts = [" ".join(["a"] * count) for count in counts]  # a word is one token
    cut = {one.prompt: one for one in base.cut_prompts([*prompts, *prompts])}
    assert [one.tokens for one in cut.values()] == [limit + 1, 3 * limit + 2]
    for prompt in prompts:
        without_end = torch.equal(*base.encode_prompt([prompt, f"{prompt} b"]).ids)
        assert without_end == (prompt in cut or prompt == prompts[2]), "the third fills the tokens exactly"
    for one in cut.values():
        assert one.kept == prompts[2]


def test_a_pipeline_says_once_that_a_prompt_is_cut(sd_folder: Path) -> None:
    pipe = GraphPipeline(small_model(sd_folder))
    words = " ".join(["star"] * 60)
    with pytest.warns(Notice, match=r"the prompt is longer than the \d+ tokens .* '... .*st") as caught:
        pipe(words, num_inference_steps=1, output_type="latent", generator=torch.Generator().manual_seed(0))
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipe.warn_of_cut([words, "a star"])
    with pytest.warns(Notice, match="2 of 3 prompts are longer"):
        pipe.warn_of_cut([words, "a star", f"{words} and another"])


def test_training_counts_the_captions_that_are_cut(
    sd_folder: Path, clip_folder: Path, tmp_path: Path
) -> None:
    graph = write_graph(tmp_path)
    texts = ["a star over the sea " * 20 if node < 3 else "a star" for node in range(NODES)]
    texts[1] += "at night"
    graph = replace(graph, nodes=replace(graph.nodes, texts=texts))
    console = Console(file=StringIO(), width=300)
    prepare(toy_recipe(sd_folder, clip_folder), CPU, Report(console), data=GraphDataset(graph))
    said = console.file.getvalue()
    assert said.count("note (training): 2 of 3 prompts are longer") == 1
    assert "note (validation)" not in said, "none of those is cut"


def with_texts(graph: AttributedGraph, text: str) -> AttributedGraph:
    return replace(graph, nodes=replace(graph.nodes, texts=[text, *["a star"] * (NODES - 1)]))


def test_inspect_counts_the_texts_that_are_surely_cut(tmp_path: Path) -> None:
    graph = write_graph(tmp_path)
    report = inspect_graph(with_texts(graph, "star " * (LIMIT - 2)))
    assert (report.long_texts, report.longest_text) == (0, LIMIT)
    report = inspect_graph(with_texts(graph, "star, " * LIMIT))
    assert (report.long_texts, report.longest_text) == (1, 2 + 2 * LIMIT)


@pytest.mark.parametrize("text", ["", "don't", "It's 1999!!", "snake_case ½ – «ü»", "a\n\tb", "日本語 🎨🎨"])
def test_the_least_number_of_tokens_is_never_too_large(text: str, base: Base) -> None:
    tokens = base.encode_prompt([text])
    assert tokens.present is not None
    assert least_tokens(text) <= int(np.asarray(tokens.present.sum()))
