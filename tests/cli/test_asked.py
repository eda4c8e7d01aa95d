"""What options ask for is whole and is one thing, before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from graphcond.cli.asked import MOST_SCENES, Asked
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph

FOLDER, FILE = Path("graph"), Path("scene.json")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--prompt: is missing"),
        ({"neighbors": [["a.png"]]}, "--prompt: is missing"),
        ({"graph": FOLDER}, "--graph: says which graph, but not which node"),
        ({"targets": ["7"], "prompt": "x"}, "--target: names a node, but no graph"),
        ({"graph": FOLDER, "targets": ["7"], "neighbors": [["a.png"]]}, "--graph, --neighbors: give a graph"),
        ({"scene": FILE, "graph": FOLDER, "targets": ["7"]}, "--scene: give a scene or a graph"),
        ({"scene": FILE, "neighbors": [["a.png"]]}, "--scene: give a scene or a graph"),
        ({"scene": FILE, "targets": ["7"]}, "--scene: give a scene or a graph"),
        ({"index": 0, "prompt": "x"}, "--index: names a scene, but no file"),
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
        with pytest.raises(InputError, match=r"some.json: scene 1: has no objects. Name at least one"):
            Asked(scene=file, index=index).scenes()
    file.write_text(json.dumps([{"objects": ["star"]}] * (MOST_SCENES + 1)))
    with pytest.raises(InputError, match=r"holds 65 scenes, at most 64 .* Choose one with --index"):
        Asked(scene=file).scenes()
    assert len(Asked(scene=file, index=MOST_SCENES).scenes()) == 1


def test_a_scene_is_drawn_with_the_prompt_that_its_model_knows() -> None:
    pipe = cast(Any, SimpleNamespace(model=SimpleNamespace(recipe=SimpleNamespace(data=None))))
    assert Asked(scene=FILE).prompt_and_graphs(pipe, lambda task: print) == ("an image", [])
    pipe.model.recipe.data = SimpleNamespace(prompt="a photo")
    assert Asked(scene=FILE).prompt_and_graphs(pipe, lambda task: print) == ("a photo", [])
    assert Asked("a drawing", scene=FILE).prompt_and_graphs(pipe, lambda task: print) == ("a drawing", [])
