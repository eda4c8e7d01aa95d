"""From a recipe's ``data`` to a dataset: read from a folder, or a world that is drawn when first needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from graphcond import worlds
from graphcond.attributed_graph import NodeTable
from graphcond.data.dataset import Dataset, GraphDataset, SceneDataset
from graphcond.errors import InputError
from graphcond.graphs import load_graph, open_graph, save_world
from graphcond.io.cache import cache_entry, cached
from graphcond.io.files import default_cache_folder
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.progress import Progress
from graphcond.recipe.sections import AnyData, MmagData, SceneData, WorldData
from graphcond.scene_graph import SceneSet
from graphcond.scenes import load_scene_set, open_scene_folder, save_scene_world
from graphcond.splits import held_out_at_random
from graphcond.worlds.scenes import SceneWorld

Columns = TypeVar("Columns", NodeTable, SceneSet)

SETTINGS = {
    "art": {name: name for name in ("noise", "paintings_per_artist", "resolution", "seed")},
    "emoji": {"noise": "noise", "seed": "seed"},
    "scenes": {
        "count": "scenes",
        **{name: name for name in ("difficulty", "resolution", "validation", "seed")},
    },
}
"""For each world, its arguments and the recipe's settings that give them."""


def open_data(
    config: AnyData, *, progress: Progress | None = None, say: Callable[[str], None] | None = None
) -> Dataset:
    """The data of a recipe: read from its path, or a world that is drawn when it is first needed.

    Args:
        config: a recipe's ``data``.
        progress: called while pictures of a world are drawn.
        say: called with a sentence for everything in the files that was left out, is missing or looks wrong.

    Raises:
        InputError: no path is set, the path cannot be read, or the world cannot be drawn.
    """
    if config.kind == "world":
        return _open_world(config, progress)
    if config.path is None:
        what = "scene graphs lie" if config.kind == "scenes" else "graph lies"
        raise InputError("is not set", place="data.path", remedy=f"say where the {what}: --set data.path=...")
    if config.kind == "mmag":
        graph = load_graph(config.path, skip_bad_rows=config.skip_bad_rows, say=say)
        return GraphDataset(replace(graph, nodes=_held_out(graph.nodes, config)))
    scenes = load_scene_set(
        config.path,
        format=config.format,
        pictures=config.pictures,
        prompt=config.prompt,
        seed=config.seed,
        skip_bad_rows=config.skip_bad_rows,
        report=say,
    )
    if config.prompt_from != "fixed":
        if scenes.captions is None:
            raise InputError(
                "the scenes have no captions",
                place="data.prompt_from",
                remedy="use 'fixed' with a data.prompt",
            )
        scenes = replace(
            scenes, texts=[caption or config.prompt for caption in scenes.captions], prompts=None
        )
    return SceneDataset(_held_out(scenes, config))


def _held_out(columns: Columns, config: MmagData | SceneData) -> Columns:
    """The rows, with a split where they have none and the recipe asks for one."""
    if config.hold_out is None or any(columns.splits or ()):
        return columns
    seed = config.seed if config.kind == "scenes" else 0
    splits = held_out_at_random(columns.pictures, config.hold_out, seed=seed, place="data.hold_out")
    return replace(columns, splits=splits)


def _open_world(config: WorldData, progress: Progress | None) -> Dataset:
    settings = {name: getattr(config, setting) for name, setting in SETTINGS[config.world].items()}
    key = f"{config.world}-{fingerprint(sorted(settings.items()), source_version(worlds))}"

    def read(folder: Path) -> Dataset:
        if config.has_scenes:
            return SceneDataset(open_scene_folder(folder))
        return GraphDataset(open_graph(folder))

    found = cached("worlds", key, read)
    if found is not None:
        return found
    try:
        with cache_entry("worlds", key) as folder:
            if config.has_scenes:
                save_scene_world(SceneWorld(**settings), folder, progress=progress)
            else:
                save_world(worlds.GRAPH_WORLDS[config.world](**settings), folder, progress=progress)
        return read(default_cache_folder() / "worlds" / key)
    except InputError:
        raise
    except ValueError as error:
        raise InputError(str(error), place="data", remedy="choose another value") from None
