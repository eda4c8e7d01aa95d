from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from graphcond.drawing.arrows import Arrow, Rectangle, free_place
from graphcond.drawing.graph_layout import lay_out_graph
from graphcond.drawing.scene_graphs import COLORS
from graphcond.errors import InputError
from graphcond.scene_graph import SceneGraph
from graphcond.scenes import draw_boxes, draw_graph, readable_size
from tests.scenes.scenes import rich_scene

THIRTY = SceneGraph(
    tuple(f"thing {n}" for n in range(30)),
    tuple((n, "next to", (7 * n + 3) % 30) for n in range(30)),  # type: ignore[arg-type]
)
SCENES = {
    "none": SceneGraph(()),
    "one": SceneGraph(("sheep",)),
    "loop": SceneGraph(("sheep",), ((0, "next to", 0),)),  # type: ignore[arg-type]
    "no relations": SceneGraph(("sky", "grass", "sheep", "tree")),
    "both ways": SceneGraph(("a", "b"), ((0, "in", 1), (1, "around", 0), (0, "in", 1))),  # type: ignore[arg-type]
    "thirty": THIRTY,
    "many": SceneGraph(tuple(f"{n}" for n in range(300)), ((0, "by", 299), (1, "by", 2))),  # type: ignore[arg-type]
    "long": SceneGraph(("a sheep with a very long name " * 8,) * 2, ((0, "by the side of " * 9, 1),)),  # type: ignore[arg-type]
    "rich": rich_scene(),
}


def ink(picture: Image.Image) -> float:
    return float((np.asarray(picture.convert("L")) < 250).mean())


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("size", [96, 256])
def test_any_scene_can_be_drawn_and_stays_inside(name: str, size: int) -> None:
    picture = draw_graph(SCENES[name], size)
    assert (picture.size, picture.mode) == ((size, size), "RGB")
    assert ink(picture) > 0.001
    edge = np.asarray(picture.convert("L"))
    assert min(edge[0].min(), edge[-1].min(), edge[:, 0].min(), edge[:, -1].min()) > 200


def test_equal_scenes_give_equal_pictures() -> None:
    assert draw_graph(rich_scene(), 128).tobytes() == draw_graph(rich_scene(), 128).tobytes()


def test_who_is_the_subject_shows() -> None:
    def picture(subject: int, target: int) -> bytes:
        return draw_graph(SceneGraph(("a", "b"), ((subject, "by", target),)), 128).tobytes()  # type: ignore[arg-type]

    assert picture(0, 1) != picture(1, 0)


def test_boxes_stand_beside_the_graph() -> None:
    scene = rich_scene()
    assert draw_graph(scene, 200, boxes=True).size == (400, 200)
    assert draw_graph(SCENES["one"], 200, boxes=True).size == (200, 200)
    drawn = np.asarray(draw_boxes(scene, 200)).reshape(-1, 3).astype(int)

    def colored(position: int) -> bool:
        wanted = [int(COLORS[position][n : n + 2], 16) for n in (1, 3, 5)]
        return bool((np.abs(drawn - wanted).max(axis=1) < 12).any())

    assert [colored(position) for position in range(3)] == [True, False, True]


@pytest.mark.parametrize(("objects", "size"), [(0, 256), (9, 256), (10, 400), (30, 640), (999, 640)])
def test_crowded_scenes_need_larger_drawings(objects: int, size: int) -> None:
    assert readable_size(SceneGraph(("sky",) * objects)) == size


def test_a_label_hides_no_end_of_its_arrow(monkeypatch: pytest.MonkeyPatch) -> None:
    covered: list[float] = []

    def placed(arrow: Arrow, extent: tuple[float, float], taken: list[Rectangle], side: float) -> Rectangle:
        place = free_place(arrow, extent, taken, side)
        covered.append(sum(place.shared(other) for other in taken))
        return place

    monkeypatch.setattr("graphcond.drawing.scene_graphs.free_place", placed)
    relations = ((0, "plays", 1), (2, "hovers menacingly over", 0))
    draw_graph(SceneGraph(("axolotl", "theremin", "zeppelin"), relations), 256)  # type: ignore[arg-type]
    assert covered == [0.0, 0.0]


@pytest.mark.parametrize("size", [10, 10**6])
def test_sizes_have_limits(size: int) -> None:
    with pytest.raises(InputError, match="64 to 8192 pixels"):
        draw_graph(SCENES["one"], size)


@pytest.mark.parametrize("scene", [THIRTY, SCENES["no relations"], SCENES["both ways"]])
def test_nodes_do_not_overlap(scene: SceneGraph) -> None:
    sizes = np.tile([70.0, 24.0], (len(scene), 1))
    places = lay_out_graph(scene, sizes, (640, 640), gap=10)
    assert (places >= sizes / 2 - 1e-6).all()
    assert (places <= 640 - sizes / 2 + 1e-6).all()
    away = np.abs(places[:, None] - places[None])
    clash = (away < sizes - 0.5).all(axis=-1) & ~np.eye(len(scene), dtype=bool)
    assert not clash.any()


@pytest.mark.parametrize(
    ("predicate", "axis", "sign"), [("left of", 0, -1), ("right of", 0, 1), ("above", 1, -1), ("below", 1, 1)]
)
def test_directions_are_drawn_as_they_are_said(predicate: str, axis: int, sign: int) -> None:
    scene = SceneGraph(("a", "b", "c"), ((0, predicate, 1), (2, "near", 1)))  # type: ignore[arg-type]
    places = lay_out_graph(scene, np.tile([50.0, 20.0], (3, 1)), (256, 256), gap=10)
    assert sign * (places[0] - places[1])[axis] > 40
