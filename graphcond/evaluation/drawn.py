"""Pictures of many targets in a folder, drawn in batches, by one or several processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import quote

import numpy as np
from jaxtyping import Int64
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from graphcond.attributed_graph import ABSENT
from graphcond.data.dataset import Dataset
from graphcond.drawing.sheets import contact_sheet
from graphcond.errors import InputError
from graphcond.evaluation.arms import Arm, ModelPictures
from graphcond.io.files import read_json, read_text, write_json, writing
from graphcond.io.fingerprint import fingerprint
from graphcond.io.locks import claimed, divided
from graphcond.io.pictures import open_picture, open_square, write_picture
from graphcond.precompute.places import Place
from graphcond.progress import Progress
from graphcond.scenes import draw_graph

SETTINGS, LOCKS, SHEET = "drawn.json", ".locks", "sheet.png"
SHEET_ROWS, SHEET_NEIGHBORS, SHEET_AMONG = 8, 3, 64
"""Rows of a sheet, neighbors in a row, and targets among which graphs are shuffled."""
LONGEST_NAME = 200
"""Letters of a file name; most file systems take 255 bytes."""


def rows_asked(data: Dataset, asked: str) -> Int64[np.ndarray, " n"]:
    """The rows that ``--targets`` names: a file with an id on each line, a split, or ``all``.

    Raises:
        InputError: there is no such file and no such split, the file cannot be read, an id does not exist, or
            no target is named.
    """
    if Path(asked).is_file():
        lines = (line.strip() for line in read_text(Path(asked), encoding="utf-8-sig").splitlines())
        ids = list(dict.fromkeys(line for line in lines if line))
        if not ids:
            raise InputError("the file names no targets", place=asked, remedy="write an id on each line")
        return data.rows_of(*ids)
    if asked == "all":
        rows = np.arange(len(data))
    elif data.columns.splits is None:
        problem = f"there is no file '{asked}', and the data have no splits"
        raise InputError(problem, place="--targets", remedy="name a file of ids, or all")
    else:
        rows = data.rows(asked, place="--targets")
    if not len(rows):
        raise InputError("there are no targets", place="--targets", remedy="name data that have some")
    return rows


@dataclass(frozen=True)
class Batches:
    """Draws targets in batches.

    Args:
        maker: draws them.
        size: pictures that are drawn at once.
        seed: of the noise.
    """

    maker: ModelPictures
    size: int
    seed: int

    def make(self, rows: Sequence[int], arm: Arm) -> Iterator[tuple[int, Image.Image]]:
        """The picture of each row, with its row."""
        for start in range(0, len(rows), self.size):
            some = rows[start : start + self.size]
            yield from zip(some, self.maker.make(np.array(some, np.int64), arm, self.seed), strict=True)


@dataclass(frozen=True)
class DrawnFolder:
    """A folder with a picture for each of many targets.

    Args:
        folder: the folder.
        data: the targets.
        rows: which of them.
        about: everything that determines the pictures; it is kept in the folder.
    """

    folder: Path
    data: Dataset
    rows: Int64[np.ndarray, " n"]
    about: dict[str, Any]

    def file(self, row: int) -> Path:
        """The file of a target, named by its id."""
        name = quote(self.data.ids[row], safe=" !#$&'()+,;=@[]^{}~")
        if len(name) > LONGEST_NAME:
            name = f"{name[:LONGEST_NAME]}-{fingerprint(name)[:8]}"
        return self.folder / f"{name}.png"

    def check(self) -> None:
        """Check that the pictures in the folder have the same settings; write these into a new folder.

        Raises:
            InputError: the settings differ, or something else wrote the pictures.
            StorageError: the folder cannot be written.
        """
        file = self.folder / SETTINGS
        if not file.exists():
            if any(self.file(row).exists() for row in self.rows.tolist()):
                problem = "the folder holds pictures that this command did not draw"
                raise InputError(problem, place=self.folder, remedy="name another folder with --out")
            with writing(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
            write_json(file, self.about)
            return
        found = read_json(file)
        other = [
            name
            for name, value in self.about.items()
            if not isinstance(found, dict) or found.get(name) != value
        ]
        if other:
            raise InputError(
                f"the folder holds pictures that were drawn with another {', '.join(other)}",
                place=self.folder,
                remedy="name another folder with --out",
            )

    def missing(self, rows: Sequence[int]) -> list[int]:
        """Those of ``rows`` that have no picture yet."""
        return [row for row in rows if not self.file(row).exists()]

    def draw(self, batches: Batches, *, progress: Progress) -> None:
        """Draw the pictures that are missing; processes that do so at once divide the batches.

        Args:
            batches: draws them.
            progress: called with the number of pictures that exist, and of all.

        Raises:
            StorageError: a picture cannot be written.
        """
        rows, parts = self.rows, self._parts(batches.size)
        left = {part: len(self.missing(some)) for part, some in parts.items()}
        all_left = sum(left.values())
        progress(len(rows) - all_left, len(rows))

        def done(part: str) -> bool:
            nonlocal all_left
            now = len(self.missing(parts[part])) if left[part] else 0
            if now != left[part]:
                all_left += now - left[part]
                left[part] = now
                progress(len(rows) - all_left, len(rows))
            return not now

        def do(part: str) -> None:
            for row, picture in batches.make(self.missing(parts[part]), "graph"):
                self._write(row, picture)
            done(part)

        divided(self.folder / LOCKS, list(parts), done, do)

    def draw_on(self, place: Place, load: Load, size: int, *, progress: Progress) -> None:
        """Draw the pictures that are missing in the workers of a place; this process writes them.

        The pictures are those of `draw`.

        Args:
            place: where the workers are.
            load: called in each worker.
            size: pictures that a worker draws at once.
            progress: as for `draw`.

        Raises:
            InputError: as `Place.run`.
            StorageError: a picture cannot be written.
        """
        parts = [missing for rows in self._parts(size).values() if (missing := self.missing(rows))]
        done = len(self.rows) - sum(map(len, parts))
        progress(done, len(self.rows))
        for drawn in place.run(partial(_pictures, load), parts) if parts else ():
            for row, picture in drawn:
                self._write(row, picture)
            done += len(drawn)
            progress(done, len(self.rows))

    def write_sheet(self, batches: Batches) -> None:
        """Write the sheet if it is missing: the first targets with their graph, none and a wrong one."""
        with claimed(self.folder / LOCKS / "sheet.lock", wait=True):
            if not (self.folder / SHEET).exists():
                write_picture(self.folder / SHEET, self.sheet(batches, self._on_sheet()))
        shutil.rmtree(self.folder / LOCKS, ignore_errors=True)

    def write_sheet_on(self, place: Place, load: Load) -> None:
        """Write the sheet of `write_sheet`, drawn in a worker of a place."""
        if not (self.folder / SHEET).exists():
            for sheet in place.run(partial(_sheet, load), [self._on_sheet()]):
                write_picture(self.folder / SHEET, sheet)

    def _parts(self, size: int) -> dict[str, list[int]]:
        rows: list[int] = self.rows.tolist()
        return {f"{start:08d}": rows[start : start + size] for start in range(0, len(rows), size)}

    def _write(self, row: int, picture: Image.Image) -> None:
        note = PngInfo()
        made = {"id": self.data.ids[row], "prompt": self.data.texts[row], **self.about}
        note.add_itxt("graphcond", json.dumps(made))
        write_picture(self.file(row), picture, pnginfo=note)

    def _on_sheet(self) -> list[Image.Image]:
        return [open_picture(self.file(row)) for row in self.rows[:SHEET_ROWS].tolist()]

    def sheet(self, batches: Batches, own: Sequence[Image.Image]) -> Image.Image:
        """The first targets, whose pictures are ``own``, also drawn without graph and with a wrong one."""
        rows = self.rows[:SHEET_ROWS].tolist()
        batches = replace(batches, maker=batches.maker.among(self.rows[:SHEET_AMONG]))
        arms: tuple[Arm, ...] = ("no_graph", "shuffled_graph")
        without, wrong = ([picture for _, picture in batches.make(rows, arm)] for arm in arms)
        contexts = self._contexts(batches.maker, self.rows[:SHEET_ROWS])
        truths = [self._picture(row, own[0].width) for row in rows]
        columns = {
            **contexts,
            **({"true picture": truths} if any(truths) else {}),
            "no graph": without,
            "graph": own,
            "wrong graph": wrong,
        }
        return contact_sheet(
            list(zip(*columns.values(), strict=True)),
            row_labels=[self.data.texts[row] for row in rows],
            column_labels=list(columns),
            group_starts={len(contexts)},
        )

    def _contexts(
        self, maker: ModelPictures, rows: Int64[np.ndarray, " b"]
    ) -> dict[str, list[Image.Image | None]]:
        """Columns of a sheet that show what the first condition reads: neighbors, or the scene graph."""
        scenes = self.data.scene_graphs(rows)
        if scenes:
            return {"scene graph": [draw_graph(scene, 256) for scene in scenes]}
        chosen = maker.context("graph", next(iter(maker.contexts))).neighbors[: len(rows), :SHEET_NEIGHBORS]
        return {
            f"neighbor {place + 1}": [self._picture(row, 256) for row in column.tolist()]
            for place, column in enumerate(chosen.T)
        }

    def _picture(self, row: int, side: int) -> Image.Image | None:
        path = None if row == ABSENT else self.data.picture_path(row)
        return None if path is None else open_square(path, side)


Load: TypeAlias = Callable[[], tuple[DrawnFolder, Batches]]
"""Opens the data and loads the model, in a worker."""


def _pictures(load: Load) -> Callable[[list[int]], list[tuple[int, Image.Image]]]:
    """In a worker: the function that draws some rows."""
    batches = load()[1]
    return lambda rows: [*batches.make(rows, "graph")]


def _sheet(load: Load) -> Callable[[list[Image.Image]], Image.Image]:
    """In a worker: the function that draws the sheet, of the pictures that are drawn already."""
    folder, batches = load()
    return lambda own: folder.sheet(batches, own)
