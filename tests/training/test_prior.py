"""Pictures without a graph among the samples."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from graphcond.attributed_graph import AttributedGraph
from graphcond.errors import InputError
from graphcond.io.cache import UNFINISHED
from graphcond.io.locks import claimed
from graphcond.recipe import Recipe
from graphcond.training import prior as prior_module
from graphcond.training import step as step_module
from graphcond.training.prior import prior_pictures, read_prior
from tests.training.toys import Toy, prepare_toy, run_toy, same, trained_weights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three green pictures with prompts."""
    lines = []
    for number in range(3):
        Image.new("RGB", (64, 64), (0, 200 + number, 0)).save(tmp_path / f"{number}.png")
        lines.append(json.dumps({"file_name": f"{number}.png", "text": f"a cup {number}"}))
    (tmp_path / "metadata.jsonl").write_text("\n".join(lines))
    return tmp_path


def toy_with(toy: Toy, prior: dict[str, Any], **changes: Any) -> Recipe:
    return toy(**{"lora": {"rank": 2}, "prior": prior, "batch_size": 8} | changes)


def test_samples_are_drawn_in_their_share_and_have_their_text_and_no_graph(
    toy: Toy, toy_graph: AttributedGraph, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy_with(toy, {"path": str(folder), "share": 0.4}, steps=12)
    prepared, _ = prepare_toy(recipe, toy_graph)
    assert [rows.tolist() for rows in prepared.train.prior] == [[11, 12, 13]]
    assert (len(prepared.train), len(prepared.train.pictures)) == (11, 14)
    green = prepared.train.batch(np.array([0]), torch.device("cpu"), shown=np.array([12])).latents.mean
    seen: list[tuple[bool, bool]] = []
    loss = step_module.denoising_loss

    def noted(model: Any, latents: Any, text: Any, contexts: Any, **options: Any) -> torch.Tensor:
        encoded = prepared.train.pictures.latents[0][11:, :, 0].reshape(6, -1)
        for mean, has_graph in zip(latents.mean, contexts["neighbors"].has_graph.tolist(), strict=True):
            near = np.abs(encoded - mean.flatten().numpy()).max(1).min() < 1e-5
            seen.append((bool(near), has_graph))
        return loss(model, latents, text, contexts, **options)

    monkeypatch.setattr(step_module, "denoising_loss", noted)
    run_toy(recipe, toy_graph, tmp_path / "run")
    assert len(seen) == 96
    assert 0.25 < sum(prior for prior, _ in seen) / len(seen) < 0.55
    assert not any(has_graph for prior, has_graph in seen if prior)
    assert green.shape == (1, 4, 8, 8)


def test_the_weight_counts_and_a_run_goes_on(
    toy: Toy, toy_graph: AttributedGraph, folder: Path, tmp_path: Path
) -> None:
    light, heavy = ({"path": str(folder), "weight": weight} for weight in (1.0, 5.0))
    whole = run_toy(toy_with(toy, light, steps=4), toy_graph, tmp_path / "whole")
    run_toy(toy_with(toy, light, steps=2), toy_graph, tmp_path / "half")
    again = run_toy(toy_with(toy, light, steps=4), toy_graph, resume=tmp_path / "half")
    assert same(trained_weights(whole), trained_weights(again))
    other = run_toy(toy_with(toy, heavy, steps=4), toy_graph, tmp_path / "heavy")
    assert not same(trained_weights(whole), trained_weights(other))


def test_the_base_draws_them_once(
    toy: Toy, toy_graph: AttributedGraph, empty_cache: None, tmp_path: Path
) -> None:
    recipe = toy_with(toy, {"generate": 3, "prompts": ["a cup", "a star"]})
    prepared, _ = prepare_toy(recipe, toy_graph)
    (folder,) = _drawn(tmp_path)
    assert [text for _, text in read_prior(folder)] == ["a cup", "a star", "a cup"]
    stamps = [path.stat().st_mtime_ns for path, _ in read_prior(folder)]
    again, _ = prepare_toy(recipe, toy_graph)
    assert _drawn(tmp_path) == [folder]
    assert [path.stat().st_mtime_ns for path, _ in read_prior(folder)] == stamps
    assert prepared.train.identity == again.train.identity


def test_a_process_waits_for_another_that_draws_them(
    toy: Toy, toy_graph: AttributedGraph, empty_cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = toy_with(toy, {"generate": 2, "prompts": ["a cup"]})
    prepared, _ = prepare_toy(recipe, toy_graph)
    (folder,) = _drawn(tmp_path)
    away = folder.rename(tmp_path / "away")
    monkeypatch.setattr(prior_module, "GraphPipeline", None)  # drawing would fail
    assert recipe.training.prior is not None
    with ThreadPoolExecutor(1) as pool:
        with claimed(tmp_path / "cache" / UNFINISHED / folder.name / "whole.lock"):
            found = pool.submit(prior_pictures, recipe.training.prior, prepared.model, ())
            time.sleep(0.1)  # a start for a process that would not wait
            away.rename(folder)
        assert found.result() == read_prior(folder)
    assert not (tmp_path / "cache" / UNFINISHED / folder.name).exists()


def test_a_trained_base_goes_on_with_what_it_drew_before(
    toy: Toy, toy_graph: AttributedGraph, empty_cache: None, tmp_path: Path
) -> None:
    prior = {"generate": 2, "prompts": ["a cup"]}
    run_toy(toy_with(toy, prior, steps=1, train_base=True, lora=None), toy_graph, tmp_path / "run")
    recipe = toy_with(toy, prior, steps=2, train_base=True, lora=None)
    run_toy(recipe, toy_graph, resume=tmp_path / "run")
    assert len(_drawn(tmp_path)) == 1
    start = str(tmp_path / "run" / "final")
    further = toy_with(toy, prior, steps=1, train_base=True, lora=None, start_from=start)
    run_toy(further, toy_graph, tmp_path / "further")
    assert len(_drawn(tmp_path)) == 1


def _drawn(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "cache" / "prior").glob("drawn-*"))


def test_without_a_base_that_learns_it_is_refused(toy: Toy, toy_graph: AttributedGraph, folder: Path) -> None:
    with pytest.raises(InputError, match="only conditions are trained"):
        prepare_toy(toy(prior={"path": str(folder)}), toy_graph)


@pytest.mark.parametrize(
    ("prior", "problem"),
    [
        ({}, "either `path` or `generate`"),
        ({"path": "a", "generate": 3}, "either `path` or `generate`"),
        ({"path": "a", "prompts": ["b"]}, "have their own"),
        ({"generate": 3, "share": 1.0}, "less than 1"),
    ],
)
def test_settings_that_cannot_be_are_refused(toy: Toy, prior: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        toy_with(toy, prior)


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("", "the file names no pictures"),
        ('{"file_name": "a.png"}', "expected a picture and its prompt"),
        ('{"file_name": "a.png", "text": "b"}', "there is no picture 'a.png'"),
        ('{"file_name": "../a.png", "text": "b"}', "leaves the folder"),
    ],
)
def test_folders_that_cannot_be_read_are_named(line: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text(line)
    with pytest.raises(InputError, match=problem):
        read_prior(tmp_path)
