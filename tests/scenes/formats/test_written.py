from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphcond.errors import InputError
from graphcond.scene_graph import Box, SceneGraph
from graphcond.scenes import load_scene_set, read_scene, read_scenes, scene_as_dict, write_scene
from graphcond.scenes.formats.written import parse_scene
from tests.docs.blocks import ROOT, blocks
from tests.scenes.scenes import SHEEP, rich_scene, shared, write, write_picture

WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1, max_size=8).filter(
    lambda word: word not in ("__image__", "__in_image__")
)


@st.composite
def scene_graphs(draw: st.DrawFn) -> SceneGraph:
    objects = draw(st.lists(WORDS, min_size=1, max_size=5))
    place = st.integers(0, len(objects) - 1)
    edges = st.floats(0, 1, allow_subnormal=False)
    spans = st.tuples(edges, edges).map(sorted).filter(lambda pair: pair[0] < pair[1])
    boxes = st.none() | st.builds(lambda x, y: (x[0], y[0], x[1], y[1]), spans, spans)
    return SceneGraph(
        objects=objects,  # type: ignore[arg-type]
        relationships=draw(st.lists(st.tuples(place, WORDS, place), max_size=6)),  # type: ignore[arg-type]
        attributes=draw(st.lists(st.lists(WORDS, max_size=2), min_size=len(objects), max_size=len(objects))),  # type: ignore[arg-type]
        boxes=draw(st.lists(boxes, min_size=len(objects), max_size=len(objects))),  # type: ignore[arg-type]
    )


@given(scene=scene_graphs())
@settings(max_examples=60)
def test_what_is_written_is_read_again(scene: SceneGraph, tmp_path_factory: pytest.TempPathFactory) -> None:
    assert parse_scene(json.loads(json.dumps(scene_as_dict(scene)))) == scene
    file = tmp_path_factory.getbasetemp() / "round.json"
    write_scene(scene, file)
    assert read_scene(file) == scene


@pytest.mark.parametrize(
    ("form", "box", "size"),
    [
        ("xyxy relative", [0.1, 0.2, 0.6, 0.7], {}),
        ("xywh relative", [0.1, 0.2, 0.5, 0.5], {}),
        ("xyxy pixels", [20, 20, 120, 70], {"width": 200, "height": 100}),
        ("xywh pixels", [20, 20, 100, 50], {"width": 200, "height": 100}),
    ],
)
def test_box_formats(form: str, box: list[float], size: dict[str, int]) -> None:
    scene = parse_scene({"objects": ["sky"], "boxes": [box], "box_format": form, **size})
    assert scene.boxes[0] == pytest.approx((0.1, 0.2, 0.6, 0.7))


def test_rounding_over_the_edge_is_forgiven() -> None:
    scene = parse_scene({"objects": ["sky"], "boxes": [[-1e-4, 0, 1.0005, 1]], "box_format": "xyxy relative"})
    assert scene.boxes == (Box(0, 0, 1, 1),)


def test_dummies_are_dropped() -> None:
    scene = parse_scene(
        {
            "objects": ["__image__", "sky", "grass"],
            "relationships": [[1, "__in_image__", 0], [1, "above", 2], [2, "in", 0], [2, "__in_image__", 1]],
            "attributes": {"2": ["green"]},
            "boxes": [[0, 0, 1, 1], None, [0, 0.5, 1, 1]],
            "box_format": "xyxy relative",
        }
    )
    assert scene == SceneGraph(
        ("sky", "grass"),
        ((0, "above", 1),),  # type: ignore[arg-type]
        ((), ("green",)),
        (None, Box(0, 0.5, 1, 1)),
    )


def test_one_scene_a_list_and_lines(tmp_path: Path) -> None:
    one = SceneGraph(tuple(SHEEP["objects"]), tuple(SHEEP["relationships"]))
    assert read_scene(SHEEP) == read_scene(one) == one
    assert read_scene(write(tmp_path / "one.json", SHEEP)) == one
    assert read_scenes(write(tmp_path / "two.json", [SHEEP, SHEEP])) == [one, one]
    assert read_scenes(write(tmp_path / "two.jsonl", f"{json.dumps(SHEEP)}\n\n{json.dumps(SHEEP)}")) == [
        one,
        one,
    ]
    assert read_scene(tmp_path / "two.json", 1) == one
    with pytest.raises(InputError, match=r"two\.json: there are 2 scenes\. Choose one from 0 to 1"):
        read_scene(tmp_path / "two.json")
    with pytest.raises(InputError, match=r"there is no scene 2\. Count from 0 to 1"):
        read_scene(tmp_path / "two.json", 2)


def test_a_byte_order_mark_is_no_harm(tmp_path: Path) -> None:
    (tmp_path / "bom.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(SHEEP).encode())
    assert len(read_scene(tmp_path / "bom.json")) == 3


def test_what_a_training_needs(tmp_path: Path) -> None:
    rows = [
        {**SHEEP, "image": "a/1.png", "prompt": "a meadow", "caption": "a sheep", "split": "test", "id": "m"},
        {**SHEEP, "image": "gone.png"},
    ]
    write_picture(tmp_path / "a/1.png")
    notes: list[str] = []
    scenes = load_scene_set(write(tmp_path / "s.json", rows), prompt="a photo", report=notes.append)
    assert (scenes.ids, scenes.texts) == (["m", "scene-000001"], ["a meadow", "a photo"])
    assert (scenes.captions, scenes.splits) == (["a sheep", ""], ["test", ""])
    assert (scenes.picture_path(0), scenes.picture_path(1)) == (tmp_path / "a/1.png", None)
    assert notes == [f"1 scene has no picture in {tmp_path}"]


BAD: list[tuple[Any, str]] = [
    ("{", r"s\.json: the text is not JSON"),
    ("[[[", r"s\.json: the text is not JSON"),
    ("[" * 100_000, r"s\.json: the JSON is nested too deeply"),
    ('{"objects": ["a"], "objects": ["b"]}', r"the key 'objects' occurs twice"),
    ('{"objects": ["a"], "width": NaN}', r"NaN is not a number"),
    ('{"objects": ["a"], "width": Infinity}', r"Infinity is not a number"),
    ("1" * 5000, r"s\.json: the text is not JSON"),
    ('{"objects": ["\\ud800"]}', r"half a surrogate pair"),
    ("[]", r"s\.json: expected scenes in one of the formats"),
    ("null", r"s\.json: expected scenes in one of the formats"),
    ("3", r"s\.json: expected scenes in one of the formats"),
    ({}, r"s\.json: expected scenes in one of the formats"),
    ([SHEEP, 3], r"s\.json: entry 1: expected an object .*, got 3"),
    ([SHEEP, [SHEEP]], r"s\.json: entry 1: expected an object"),
    ([SHEEP, {"relationships": []}], r"entry 1: objects: is missing, add it \(there is relationships\)"),
    ({"objects": {"0": "sky"}}, r"s\.json: objects: expected a list, got dict"),
    ({"objects": "sky"}, r"s\.json: objects: expected a list, got str"),
    ({**SHEEP, "relations": []}, r"relations: unknown key, did you mean 'relationships'\?$"),
    (
        {"objects": ["sky"], "relationships": [[0, "by", 1]]},
        r"s\.json: relationships\[0\]: points to object 1",
    ),
    (
        {"objects": ["sky"], "relationships": [[0, "by", True]]},
        r"relationships\[0\]\[2\]: expected a valid integer, got True",
    ),
    ({"objects": ["sky", ""]}, r"s\.json: objects\[1\]: expected words"),
    ({"objects": ["x"] * 5000}, r"objects: 5000 are too many, the limit is 1000"),
    (
        {"objects": ["sky"], "boxes": [[0, 0, 1, 1]]},
        r'boxes: the format .* is missing.*"xyxy relative", "xywh relative", "xyxy pixels", "xywh pixels"',
    ),
    (
        {"objects": ["sky"], "boxes": [[0, 0, 1, 1]], "box_format": "xyxy"},
        r"box_format: expected 'xyxy relative', .*, got 'xyxy'",
    ),
    ({"objects": ["sky"], "boxes": [[0, 0, 1, 1]], "box_format": []}, r"box_format: expected .*, got \[\]"),
    (
        {"objects": ["sky"], "boxes": [[0, 0, 1, 1]], "box_format": "xyxy pixels"},
        r"boxes\[0\]: boxes in pixels need the picture's size\. Add width",
    ),
    (
        {"objects": ["sky"], "boxes": [[0, 0, 9, 9]], "box_format": "xyxy pixels", "width": 0, "height": 9},
        r"width: expected greater than 0, got 0",
    ),
    (
        {"objects": ["sky"], "boxes": [[0.5, 0, 0.6, 1]], "box_format": "xywh relative"},
        r"boxes\[0\]: .* lies outside the picture\. Check box_format",
    ),
    (
        {"objects": ["sky"], "boxes": [[0, 0, -1, 1]], "box_format": "xywh relative"},
        r"lies outside|has no area",
    ),
    ({"objects": ["sky"], "boxes": [[0.5, 0, 0.2, 1]], "box_format": "xyxy relative"}, r"has no area"),
    (
        {"objects": ["sky"], "boxes": [None, [0, 0, 1, 1]], "box_format": "xyxy relative"},
        r"2 rows for 1 objects",
    ),
    (
        {"objects": ["sky"], "boxes": {"0": [0, 0, 1, 1]}, "box_format": "xyxy relative"},
        r"boxes: expected a valid list",
    ),
    ({**SHEEP, "image": "../up.png"}, r"the path '\.\./up\.png' leaves the folder"),
    ({**SHEEP, "image": "/etc/passwd"}, r"leaves the folder"),
    ({**SHEEP, "image": 3}, r"image: expected a valid string, got 3"),
]


@pytest.mark.parametrize(("content", "problem"), BAD)
def test_refused(content: Any, problem: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=problem):
        load_scene_set(write(tmp_path / "s.json", content))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_scene(tmp_path / "gone.json")
    (tmp_path / "latin.json").write_bytes('{"objects": ["Bäume"]}'.encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.json: the file is not UTF-8 \(byte 15\)"):
        read_scene(tmp_path / "latin.json")
    with pytest.raises(InputError, match=r"b\.jsonl:2: the text is not JSON"):
        read_scenes(write(tmp_path / "b.jsonl", f"{json.dumps(SHEEP)}\n{{"))
    with pytest.raises(InputError, match="is empty"):
        read_scenes(write(tmp_path / "e.jsonl", "\n"))


def test_the_papers_scenes() -> None:
    sheep = read_scenes(shared("figure_6_sheep.json"))
    assert [len(scene) for scene in sheep] == [3, 3, 4, 5, 6, 7, 7]
    genome = read_scenes(shared("figure_5_vg.json"))
    assert len(genome) == 8
    assert [r for r in genome[3].relationships if r.subject == r.object] == [(0, "next to", 0)] * 4


def test_masks_stay_out_of_the_friendly_form() -> None:
    scene = rich_scene()
    assert parse_scene(scene_as_dict(scene)) == scene
    assert parse_scene(scene_as_dict(scene)).masks is None


def test_the_documentation_shows_scenes_that_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = ROOT / "docs/formats.md"
    (example,) = blocks(page, "json")
    scene = read_scene(write(tmp_path / "scene.json", example.text))
    assert scene.attributes == (("blue",), (), ("small", "white"))
    assert scene.boxes[2] == pytest.approx((120 / 640, 150 / 480, 210 / 640, 230 / 480))
    monkeypatch.chdir(tmp_path)
    (code,) = [block for block in blocks(page, "python") if "graphcond.scenes" in block.text]
    exec(code.compiled(), {})
    assert (tmp_path / "graph.png").is_file()
