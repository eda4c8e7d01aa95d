"""Layout prompts of other models: accepted by the checks in diffusers, and read back as their scenes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from diffusers import BriaFibo2Pipeline
from diffusers.modular_pipelines.flux3.prompt_upsampler import split_caption, valid_added_row
from diffusers.pipelines.ideogram4.prompt_enhancer import build_caption_logits_processor
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.scene_graph import Box, SceneGraph
from graphcond.scenes import layout_prompt, read_scene, read_scene_source
from graphcond.scenes.layout_prompts import TARGETS
from graphcond.worlds.scenes import SceneWorld

SCENE = SceneGraph(
    ["circle", "fire hydrant", "circle"],
    [[0, "left of", 1], [2, "standing on", 1]],
    attributes=[["red"], ["white", "old"], ["blue"]],
    boxes=[(0, 0.25, 0.5, 1), (0.5, 0, 1, 0.5), (0.2, 0.2, 0.3, 0.3)],
)


def made(scene: SceneGraph, target: str) -> Any:
    """A prompt as the model gets it: a text, or parsed JSON."""
    text = layout_prompt(scene, target, prompt="an image", background="a wall")
    return text if target == "flux3" else json.loads(text)


def read_back(scenes: list[SceneGraph], target: str, folder: Path) -> list[SceneGraph]:
    file = folder / "prompts.jsonl"
    file.write_text("".join(f"{json.dumps(made(scene, target))}\n" for scene in scenes))
    return list(read_scene_source(file).scene_set().graphs)


def test_the_prompts_are_those_of_the_models() -> None:
    names = "a red circle <circle_1> left of a white old fire hydrant <fire_hydrant_1>"
    caption, rows = split_caption(made(SCENE, "flux3"))
    assert (
        caption == f"an image: {names}, a blue circle <circle_2> standing on {names.split(' left of ')[1]}."
    )
    assert rows is not None
    assert rows[1] == {
        "id": "fire_hydrant_1",
        "bbox": [0, 500, 500, 1000],
        "desc": "fire hydrant, white, old",
    }
    element = {"type": "obj", "bbox": [250, 0, 1000, 500], "desc": "circle, red"}
    assert made(SCENE, "comfyui")[0] == element
    ideogram = made(SCENE, "ideogram4")
    assert ideogram["compositional_deconstruction"]["elements"][0] == element
    assert ideogram["compositional_deconstruction"]["background"] == "a wall"
    assert made(SCENE, "fibo")["objects"][0] == {
        "description": "circle, red",
        "location": "left",
        "relationship": "left of a white old fire hydrant",
    }


def test_diffusers_accepts_500_scenes_of_the_scene_world(monkeypatch: pytest.MonkeyPatch) -> None:
    outlines: Any = ModuleType("outlines")  # hands the schema out that it would generate by
    outlines.from_transformers = lambda model, tokenizer: None
    outlines.Generator = lambda model, schema: SimpleNamespace(logits_processor=schema)
    monkeypatch.setitem(sys.modules, "outlines", outlines)
    ideogram4 = build_caption_logits_processor(None, None)
    world = SceneWorld(count=500, seed=2)
    for number in range(500):
        scene = world.graph(number)
        caption, rows = split_caption(made(scene, "flux3"))
        assert rows is not None
        assert [valid_added_row(row, caption) for row in rows] == rows
        assert len({row["id"] for row in rows}) == len(rows) == len(scene)
        ideogram4.model_validate(made(scene, "ideogram4"), strict=True)
        fibo = layout_prompt(scene, "fibo", prompt="an image", background="a wall")
        assert BriaFibo2Pipeline._parse_prompt(fibo) == (json.loads(fibo), None)
        for element in made(scene, "comfyui"):  # as `elements_to_boxes` of its nodes
            y0, x0, y1, x1 = element["bbox"]
            assert 0 <= y0 < y1 <= 1000
            assert 0 <= x0 < x1 <= 1000


words = st.text("abcdefgh", min_size=1, max_size=8)
edges = st.tuples(st.floats(0, 0.9), st.floats(0.01, 0.1)).map(lambda one: (one[0], one[0] + one[1]))
boxes = st.tuples(edges, edges).map(lambda one: Box(one[0][0], one[1][0], one[0][1], one[1][1]))
labels = st.lists(st.tuples(words, words).map(" ".join), min_size=2, max_size=5, unique=True)


@settings(max_examples=40, deadline=None)
@given(data=st.data(), target=st.sampled_from(list(TARGETS)), objects=labels)
def test_what_a_prompt_has_a_place_for_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, target: str, objects: list[str]
) -> None:
    ends = st.integers(0, len(objects) - 1)
    scene = SceneGraph(
        objects,
        data.draw(
            st.lists(st.tuples(ends, st.sampled_from(["left of", "holds"]), ends), max_size=4, unique=True)
        ),
        attributes=[data.draw(st.lists(words, max_size=2)) for _ in objects],
        boxes=[data.draw(boxes) for _ in objects],
    )
    (found,) = read_back([scene], target, tmp_path_factory.mktemp("prompts"))
    assert found.objects == scene.objects
    assert found.attributes == scene.attributes
    assert set(found.relationships) == (set() if target == "comfyui" else set(scene.relationships))
    if target == "fibo":
        assert not found.boxes
    else:
        assert [pytest.approx(box, abs=2.1e-3) for box in scene.boxes] == list(found.boxes)


@pytest.mark.parametrize("target", TARGETS)
def test_scenes_of_the_world_are_read_back(tmp_path: Path, target: str) -> None:
    world = SceneWorld(count=40, seed=2)
    scenes = [world.graph(number) for number in range(40)]
    for found, scene in zip(read_back(scenes, target, tmp_path), scenes, strict=True):
        assert (found.objects, found.attributes) == (scene.objects, scene.attributes)
        if target != "comfyui" and len(set(zip(scene.objects, scene.attributes, strict=True))) == len(scene):
            assert set(found.relationships) == set(scene.relationships)


def test_prompts_of_others(tmp_path: Path) -> None:
    file = tmp_path / "p.txt"
    rows = [
        {"id": "person_1", "bbox": [100, 200, 300, 400], "desc": "Woman of forty, grey coat, smiling."},
        {
            "id": "cup_2",
            "from": "ref_image_0",
            "src_bbox": [0, 0, 9, 9],
            "tgt_bbox": [5, 5, 10, 10],
            "desc": "",
        },
        {"id": "van_1", "from": "ref_image_0", "src_bbox": [0, 0, 9, 9], "tgt_bbox": None, "desc": "van"},
    ]
    file.write_text(f"A photograph [1] of a person <person_1> with a cup <cup_2>. {json.dumps(rows)}")
    source = read_scene_source(file)
    scene = source.records[0].graph
    assert scene.objects == ("person", "cup")
    assert scene.attributes == (("Woman of forty", "grey coat", "smiling"), ())
    assert scene.boxes == (Box(0.2, 0.1, 0.4, 0.3), Box(0.005, 0.005, 0.01, 0.01))
    assert source.records[0].caption == "A photograph [1] of a person with a cup."
    poster = {"type": "text", "text": "JAZZ", "bbox": [0, 0, 100, 1000], "desc": "Large headline"}
    (tmp_path / "i.json").write_text(json.dumps({"compositional_deconstruction": {"elements": [poster]}}))
    assert read_scene(tmp_path / "i.json").objects == ('text "JAZZ"',)


ROW = {"id": "a_1", "bbox": [0, 0, 500, 500], "desc": "a"}
BROKEN = {
    "cut short": ('a <a_1>. [{"id": "a_1", "bbox": [0, 0, 5', "the table: the text is not JSON"),
    "outside": (f"a {json.dumps([ROW | {'bbox': [0, 0, 500, 1001]}])}", "row 0.*bbox.*canvas of 1000"),
    "no area": (f"a {json.dumps([ROW | {'bbox': [500, 0, 500, 9]}])}", "row 0.*bbox.*Y comes first"),
    "words": (f"a {json.dumps([ROW | {'bbox': 'left'}])}", "row 0.*bbox.*expected a list"),
    "three numbers": (f"a {json.dumps([ROW | {'bbox': [0, 0, 5]}])}", "row 0.*bbox"),
    "no id": ('a [{"id": "", "desc": "a"}]', "row 0.*id"),
    "a number": (f"a {json.dumps([ROW | {'desc': 3}])}", "row 0.*desc.*"),
    "a list of something else": ("a photo [1]", "expected a text that ends in a JSON list of objects"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_flux3_prompt(tmp_path: Path, name: str) -> None:
    text, problem = BROKEN[name]
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(InputError, match=problem) as raised:
        read_scene_source(tmp_path / "p.txt", format="flux3")
    assert "p.txt" in str(raised.value)


@pytest.mark.parametrize(
    ("target", "value", "problem"),
    [
        ("ideogram4", {"compositional_deconstruction": {"elements": []}}, "elements"),
        ("ideogram4", {"compositional_deconstruction": {"elements": [{"type": "cat", "desc": ""}]}}, "type"),
        ("ideogram4", {"high_level_description": "a star"}, "compositional_deconstruction"),
        ("fibo", {"short_description": "", "objects": ["star"]}, r"objects\[0\]"),
        ("fibo", {"objects": []}, "short_description"),
        ("comfyui", {"bbox": [0, 0, 1, 1]}, "expected a list of elements"),
        ("comfyui", [{"type": "obj", "bbox": [0, 0, 2000, 1], "desc": "a"}], "canvas of 1000"),
    ],
)
def test_a_broken_prompt(tmp_path: Path, target: str, value: object, problem: str) -> None:
    (tmp_path / "p.json").write_text(json.dumps(value))
    with pytest.raises(InputError, match=problem):
        read_scene_source(tmp_path / "p.json", format=target)


def test_what_cannot_be_a_prompt() -> None:
    plain = SceneGraph(["star"])
    for target in ("flux3", "comfyui"):
        with pytest.raises(InputError, match=r"has no boxes.*--layout.*fibo"):
            layout_prompt(plain, target, prompt="a", background="b")
    assert made(plain, "ideogram4")["compositional_deconstruction"]["elements"] == [
        {"type": "obj", "desc": "star"}
    ]
    assert made(plain, "fibo")["objects"] == [{"description": "star"}]
    with pytest.raises(InputError, match="no objects"):
        layout_prompt(SceneGraph([]), "fibo", prompt="a", background="b")
