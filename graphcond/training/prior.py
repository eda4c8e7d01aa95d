"""Prior preservation: pictures with prompts and without a graph, read or drawn by the base."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from graphcond.errors import InputError, at
from graphcond.graphs.reading.tabular import read_jsonl
from graphcond.io.cache import UNFINISHED, cache_entry, cached
from graphcond.io.files import default_cache_folder, inside
from graphcond.io.fingerprint import fingerprint
from graphcond.io.locks import claimed
from graphcond.io.pictures import write_picture
from graphcond.model import GraphModel
from graphcond.pipeline import GraphPipeline
from graphcond.progress import Progress, silent
from graphcond.recipe.pictures import PriorConfig
from graphcond.training.randomness import Purpose, generator_of

METADATA, ROOM = "metadata.jsonl", "prior"

Prior = Sequence[tuple[Path, str]]
"""The file and the prompt of each picture."""


def prior_pictures(
    config: PriorConfig, model: GraphModel, texts: Iterable[str], progress: Progress | None = None
) -> Prior:
    """The pictures at the path, or those of the cache, which are drawn if they are not there yet.

    Of processes that ask for the same ones at once, one draws.

    Args:
        config: of the recipe.
        model: its base draws, without conditions and updates.
        texts: prompts to draw unless ``config`` has some.
        progress: called as pictures are drawn.

    Raises:
        InputError: a file is missing or names no pictures, or the base cannot draw.
    """
    if config.path is not None:
        return read_prior(config.path)
    recipe, base = model.recipe, model.base
    prompts = list(config.prompts or dict.fromkeys(texts))
    steps, side, seed = recipe.training.preview_steps, recipe.data.resolution, recipe.training.seed
    settings = (config.generate, prompts, steps, side, seed, recipe.guidance.text)
    key = f"drawn-{fingerprint(base.weights_version(), base.prompts_version(), *settings)}"
    if found := cached(ROOM, key, read_prior):
        return found
    waiting = default_cache_folder() / UNFINISHED / key
    with claimed(waiting / "whole.lock", wait=True):
        if not cached(ROOM, key, read_prior):  # else another process has drawn them just now
            _draw(config, model, prompts, key, progress)
    shutil.rmtree(waiting, ignore_errors=True)
    return read_prior(default_cache_folder() / ROOM / key)


def _draw(
    config: PriorConfig, model: GraphModel, prompts: Sequence[str], key: str, progress: Progress | None
) -> None:
    """Draw the prompts in turn into an entry of the cache."""
    recipe, count = model.recipe, config.generate or 0
    side, size = recipe.data.resolution, recipe.training.batch_size
    pipe = GraphPipeline(GraphModel(model.base, (), feature_width=model.feature_width))
    lines = []
    with cache_entry(ROOM, key) as folder:
        for start in range(0, count, size):
            numbers = range(start, min(start + size, count))
            drawn = pipe(
                [prompts[number % len(prompts)] for number in numbers],
                num_inference_steps=recipe.training.preview_steps,
                height=side,
                width=side,
                guidance_scale=recipe.guidance.text,
                generator=[generator_of(recipe.training.seed, Purpose.PRIOR, number) for number in numbers],
                on_step=silent("prior"),
            )
            for number, picture in zip(numbers, drawn.images, strict=True):
                write_picture(folder / f"{number:08d}.png", picture)
                prompt = prompts[number % len(prompts)]
                lines.append(json.dumps({"file_name": f"{number:08d}.png", "text": prompt}))
            if progress is not None:
                progress(numbers.stop, count)
        (folder / METADATA).write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_prior(folder: Path) -> Prior:
    """The pictures of a folder with a ``metadata.jsonl``, as the library datasets has them.

    Raises:
        InputError: there is none, it is empty, or a line names no picture in the folder or no text.
    """
    found = []
    for place, line in read_jsonl(folder / METADATA):
        with at(place):
            name, text = line.get("file_name"), line.get("text")
            if not isinstance(name, str) or not isinstance(text, str):
                raise InputError(
                    "expected a picture and its prompt", remedy='write {"file_name": "a.png", "text": "..."}'
                )
            file = folder / inside(folder, name)
            if not file.is_file():
                raise InputError(f"there is no picture '{name}'", remedy="add it, or remove the line")
            found.append((file, text))
    if not found:
        raise InputError("the file names no pictures", place=folder / METADATA, remedy="add some")
    return found
