from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.scenes import load_scene_set, read_scene_source, read_scenes
from graphcond.scenes.formats.visual_genome import version_note
from tests.scenes.scenes import write, write_picture


def thing(number: int, name: Any, key: str = "names", **more: Any) -> dict[str, Any]:
    return {"object_id": number, "x": 10, "y": 10, "w": 20, "h": 20, key: name, "synsets": [], **more}


OBJECTS = [
    {"image_id": 1, "objects": [thing(5, ["Clock "]), thing(6, ["street", "road"], merged_object_ids=[9])]},
    {"image_id": 2, "objects": [thing(7, [])]},
]
RELATIONS = [
    {
        "image_id": 1,
        "relationships": [
            {
                "relationship_id": 1,
                "predicate": " ABOVE ",
                "synsets": [],
                "subject": thing(5, "clock", "name"),
                "object": thing(9, "street", "name"),
            },
            {
                "relationship_id": 2,
                "predicate": "has",
                "subject": thing(5, ["clock"]),
                "object": thing(8, ["hand"]),
            },
            {
                "relationship_id": 3,
                "predicate": "",
                "subject": thing(5, ["clock"]),
                "object": thing(6, ["street"]),
            },
        ],
    }
]
ATTRIBUTES = [
    {
        "image_id": 1,
        "attributes": [thing(5, ["clock"], attributes=["Green", "tall ", "green"]), thing(6, ["x"])],
    }
]
IMAGES = [
    {"image_id": n, "url": f"https://cs/VG_100K/{n}.jpg", "width": 100, "height": 50, "coco_id": None}
    for n in (1, 2)
]


@pytest.fixture
def genome(tmp_path: Path) -> Path:
    write(tmp_path / "objects.json", OBJECTS)
    write(tmp_path / "relationships.json", RELATIONS)
    write(tmp_path / "attributes.json", ATTRIBUTES)
    write(tmp_path / "image_data.json", IMAGES)
    write_picture(tmp_path / "VG_100K/1.jpg")
    return tmp_path


def test_the_files_are_joined(genome: Path) -> None:
    notes: list[str] = []
    scenes = load_scene_set(genome, report=notes.append)
    assert scenes.graphs[0].objects == ("clock", "street", "hand")
    assert scenes.graphs[0].relationships == ((0, "above", 1), (0, "has", 2))
    assert scenes.graphs[0].attributes == (("green", "tall"), (), ())
    assert scenes.graphs[0].boxes[0] == pytest.approx((0.1, 0.2, 0.3, 0.6))
    assert scenes.graphs[1] == SceneGraph(())
    assert (scenes.ids, scenes.pictures) == (["1", "2"], ["VG_100K/1.jpg", None])
    assert notes == [
        f"1 scene has no picture in {genome}",
        "1 relations have no predicate or an object without name; they were dropped",
        "1 objects have no name; they were dropped",
    ]


def test_scene_graphs_with_ids_in_relations(tmp_path: Path) -> None:
    relation = {"relationship_id": 1, "predicate": "on", "synsets": [], "subject_id": 5, "object_id": 6}
    whole = [{"image_id": 1, "objects": OBJECTS[0]["objects"], "relationships": [relation]}]
    write(tmp_path / "scene_graphs.json", whole)
    source = read_scene_source(tmp_path)
    assert source.records[0].graph == SceneGraph(("clock", "street"), ((0, "on", 1),))  # type: ignore[arg-type]
    assert any("no image_data.json: boxes are unknown" in note for note in source.notes)
    relation["object_id"] = 99
    write(tmp_path / "scene_graphs.json", whole)
    with pytest.raises(InputError, match=r"image 1: relationships\[0\]\.object_id: there is no object 99"):
        read_scenes(tmp_path / "scene_graphs.json")


def test_aliases(genome: Path) -> None:
    write(genome / "object_alias.txt", "timepiece,watch,clock\nroad,street\n\n")
    write(genome / "relationship_alias.txt", "over,above")
    scene = read_scenes(genome)[0]
    assert scene.objects == ("timepiece", "road", "hand")
    assert scene.relationships[0].predicate == "over"


def test_chains_of_aliases_are_followed_and_loops_refused(genome: Path) -> None:
    write(genome / "object_alias.txt", "a,clock\nb,a")
    assert read_scenes(genome)[0].objects[0] == "b"
    write(genome / "object_alias.txt", "a,clock\nb,a\nclock,b")
    with pytest.raises(InputError, match=r"object_alias\.txt:\d: the aliases form a loop: .* -> "):
        read_scenes(genome)


@pytest.mark.parametrize(
    ("file", "content", "problem"),
    [
        (
            "objects.json",
            {"objects": []},
            r"objects\.json: image_id: is missing, add it \(there is objects\)",
        ),
        ("objects.json", [[]], r"objects\.json: entry 0: expected an object"),
        ("objects.json", [{"objects": []}], r"entry 0: image_id: is missing"),
        ("objects.json", [{"image_id": True, "objects": []}], r"image_id: expected a valid string, got True"),
        ("objects.json", [{"image_id": 1, "objects": {}}], r"entry 0: objects: expected a valid list"),
        (
            "objects.json",
            [{"image_id": 1, "objects": [{"names": ["a"]}]}],
            r"objects\[0\]\.object_id: is missing",
        ),
        (
            "objects.json",
            [{"image_id": 1, "objects": [thing(1, [3])]}],
            r"objects\[0\]\.names\[0\]: expected a valid string, got 3",
        ),
        (
            "objects.json",
            [{"image_id": 1, "objects": [{**thing(1, ["a"]), "x": None}]}],
            r"objects\[0\]: x, y, w and h must all be numbers",
        ),
        (
            "relationships.json",
            [{"image_id": 1, "relationships": [{"predicate": "on"}]}],
            r"relationships\[0\]\.subject: the end of the relation is missing\. Add it, or subject_id",
        ),
        (
            "image_data.json",
            [{"image_id": 1, "url": "a/b", "width": 0, "height": 1}],
            r"width: expected greater than 0, got 0",
        ),
        (
            "image_data.json",
            [{"image_id": 1, "url": "a/../../b", "width": 9, "height": 9}],
            r"leaves the folder",
        ),
    ],
)
def test_refused(genome: Path, file: str, content: Any, problem: str) -> None:
    write(genome / file, content)
    with pytest.raises(InputError, match=problem):
        read_scenes(genome)


def test_too_many_frequent_classes_look_like_another_version() -> None:
    words = [f"thing {n}" for n in range(260)]
    scene = SceneGraph(words, [(n, f"near {n % 66}", n + 1) for n in range(259)])  # type: ignore[arg-type]
    (note,) = version_note([scene] * 2_500, whole=2_500)
    assert note.startswith("260 object and 66 predicate classes are frequent, but about 178 and 45")
    assert version_note([scene] * 2_499, whole=2_500) == []
    fine = SceneGraph(words[:178], scene.relationships[:45])
    assert version_note([fine] * 2_500, whole=2_500) == []
