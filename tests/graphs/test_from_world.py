from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from graphcond.attributed_graph import EdgeList, NodeTable
from graphcond.errors import InputError, StorageError
from graphcond.graphs import inspect_graph, save_world
from graphcond.io.pictures import open_picture
from tests.graphs.graphs import edge_list


@dataclass
class Dots:
    """Three nodes, one of them without a picture."""

    fail_at: int | None = None
    drawn: list[int] = field(default_factory=list)

    def nodes(self) -> NodeTable:
        return NodeTable(["a", "b", "c"], ["1", "2", "3"], ["pictures/a.png", None, "pictures/c.png"])

    def edges(self) -> EdgeList:
        return edge_list([(0, 1), (1, 2)])

    def draw(self, index: int) -> Image.Image:
        if index == self.fail_at:
            raise OSError(28, "No space left on device")
        self.drawn.append(index)
        return Image.new("RGB", (8, 8), (index, 0, 0))


def test_pictures_are_drawn_into_the_folder(tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    world = Dots()
    graph = save_world(world, tmp_path / "world", progress=lambda done, total: calls.append((done, total)))
    assert world.drawn == [0, 2]
    assert calls == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert graph.root == tmp_path / "world"
    path = graph.picture_path(2)
    assert path is not None
    assert open_picture(path).getpixel((0, 0)) == (2, 0, 0)
    report = inspect_graph(tmp_path / "world", pictures=True)
    assert (report.missing_pictures, report.undecodable_pictures, report.edges) == ([], {}, 2)


def test_a_world_moves_with_its_pictures(tmp_path: Path) -> None:
    save_world(Dots(), tmp_path / "world")
    (tmp_path / "world").rename(tmp_path / "moved")
    assert inspect_graph(tmp_path / "moved").missing_pictures == []


def test_a_world_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    save_world(Dots(), tmp_path / "world")
    with pytest.raises(StorageError, match="No space"):
        save_world(Dots(fail_at=2), tmp_path / "world")
    assert inspect_graph(tmp_path / "world").missing_pictures == []
    save_world(Dots(), tmp_path / "world", directed=True)
    assert inspect_graph(tmp_path / "world").directed
    assert [entry.name for entry in tmp_path.iterdir()] == ["world"]


def test_other_folders_are_not_replaced_and_nothing_is_drawn(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    world = Dots()
    with pytest.raises(InputError, match="is not a graph folder"):
        save_world(world, tmp_path)
    assert world.drawn == []
