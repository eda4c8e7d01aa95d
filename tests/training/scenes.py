"""A handful of scenes and a recipe over them, small enough to train in a moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from graphcond.recipe import Recipe
from graphcond.scene_graph import SceneSet
from graphcond.scenes import save_scene_world
from graphcond.worlds.scenes import SceneWorld
from tests.training.toys import toy_recipe

SCENES = 14


def write_scenes(folder: Path) -> SceneSet:
    """Scenes of coloured shapes with their pictures; the last three are held out."""
    world = SceneWorld(count=SCENES, resolution=64)
    scenes = save_scene_world(world, folder)
    return with_splits(scenes)


def with_splits(scenes: SceneSet) -> SceneSet:
    from dataclasses import replace

    return replace(scenes, splits=["test" if row >= SCENES - 3 else "train" for row in range(SCENES)])


def scene_recipe(sd_folder: Path, clip_folder: Path, **changes: Any) -> Recipe:
    """A graph network over the words of scenes; ``changes`` as of `toy_recipe`."""
    sections = {"data": {"kind": "scenes", "resolution": 64}, "conditions": [scene_condition()]}
    return toy_recipe(sd_folder, clip_folder, **(sections | changes))


def scene_condition(name: str = "scene", **parts: Any) -> dict[str, Any]:
    """A condition over scenes."""
    return {
        "name": name,
        "sampler": {"kind": "scene_triples"},
        "encoder": {"kind": "triple_gcn"},
        "injector": {"kind": "prompt_tokens"},
    } | parts


def layout_stage(**changes: Any) -> dict[str, Any]:
    """A stage that teaches boxes to the encoder of `scene_condition`."""
    return {
        "name": "layout",
        "condition": "scene",
        "objective": {"kind": "layout"},
        "steps": 4,
        "batch_size": 5,
        "log_every": 2,
        "validate_every": 4,
    } | changes
