"""What options ask for is whole and is one thing, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graphcond.cli.asked import MOST_SCENES, Asked
from graphcond.errors import InputError
from graphcond.recipe.sections import SceneData, WorldData
from graphcond.scene_graph import SceneGraph

FOLDER, FILE = Path("graph"), Path("scene.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--prompt: the prompt is missing"),
        ({"neighbors": [["a.png"]]}, "--prompt: the prompt is missing"),
        ({"graph": FOLDER}, "--graph: the graph is named, but no node of it"),
        ({"targets": ["7"], "prompt": "x"}, "--target: a node is named, but no graph"),
        (
            {"graph": FOLDER, "targets": ["7"], "neighbors": [["a.png"]]},
            "--graph, --neighbors: a graph and neighbors",
        ),
        ({"scene": FILE, "graph": FOLDER, "targets": ["7"]}, "--scene: a scene and a graph"),
        ({"scene": FILE, "neighbors": [["a.png"]]}, "--scene: a scene and a graph"),
        ({"scene": FILE, "targets": ["7"]}, "--scene: a scene and a graph"),
        ({"index": 0, "prompt": "x"}, "--index: a scene is named, but no file"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Asked(**options)


def test_all_scenes_of_a_file_or_one(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text(json.dumps([{"objects": ["star"]}, {"objects": ["ring"]}]))
    star, ring = SceneGraph(("star",)), SceneGraph(("ring",))
    assert Asked(scene=file).scenes() == [star, ring]
    assert Asked(scene=file, index=1).scenes() == [ring]
    with pytest.raises(InputError, match="there is no scene 2"):
        Asked(scene=file, index=2).scenes()
    assert Asked("a star").scenes() == []


def test_scenes_that_cannot_be_drawn(tmp_path: Path) -> None:
    file = tmp_path / "some.json"
    file.write_text(json.dumps([{"objects": ["star"]}, {"objects": ["__image__"]}]))
    assert len(Asked(scene=file, index=0).scenes()) == 1
    for index in (None, 1):
        with pytest.raises(
            InputError, match=r"some.json: scene 1: the scene has no objects. Name at least one"
        ):
            Asked(scene=file, index=index).scenes()
    file.write_text(json.dumps([{"objects": ["star"]}] * (MOST_SCENES + 1)))
    with pytest.raises(InputError, match=r"holds 65 scenes, at most 64 .* Choose one with --index"):
        Asked(scene=file).scenes()
    assert len(Asked(scene=file, index=MOST_SCENES).scenes()) == 1


def test_a_scene_is_drawn_with_the_prompt_that_its_model_knows() -> None:
    pipe = cast(
        Any, SimpleNamespace(model=SimpleNamespace(recipe=SimpleNamespace(data=WorldData(world="scenes"))))
    )
    assert Asked(scene=FILE).prompt_and_graphs(pipe, lambda task: print) == ("an image", [])
    pipe.model.recipe.data = SceneData(prompt="a photo")
    assert Asked(scene=FILE).prompt_and_graphs(pipe, lambda task: print) == ("a photo", [])
    assert Asked("a drawing", scene=FILE).prompt_and_graphs(pipe, lambda task: print) == ("a drawing", [])
