"""Back to InstructG2I's ``metadata.jsonl``."""

from __future__ import annotations

import json
import os
from pathlib import Path

from graphcond.errors import InputError
from graphcond.files import atomic_file
from graphcond.types import ABSENT, AttributedGraph, NeighborContext


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
