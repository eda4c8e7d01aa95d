"""Folders of the Multimodal Graph Benchmark (MM-Graph, Zhu et al., arXiv 2406.16321).

Node classification has ``nc_edges-nodeid.pt``, link prediction ``lp-edge-split-*.pt``. Every ``.pt`` file is
read without running code in it. Samplers read features, such as ``clip_feat.pt``, from their files.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from graphcond.errors import InputError, at, respelled
from graphcond.graphs.groups import (
    MASK,
    OWN_NAMES,
    PLAIN,
    EdgeGroup,
    Groups,
    NodeGroup,
    VectorReaders,
    check_room,
    feature_rows,
    mask_of,
    source_of,
)
from graphcond.graphs.reading.arrays import as_array, as_rows, pictures_by_stem
from graphcond.graphs.reading.tabular import read_jsonl
from graphcond.graphs.source import GraphFormat, GraphSource, column_names
from graphcond.graphs.usual import usual_columns
from graphcond.io.tally import Tally
from graphcond.io.tensors import load_torch_file

CLASSIFICATION, LINKS = "nc_edges-nodeid.pt", "lp-edge-split*.pt"
FEATURES = "*_feat.pt"
COLUMNS = ("id", "text")
SPLITS = {"train_idx": "train", "val_idx": "val", "test_idx": "test"}


def read_mm_graph(folder: Path | str, columns: Mapping[str, str] | None = None) -> GraphSource:
    """Read an MM-Graph folder.

    Ids are the raw ids of ``node_mapping.pt``, in the order of the features; without it, row numbers. Of link
    prediction, only the training edges are read: the others are to be predicted. Texts come from
    ``*-raw-text.jsonl``, pictures from the folder that ``*-images.tar`` unpacks to, both by raw id.

    Args:
        folder: the folder.
        columns: the names of ``id`` and ``text`` in ``*-raw-text.jsonl``, where they differ.

    Raises:
        InputError: a file is damaged or holds a pickled object, there are several of a kind, rows do not
            match, or an edge or a split names an unknown node.
    """
    folder = Path(folder)
    names = column_names(COLUMNS, columns)
    sources, targets, edge_file = _edges(folder)
    known = _known(folder)
    count = _count(folder, known, sources, targets)
    ids = known.get("id") or [str(row) for row in range(count)]
    taken: dict[str, str] = {}
    node_columns = {**known, **_texts(folder, ids, names, taken)}
    file = folder / "split.pt"
    if file.is_file():
        split = load_torch_file(file)
        with at(file):
            for key, name in SPLITS.items():
                rows = as_rows(_part(split, key), f"'{key}'")
                node_columns[f"{name}{MASK}"] = mask_of(rows, count, key)
    pictures = pictures_by_stem(folder, "*images")
    if pictures:
        node_columns["image"] = [pictures.get(node_id) for node_id in ids]
    groups = Groups(
        {PLAIN: NodeGroup(count, node_columns)},
        {(PLAIN, PLAIN, PLAIN): EdgeGroup(sources, targets, {})},
    )
    source = source_of(groups, OWN_NAMES, root=folder, place=edge_file)
    return replace(source, tally=source.tally + Tally(columns=taken))


def mm_graph_features(folder: Path) -> VectorReaders:
    """The features, such as ``clip_feat``, by name."""

    def read(file: Path) -> Any:
        sources, targets, _ = _edges(folder)
        count = _count(folder, _known(folder), sources, targets)
        group = NodeGroup(count, {file.stem: load_torch_file(file)})
        return feature_rows(Groups({PLAIN: group}, {}), file.stem, file)

    return {file.stem: partial(read, file) for file in sorted(folder.glob(FEATURES))}


def _edges(folder: Path) -> tuple[Int64[np.ndarray, " edges"], Int64[np.ndarray, " edges"], Path]:
    file = folder / CLASSIFICATION
    if file.is_file():
        pairs = load_torch_file(file)
        with at(file):
            pairs = as_array(pairs, "edges")
            if pairs.size and (pairs.ndim != 2 or pairs.shape[1] != 2):
                problem = f"expected edges of shape (edges, 2), got {pairs.shape}"
                raise InputError(problem, remedy="make it (edges, 2)")
            pairs = pairs.reshape(-1, 2)
            return as_rows(pairs[:, 0], "edges"), as_rows(pairs[:, 1], "edges"), file
    files = sorted(folder.glob(LINKS))
    if len(files) > 1:
        found = " and ".join(file.name for file in files)
        raise InputError(f"the folder holds {found}", place=folder, remedy="keep one of them")
    found = load_torch_file(files[0])
    with at(files[0]):
        train = _part(found, "train")
        ends = [as_rows(_part(train, end), f"'{end}'") for end in ("source_node", "target_node")]
        if len(ends[0]) != len(ends[1]):
            raise InputError(f"there are {len(ends[0])} sources and {len(ends[1])} targets")
    return ends[0], ends[1], files[0]


def _part(values: Any, key: str) -> Any:
    if not isinstance(values, Mapping) or key not in values:
        raise InputError(f"there is no '{key}'", remedy="fetch the file again")
    return values[key]


def _known(folder: Path) -> dict[str, Any]:
    """The labels and the raw ids of nodes, as far as there are files of them."""
    known: dict[str, Any] = {}
    file = folder / "labels-w-missing.pt"
    if file.is_file():
        labels = load_torch_file(file)
        with at(file):
            known["label"] = as_rows(labels, "labels")
    file = folder / "node_mapping.pt"
    if file.is_file():
        found = load_torch_file(file)
        with at(file):
            if not isinstance(found, Mapping):
                problem = f"expected a mapping of raw ids to rows, got {type(found).__name__}"
                raise InputError(problem, remedy="fetch the file again")
            rows = as_rows(list(found.values()), "rows")
            if not np.array_equal(np.sort(rows), np.arange(len(rows))):
                raise InputError(
                    f"the {len(rows)} nodes are not numbered from 0 without gaps",
                    remedy="correct the file, or take it away to have row numbers as ids",
                )
        ids = list(found)
        known["id"] = [str(ids[place]) for place in np.argsort(rows).tolist()]
    return known


def _count(
    folder: Path,
    known: Mapping[str, Any],
    sources: Int64[np.ndarray, " edges"],
    targets: Int64[np.ndarray, " edges"],
) -> int:
    """The number of raw ids, labels or features; without them, the highest number in the edges plus one."""
    if known:
        counts = {name: len(column) for name, column in known.items()}
        if len(set(counts.values())) > 1:
            problem = f"there are {counts['id']} nodes in node_mapping.pt and {counts['label']} labels"
            raise InputError(problem, place=folder, remedy="fetch the files again")
        return counts.popitem()[1]
    for file in sorted(folder.glob(FEATURES)):
        features = load_torch_file(file, in_memory=False)
        with at(file):
            return len(np.atleast_1d(as_array(features, "features")))
    with at(folder):
        return check_room(1 + int(max(sources.max(initial=-1), targets.max(initial=-1))))


def _texts(
    folder: Path, ids: list[str], names: Mapping[str, str], taken: dict[str, str]
) -> dict[str, list[str]]:
    """The texts, if there are any; ``taken`` gets the usual keys that were taken for ours."""
    files = sorted(folder.glob("*raw-text.jsonl"))
    if len(files) > 1:
        problem = f"the folder holds {files[0].name} and {files[1].name}"
        raise InputError(problem, place=folder, remedy="keep one")
    if not files:
        return {}
    texts: dict[str, str] = {}
    for place, line in read_jsonl(files[0]):
        if any(name not in line for name in names.values()):
            taken |= usual_columns(line, names, COLUMNS)
            names = {**names, **taken}
        for name in names.values():
            if name not in line:
                problem = f"the key '{name}' is missing (there is {', '.join(line) or 'nothing'})"
                remedy = "add it, or give its name (`--column text=...`)"
                raise InputError(problem, place=place, remedy=remedy)
        text = line[names["text"]]
        joined = " ".join(map(str, text)) if isinstance(text, list) else str(text or "")
        texts[str(line[names["id"]])] = joined
    if ids and not any(node_id in texts for node_id in ids):
        remedy = respelled(ids[0], texts) or "add node_mapping.pt"
        problem = f"there is no line for any of the nodes '{ids[0]}', ..."
        raise InputError(problem, place=files[0], remedy=remedy)
    return {"text": [texts.get(node_id, "") for node_id in ids]}


MM_GRAPH = GraphFormat(
    name="mm_graph",
    files=f"{CLASSIFICATION} or {LINKS}",
    signs=lambda path: (path / CLASSIFICATION).is_file() or any(path.glob(LINKS)),
    read=read_mm_graph,
    features=mm_graph_features,
)
