"""A network of the features is loaded once a run, however many parts of it ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphcond.attributed_graph import AttributedGraph
from graphcond.features.clip import ClipExtractor
from graphcond.features.text_features import TextModelExtractor
from graphcond.pipeline import GraphPipeline
from tests.builders import small_model
from tests.training.scenes import layout_stage, scene_condition, scene_recipe, write_scenes
from tests.training.toys import Toy, run_toy, toy_condition


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """The networks that are loaded, by name."""
    names: list[str] = []
    monkeypatch.setenv("GRAPHCOND_CACHE", str(tmp_path / "cache"))
    for kind in (ClipExtractor, TextModelExtractor):
        load = kind.from_pretrained

        def counted(name: Any, *, load: Any = load, **options: Any) -> Any:
            names.append(str(name))
            return load(name, **options)

        monkeypatch.setattr(kind, "from_pretrained", counted)
    return names


def test_embeddings_and_a_start_from_clip(
    clip_folder: Path, toy: Toy, toy_graph: AttributedGraph, tmp_path: Path, loaded: list[str]
) -> None:
    condition = toy_condition()
    condition["encoder"]["init"] = "clip"
    run_toy(toy(conditions=[condition]), toy_graph, tmp_path / "run")
    assert loaded == [str(clip_folder)]


def test_words_and_stages(sd_folder: Path, clip_folder: Path, tmp_path: Path, loaded: list[str]) -> None:
    condition = scene_condition(encoder={"kind": "triple_transformer", "layers": 1})
    stages = [
        layout_stage(name=name, objective={"kind": "triple_contrast"}, seed=seed)
        for seed, name in enumerate(("first", "second"))
    ]
    recipe = scene_recipe(sd_folder, clip_folder, conditions=[condition], stages=stages)
    run_toy(recipe, write_scenes(tmp_path / "world"), tmp_path / "run")
    assert loaded == [str(clip_folder)]


def test_a_pipeline_keeps_what_embeds_pictures_beside_what_embeds_words(
    sd_folder: Path, clip_folder: Path, loaded: list[str]
) -> None:
    model = small_model(sd_folder, features={"kind": "clip", "model": str(clip_folder)})
    words = TextModelExtractor.from_pretrained("tiny-bert")
    pipe = GraphPipeline(model, words)
    pictures = pipe.extractor
    assert pipe.words is words
    assert pipe.extractor is pictures
    assert loaded == ["tiny-bert", str(clip_folder)]
