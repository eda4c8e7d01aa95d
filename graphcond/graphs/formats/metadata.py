"""InstructG2I's folders: pictures beside a ``metadata.jsonl`` of targets and their neighbors.

Each line is ``{"center": "a.jpg", "text": "...", "neighbors": ["b.jpg", ...]}`` (arXiv 2410.07157, as its
release reads it). A folder of such folders named train, val or test is read as one graph with splits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from graphcond.attributed_graph import ABSENT, AttributedGraph, EdgeList, NodeTable
from graphcond.context import NeighborContext
from graphcond.errors import InputError
from graphcond.graphs.reading.jsonl import read_jsonl
from graphcond.graphs.source import GraphFormat, GraphSource, column_names
from graphcond.io.files import atomic_file, inside


def export_metadata(graph: AttributedGraph, context: NeighborContext, file: Path | str) -> None:
    """Write one line ``{"center", "text", "neighbors"}`` per target of ``context``, neighbors best first.

    The InstructG2I release (arXiv 2410.07157) and `read_metadata` read the file. Neighbors without a
    picture are left out, since the format names nodes by their pictures.

    Args:
        graph: where the targets and their neighbors are.
        context: what a sampler chose.
        file: where to write, such as ``metadata.jsonl``; pictures lie in its folder or below.

    Raises:
        InputError: a target has no picture, or a picture lies outside the file's folder.
    """
    file = Path(file)
    with atomic_file(file) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for target, neighbors in zip(context.targets.tolist(), context.neighbors.tolist(), strict=True):
            lines.write(json.dumps(_line(graph, target, neighbors, file), ensure_ascii=False) + "\n")


def _line(graph: AttributedGraph, target: int, neighbors: list[int], file: Path) -> dict[str, object]:
    center = _picture(graph, target, file)
    if center is None:
        raise InputError(
            f"the target '{graph.nodes.ids[target]}' has no picture",
            place=file,
            remedy="leave that target out",
        )
    pictures = (_picture(graph, node, file) for node in neighbors if node != ABSENT)
    chosen = [picture for picture in pictures if picture is not None]
    return {"center": center, "text": graph.nodes.texts[target], "neighbors": chosen}


def _picture(graph: AttributedGraph, node: int, file: Path) -> str | None:
    path = graph.picture_path(node)
    if path is None:
        return None
    relative = Path(os.path.relpath(path, file.parent))
    if relative.parts[0] == "..":
        raise InputError(
            f"the picture {path} lies outside the folder of {file.name}",
            place=file,
            remedy=f"write the file into {graph.root}",
        )
    return relative.as_posix()


METADATA = "metadata.jsonl"
SPLITS = ("train", "val", "test")
COLUMNS = ("center", "text", "neighbors")


def metadata_folders(folder: Path) -> dict[str, Path]:
    """Split to folder for every ``metadata.jsonl`` in ``folder`` or in its split folders."""
    if (folder / METADATA).is_file():
        name = folder.resolve().name
        return {name if name in SPLITS else "train": folder}
    return {split: folder / split for split in SPLITS if (folder / split / METADATA).is_file()}


def read_metadata(folder: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read the folder as a graph, and its neighbors as ready-made ones.

    A node is a picture; its id is the picture's path in ``folder``. Targets have a text and a split (the
    split folder's name, else train). Pictures that only occur as neighbors have the text "" and the split "".
    Edges go from targets to their neighbors.

    Args:
        folder: holds ``metadata.jsonl``, or split folders that do.
        columns: what the keys ``center``, ``text`` and ``neighbors`` are called, where they differ.

    Raises:
        InputError: a line is broken, a key is missing or has another type, a target occurs twice, or a
            picture is missing or lies outside its folder.
    """
    folder = Path(folder)
    names = column_names(COLUMNS, columns)
    folders = metadata_folders(folder)
    if not folders:
        raise InputError(f"holds no {METADATA}", place=folder, remedy="check the path")
    targets = [
        target for split, part in folders.items() for target in _read_targets(part, split, folder, names)
    ]
    return _assemble(targets, folder)


@dataclass(frozen=True)
class _Target:
    picture: str
    text: str
    split: str
    neighbors: tuple[str, ...]


def _read_targets(part: Path, split: str, top: Path, names: Mapping[str, str]) -> list[_Target]:
    pictures = _Pictures(part, top)
    targets: dict[str, _Target] = {}
    for place, line in read_jsonl(part / METADATA):
        target = _read_target(line, place, split, names, pictures)
        if target.picture in targets:
            raise InputError(
                f"the target '{target.picture}' occurs a second time", place=place, remedy="keep one"
            )
        targets[target.picture] = target
    if not targets:
        raise InputError("is empty", place=part / METADATA, remedy="give it one line per target")
    return list(targets.values())


def _read_target(
    line: dict[str, Any], place: str, split: str, names: Mapping[str, str], pictures: _Pictures
) -> _Target:
    center, text, neighbors = (_value(line, names[column], place) for column in COLUMNS)
    for name, value in ((names["center"], center), (names["text"], text)):
        if not isinstance(value, str):
            raise InputError(
                f"'{name}' is {value!r:.60}, not a string", place=place, remedy="write it in quotes"
            )
    if not isinstance(neighbors, list) or not all(isinstance(name, str) for name in neighbors):
        raise InputError(
            f"'{names['neighbors']}' is not a list of strings", place=place, remedy='write ["b.jpg", "c.jpg"]'
        )
    found = dict.fromkeys(pictures.find(name, place, "neighbor") for name in neighbors)
    return _Target(pictures.find(center, place, "target"), text, split, tuple(found))


def _value(line: dict[str, Any], name: str, place: str) -> Any:
    if name not in line:
        raise InputError(
            f"the key '{name}' is missing (there is {', '.join(line) or 'nothing'})",
            place=place,
            remedy="add it, or say what it is called (`--column text=title`)",
        )
    return line[name]


class _Pictures:
    """The pictures of one folder, each looked up once."""

    def __init__(self, folder: Path, top: Path) -> None:
        self.folder = folder
        self.prefix = folder.relative_to(top)
        self.known: dict[str, str] = {}

    def find(self, name: str, place: str, role: str) -> str:
        """Path of the picture in the top folder."""
        if name not in self.known:
            self.known[name] = self._look_up(name, place, role)
        return self.known[name]

    def _look_up(self, name: str, place: str, role: str) -> str:
        try:
            clean = inside(self.folder, name, place=place)
            if (self.folder / clean).is_file():
                return (self.prefix / clean).as_posix()
        except OSError:
            pass  # a name too long for any file
        raise InputError(
            f"the {role} '{name}' is no file in {self.folder}",
            place=place,
            remedy="add the picture or mend the name",
        )


def _assemble(targets: list[_Target], root: Path) -> GraphSource:
    by_picture = {target.picture: target for target in targets}
    pictures = list(dict.fromkeys(chain(by_picture, *(target.neighbors for target in targets))))
    rows = {picture: row for row, picture in enumerate(pictures)}
    known = [by_picture.get(picture) for picture in pictures]
    nodes = NodeTable(
        ids=pictures,
        texts=[target.text if target else "" for target in known],
        pictures=list(pictures),
        splits=[target.split if target else "" for target in known],
    )
    chosen = [[rows[name] for name in target.neighbors] for target in targets]
    edges = EdgeList(
        sources=np.repeat(np.arange(len(targets)), [len(row) for row in chosen]).astype(np.int64),
        targets=np.fromiter(chain.from_iterable(chosen), np.int64),
    )
    return GraphSource(nodes, edges, root, given=_pad(chosen, len(nodes)))


def _pad(chosen: Iterable[list[int]], nodes: int) -> Int64[np.ndarray, "nodes k"]:
    rows = list(chosen)
    given = np.full((nodes, max(map(len, rows))), ABSENT, np.int64)
    for row, neighbors in enumerate(rows):
        given[row, : len(neighbors)] = neighbors
    return given


METADATA_FOLDER = GraphFormat(
    name="metadata",
    files=f"{METADATA}, also in train, val and test",
    signs=lambda path: bool(metadata_folders(path)),
    read=read_metadata,
)
