"""graphcond generate --targets: a folder of pictures, one for each of many nodes or scenes."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graphcond.errors import InputError
from graphcond.io.terminal import say

if TYPE_CHECKING:
    import numpy as np

    from graphcond.evaluation.drawn import Batches, DrawnFolder
    from graphcond.precompute.places import Place
    from graphcond.progress import Watch
    from graphcond.recipe.sections import AnyData


def check_alone(**others: object) -> None:
    """Check that no option is given that is for a single picture.

    Raises:
        InputError: one is.
    """
    given = ", ".join(f"--{name}" for name, value in others.items() if value)
    if given:
        raise InputError(
            "the targets have prompts and graphs of their own",
            place=given,
            remedy="leave it out, or --targets",
        )


@dataclass(frozen=True)
class Loading:
    """What a worker needs to know to draw the targets of a folder."""

    model: str
    batch: int
    seed: int
    settings: dict[str, Any]
    device: str | None
    base: Path | None
    trust_remote_code: bool

    def batches(self, folder: DrawnFolder, watch: Watch) -> Batches:
        """Load the model.

        Raises:
            InputError: it cannot be loaded, or the device is not there.
        """
        from graphcond.evaluation.arms import DrawSettings, ModelPictures
        from graphcond.evaluation.drawn import Batches
        from graphcond.io.tensors import pick_device
        from graphcond.pipeline import GraphPipeline
        from graphcond.progress import during

        with during(watch, "loading"):
            pipe = GraphPipeline.from_pretrained(
                self.model,
                device=pick_device(self.device, place="--device"),
                base=self.base,
                trust_remote_code=self.trust_remote_code,
            )
        data = folder.data
        progress = watch(f"embedding {data.embedded}")
        views = data.views(pipe.model.recipe, pipe.model.extractors, progress=progress)
        settings = DrawSettings(**self.settings)
        # Not sampled for all: each worker samples for what it draws.
        maker = ModelPictures(pipe, views, folder.rows, settings, shuffle_seed=self.seed, sampled=False)
        return Batches(maker, self.batch, self.seed)


def draw_targets(
    asked: str,
    out: Path,
    loading: Loading,
    *,
    graph: Path | None,
    place: Place | None,
    as_json: bool,
) -> None:
    """Draw the pictures that ``out`` lacks, and a sheet of the first ones.

    Raises:
        InputError: there are no targets, or the folder holds other pictures.
        StorageError: the folder cannot be written.
    """
    from graphcond.cli.evaluate import data_of
    from graphcond.data.open import open_data
    from graphcond.evaluation.drawn import DrawnFolder, rows_asked
    from graphcond.io.files import check_writable
    from graphcond.io.fingerprint import file_digest, fingerprint
    from graphcond.progress import during, progress_bars
    from graphcond.saving.model_folder import saved_recipe

    check_writable(out / "sheet.png")
    model = loading.model
    config = data_of(saved_recipe(model), None if graph is None else graph.absolute())
    with progress_bars() as watch:
        data = open_data(config, progress=watch("drawing pictures of the world"))
        rows = rows_asked(data, asked)
        files = sorted(Path(model).rglob("*.safetensors")) if Path(model).is_dir() else []
        about = {
            "model": fingerprint(*map(file_digest, files)) if files else model,
            "data": fingerprint(list(data.ids), list(data.texts)),
            "seed": loading.seed,
            **loading.settings,
        }
        folder = DrawnFolder(out, data, rows, about)
        folder.check()  # refused before anything is loaded
        there = len(rows) - len(folder.missing(rows.tolist()))
        if place is None:
            batches = loading.batches(folder, watch)
            folder.draw(batches, progress=watch("drawing"))
            with during(watch, "drawing the sheet"):
                folder.write_sheet(batches)
        else:
            load = partial(_loaded, loading, config, rows)
            folder.draw_on(place, load, loading.batch, progress=watch("drawing"))
            with during(watch, "drawing the sheet"):
                folder.write_sheet_on(place, load)
    if as_json:
        say(json.dumps({"out": str(out), "targets": len(rows), "were_there": there, "seed": loading.seed}))
    else:
        kept = f", {there} of them were there" if there else ""
        say(f"{out}: {len(rows)} pictures{kept}, seed {loading.seed}; {out / 'sheet.png'} compares the first")


def _loaded(loading: Loading, config: AnyData, rows: np.ndarray) -> tuple[DrawnFolder, Batches]:
    """In a worker: the targets, and what draws them; nothing is written there."""
    from graphcond.data.open import open_data
    from graphcond.evaluation.drawn import DrawnFolder
    from graphcond.progress import silent

    folder = DrawnFolder(Path(), open_data(config), rows, {})
    return folder, loading.batches(folder, silent)
