"""graphcond generate --targets: a folder of pictures, one for each of many nodes or scenes."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from graphcond.errors import InputError
from graphcond.io.terminal import plain, say


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


def draw_targets(
    model: str,
    asked: str,
    out: Path,
    *,
    graph: Path | None,
    batch: int,
    seed: int,
    settings: dict[str, Any],
    device: str | None,
    base: Path | None,
    trust_remote_code: bool,
    as_json: bool,
) -> None:
    """Draw the pictures that ``out`` lacks, and a sheet of the first ones.

    Raises:
        InputError: there are no targets, or the folder holds other pictures.
        StorageError: the folder cannot be written.
    """
    from graphcond.cli.evaluate import data_of
    from graphcond.data.open import open_data
    from graphcond.evaluation.arms import DrawSettings, ModelPictures
    from graphcond.evaluation.drawn import Batches, DrawnFolder, rows_asked
    from graphcond.io.files import check_writable
    from graphcond.io.fingerprint import file_digest, fingerprint
    from graphcond.io.tensors import pick_device
    from graphcond.pipeline import GraphPipeline
    from graphcond.progress import during, progress_bars
    from graphcond.saving.model_folder import saved_recipe

    check_writable(out / "sheet.png")
    recipe = saved_recipe(model)
    with progress_bars() as watch:
        data = open_data(data_of(recipe, graph), progress=watch("drawing pictures of the world"))
        rows = rows_asked(data, asked)
        files = sorted(Path(model).rglob("*.safetensors")) if Path(model).is_dir() else []
        about = {
            "model": fingerprint(*map(file_digest, files)) if files else model,
            "data": fingerprint(list(data.ids), list(data.texts)),
            "seed": seed,
            **settings,
        }
        folder = DrawnFolder(out, data, rows, about)
        folder.check()  # refused before anything is loaded
        there = len(rows) - len(folder.missing(rows.tolist()))
        with during(watch, "loading"):
            pipe = GraphPipeline.from_pretrained(
                model,
                device=pick_device(device, place="--device"),
                base=base,
                trust_remote_code=trust_remote_code,
            )
        progress = watch(f"embedding {data.embedded}")
        views = data.views(pipe.model.recipe, pipe.model.extractors, progress=progress)
        maker = ModelPictures(pipe, views, rows, DrawSettings(**settings), shuffle_seed=seed)
        batches = Batches(maker, batch, seed, lambda line: print(plain(line), file=sys.stderr))
        folder.draw(batches, progress=watch("drawing"))
        with during(watch, "drawing the sheet"):
            folder.write_sheet(batches)
    if as_json:
        say(json.dumps({"out": str(out), "targets": len(rows), "were_there": there, "seed": seed}))
    else:
        kept = f", {there} of them were there" if there else ""
        say(f"{out}: {len(rows)} pictures{kept}, seed {seed}; {out / 'sheet.png'} compares the first")
