"""InstructG2I's folders: pictures beside a ``metadata.jsonl`` of targets and their neighbors.

Each line is ``{"center": "a.jpg", "text": "...", "neighbors": ["b.jpg", ...]}``, as the release of arXiv
2410.07157 reads it. Such folders that lie in one folder and are named after splits
(train, validation, test, ...) are read as one graph.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from math import isnan
from pathlib import Path
from typing import Any

import numpy as np

from graphcond.attributed_graph import ABSENT, AttributedGraph, EdgeList, NodeTable
from graphcond.context import NeighborContext
from graphcond.errors import InputError, at, respelled
from graphcond.graphs.columns import NO_TEXT, PROMPTS, are_texts, several_prompts
from graphcond.graphs.reading.tabular import read_jsonl
from graphcond.graphs.source import GraphFormat, GraphSource, column_names
from graphcond.graphs.usual import usual_columns
from graphcond.io.files import atomic_file, inside
from graphcond.io.tally import BadRows, Tally
from graphcond.splits import TRAIN, by_split, is_split


def export_metadata(graph: AttributedGraph, context: NeighborContext, file: Path | str) -> None:
    """Write one line ``{"center", "text", "neighbors"}`` per target of ``context``, neighbors best first.

    The InstructG2I release (arXiv 2410.07157) and `read_metadata` read the file. Neighbors without a
    picture are left out, since the format names nodes by their pictures.

    Args:
        graph: the graph of the targets and their neighbors.
        context: the neighbors that a sampler chose.
        file: the file to write, such as ``metadata.jsonl``; pictures lie in its folder or below.

    Raises:
        InputError: a target has no picture, or a picture lies outside the file's folder.
    """
    file = Path(file)
    with atomic_file(file) as temporary, temporary.open("w", encoding="utf-8") as lines:
        for target, neighbors in zip(context.targets.tolist(), context.neighbors.tolist(), strict=True):
            center = _picture(graph, target, file)
            if center is None:
                problem = f"the target '{graph.nodes.ids[target]}' has no picture"
                raise InputError(problem, place=file, remedy="leave that target out")
            pictures = (_picture(graph, node, file) for node in neighbors if node != ABSENT)
            chosen = [picture for picture in pictures if picture is not None]
            line = {"center": center, "text": graph.nodes.texts[target], "neighbors": chosen}
            lines.write(json.dumps(line, ensure_ascii=False) + "\n")


def _picture(graph: AttributedGraph, node: int, file: Path) -> str | None:
    path = graph.picture_path(node)
    if path is None:
        return None
    relative = Path(os.path.relpath(path, file.parent))
    if relative.parts[0] == "..":
        problem = f"the picture {path} lies outside the folder of {file.name}"
        raise InputError(problem, place=file, remedy=f"write the file into {graph.root}")
    return relative.as_posix()


METADATA = "metadata.jsonl"
COLUMNS = ("center", "text", "neighbors")


def metadata_folders(folder: Path) -> dict[str, Path]:
    """The folders with a ``metadata.jsonl``, by split: ``folder`` itself, or its split folders."""
    if (folder / METADATA).is_file():
        name = folder.resolve().name
        return {name if is_split(name) else TRAIN: folder}
    return by_split(_parts(folder))


def _parts(folder: Path) -> list[Path]:
    """The folders in ``folder`` that hold a ``metadata.jsonl``."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(folder / entry.name for entry in entries if (folder / entry.name / METADATA).is_file())


def read_metadata(
    folder: Path | str, columns: Mapping[str, str] | None = None, bad: BadRows | None = None
) -> GraphSource:
    """Read the folder as a graph that brings the neighbors of its targets along.

    A node is a picture; its id is the picture's path in ``folder``. Targets have a text and a split (the
    name of the split folder, else train). Pictures that only occur as neighbors have the text "" and the
    split "". Edges go from targets to their neighbors.

    Args:
        folder: holds ``metadata.jsonl``, or split folders with such files.
        columns: the names of the keys ``center``, ``text`` and ``neighbors``, where they differ.
        bad: what to do with broken lines and missing pictures; they are errors unless given.

    Raises:
        InputError: a line is broken, a key is missing or has another type, a target occurs twice, or a
            picture is missing or lies outside its folder.
    """
    folder = Path(folder)
    names = column_names(COLUMNS, columns)
    folders = metadata_folders(folder)
    if not folders:
        raise InputError(f"there is no {METADATA}", place=folder, remedy="check the path")
    targets: list[_Target] = []
    bad = bad or BadRows()
    for split, part in folders.items():
        targets += _Folder(part, folder, split, names, bad).targets()
    by_picture = {target.picture: target for target in targets}
    # Targets come first, then the pictures that are only neighbors.
    pictures = list(dict.fromkeys(chain(by_picture, *(target.neighbors for target in targets))))
    rows = {picture: row for row, picture in enumerate(pictures)}
    known = [by_picture.get(picture) for picture in pictures]
    texts, prompts = several_prompts([target.text if target else "" for target in known])
    nodes = NodeTable(
        ids=pictures,
        texts=texts,
        pictures=list(pictures),
        attributes={} if prompts is None else {PROMPTS: prompts},
        splits=[target.split if target else "" for target in known],
    )
    chosen = [[rows[name] for name in target.neighbors] for target in targets]
    given = np.full((len(nodes), max(map(len, chosen))), ABSENT, np.int64)
    for row, neighbors in enumerate(chosen):
        given[row, : len(neighbors)] = neighbors
    edges = EdgeList(
        sources=np.repeat(np.arange(len(targets)), [len(row) for row in chosen]).astype(np.int64),
        targets=np.fromiter(chain.from_iterable(chosen), np.int64),
    )
    # The folders that hold such files and are no splits, and the texts that are missing.
    others = [part.name for part in _parts(folder) if part not in folders.values()]
    missing = sum(target.text_is_missing for target in targets)
    left_out = {"texts": {NO_TEXT: missing}} if missing else {}
    if others:
        left_out["folders"] = {f"'{name}' is not named after a split": 1 for name in others}
    lost = Tally({"folders": len(folders)} if others else {}, left_out)
    return GraphSource(nodes, edges, folder, given=given, tally=bad.tally() + lost)


@dataclass(frozen=True)
class _Target:
    picture: str
    text: str
    split: str
    neighbors: tuple[str, ...]
    text_is_missing: bool


@dataclass
class _Folder:
    """The folder of a split, whose targets are read; each picture is looked up on disk once."""

    folder: Path
    top: Path
    split: str
    names: Mapping[str, str]
    bad: BadRows
    known: dict[str, str] = field(default_factory=dict)

    def targets(self) -> list[_Target]:
        targets: dict[str, _Target] = {}
        for place, line in read_jsonl(self.folder / METADATA, bad=self.bad):
            with self.bad.row("targets"), at(place):
                target = self.target(line)
                if target.picture in targets:
                    problem = f"the target '{target.picture}' occurs a second time"
                    raise InputError(problem, remedy="keep one")
                targets[target.picture] = target
        if not targets:
            file = self.folder / METADATA
            raise InputError("the file is empty", place=file, remedy="give it one line per target")
        return list(targets.values())

    def target(self, line: dict[str, Any]) -> _Target:
        names = self.names
        if any(names[column] not in line for column in COLUMNS):
            guessed = usual_columns(line, names, COLUMNS)
            self.bad.columns |= guessed
            names = {**names, **guessed}
        for column in COLUMNS:
            if names[column] not in line:
                problem = f"the key '{names[column]}' is missing (there is {', '.join(line) or 'nothing'})"
                raise InputError(problem, remedy=f"add it, or give its name (`--column {column}=...`)")
        center, text, neighbors = (line[names[column]] for column in COLUMNS)
        if are_texts(text):
            text = json.dumps(text, ensure_ascii=False)
        missing = text is None or (isinstance(text, float) and isnan(text))
        for name, value in ((names["center"], center), (names["text"], "" if missing else text)):
            if not isinstance(value, str):
                remedy = "name the picture" if value is None else "write it in quotes"
                raise InputError(f"'{name}' is {value!r:.60}, not a string", remedy=remedy)
        if not isinstance(neighbors, list) or not all(isinstance(name, str) for name in neighbors):
            problem = f"'{names['neighbors']}' is not a list of strings"
            raise InputError(problem, remedy='write ["b.jpg", "c.jpg"]')
        target, found = self.find(center, "target"), dict[str, None]()
        for name in neighbors:
            with self.bad.row("neighbors"):
                found[self.find(name, "neighbor")] = None
        return _Target(target, "" if missing else text, self.split, tuple(found), missing)

    def find(self, name: str, role: str) -> str:
        """The path of a picture in the top folder; ``role`` is its role in errors."""
        if name not in self.known:
            try:
                clean = inside(self.folder, name)
                found = (self.folder / clean).is_file()
            except OSError:  # the name is too long for a file
                found = False
            if not found:
                path, near = self.folder / name, None
                with suppress(OSError):
                    near = respelled(path.name, (other.name for other in path.parent.iterdir()))
                problem = f"the {role} '{name}' is not a file in {self.folder}"
                raise InputError(problem, remedy=near or "add the picture or correct the name")
            self.known[name] = (self.folder.relative_to(self.top) / clean).as_posix()
        return self.known[name]


METADATA_FOLDER = GraphFormat(
    name="metadata",
    files=f"{METADATA}, also in train, validation and test",
    signs=lambda path: bool(metadata_folders(path)),
    read=read_metadata,
    skips=True,
)
