"""What is to be sampled and where it goes: targets in shards of a fixed size, each with a file."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from graphcond import samplers
from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError, WriteError
from graphcond.graphs.store import FolderState
from graphcond.io.files import check_writable, read_json, write_json, writing
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.samplers import NeighborSamplerConfig
from graphcond.samplers.neighbor_file import graph_identity, read_neighbors, write_neighbors

FORMAT = 1
SHARD_SIZE = 1024
"""Targets of one shard: what a kill loses at most."""


@dataclass(frozen=True)
class Plan:
    """Targets, what their neighbors follow from, and the files.

    Args:
        out: the neighbor file to write; shards lie in ``<out>.shards`` beside it.
        targets: rows of the node table.
        about: graph, sampler, features, seed and version; goes into the file.
        seed: of the sampler's random choices.
        shard_size: targets of one shard.
        source: the graph folder that is sampled, which may not change meanwhile.
    """

    out: Path
    targets: Int64[np.ndarray, " n"]
    about: Mapping[str, Any]
    seed: int = 0
    shard_size: int = SHARD_SIZE
    source: FolderState | None = None

    @property
    def folder(self) -> Path:
        """Where the shards lie."""
        return self.out.with_name(f"{self.out.name}.shards")

    @property
    def shards(self) -> range:
        """The numbers of the shards; no targets are one empty shard."""
        return range(max(-(-len(self.targets) // self.shard_size), 1))

    def file(self, shard: int) -> Path:
        """The file of a shard."""
        return self.folder / f"{shard:08d}.safetensors"

    def rows(self, shard: int) -> Int64[np.ndarray, " b"]:
        """The targets of a shard."""
        return self.targets[shard * self.shard_size : (shard + 1) * self.shard_size]

    def of_shard(self, shard: int) -> dict[str, Any]:
        """What the file of a shard says of itself."""
        return {"format": FORMAT, "plan": fingerprint(json.dumps(self._settings(), sort_keys=True), shard)}

    def read(self, shard: int) -> NeighborContext | None:
        """A shard that is whole and of this plan, or None: then it has to be sampled."""
        try:
            found = read_neighbors(self.file(shard))
        except InputError:
            return None
        fits = found.about == self.of_shard(shard) and np.array_equal(found.context.targets, self.rows(shard))
        return found.context if fits else None

    def check(self) -> None:
        """See before long work that shards can be written, and that those which lie there are this plan's.

        Raises:
            InputError: shards of other settings lie there.
            WriteError: the place refuses.
        """
        check_writable(self.out)
        if not self._has_shards():
            return
        if not self._told.exists():
            raise self._other(self.folder, "holds shards without a plan")
        told = read_json(self._told)
        if told != self._settings():
            raise self._other(self.folder, f"holds shards of {_difference(told, self._settings())}")

    def write(self, shard: int, context: NeighborContext) -> None:
        """Write a shard; the first makes the folder, so that nothing is left where none can be sampled.

        Raises:
            InputError: shards of other settings lie there by now.
            WriteError: the place refuses, or its disk is full.
        """
        self.check()
        if not self._has_shards():
            write_json(self._told, self._settings())
        write_neighbors(self.file(shard), context, self.of_shard(shard))

    def is_done(self) -> bool:
        """Whether the neighbor file is there.

        Raises:
            InputError: something else is there: other settings, or a file cut short.
        """
        if not self.out.is_file():
            return False
        found = read_neighbors(self.out)
        if found.about != self.about:
            raise self._other(self.out, f"was sampled with {_difference(found.about, self.about)}")
        return True

    def check_source(self) -> None:
        """See that the graph folder is still the one that is sampled.

        Raises:
            InputError: one of its files was changed.
        """
        if self.source is not None:
            self.source.check()

    def write_all(self, parts: list[NeighborContext]) -> None:
        """Put the shards together in their folder, so that a kill leaves nothing beside the neighbor file.

        Raises:
            WriteError: the place refuses, or its disk is full.
        """
        whole = self.folder / f"whole.{os.getpid()}"
        try:
            with writing(self.out):
                write_neighbors(whole, NeighborContext.join(parts), self.about)
                whole.replace(self.out)
        except WriteError:
            if not self.is_done():  # by another process, which deleted the shards
                raise

    def clear(self) -> None:
        """Delete the shards."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _has_shards(self) -> bool:
        return any(self.folder.glob("*.safetensors"))

    @property
    def _told(self) -> Path:
        return self.folder / "plan.json"

    def _settings(self) -> dict[str, Any]:
        return {**self.about, "shard_size": self.shard_size}

    def _other(self, place: Path, problem: str) -> InputError:
        return InputError(problem, place=place, remedy=f"delete {place}, or give another --out")


def plan_of(
    out: Path,
    graph: AttributedGraph,
    config: NeighborSamplerConfig,
    embeddings: NodeEmbeddings | None,
    targets: Int64[np.ndarray, " n"],
    *,
    seed: int = 0,
    shard_size: int = SHARD_SIZE,
) -> Plan:
    """The plan for ``targets``; a change of anything that neighbors follow from makes another plan."""
    features = None
    if embeddings is not None:
        features = fingerprint(*embeddings.identity())
    about = {
        "format": FORMAT,
        **graph_identity(graph),
        "sampler": config.settings(),
        "sampler_identity": fingerprint(*config.identity()),
        "features": features,
        "seed": seed,
        "targets": fingerprint(targets),
        "relations": list(graph.relation_names),
        "version": source_version(samplers),
    }
    return Plan(out, targets, about, seed, shard_size)


def _difference(found: object, wanted: Mapping[str, Any]) -> str:
    if not isinstance(found, dict):
        return "something else"
    names = {"ids": "nodes", "version": "version of graphcond", "shard_size": "size of shards"}
    other = [names.get(name, name) for name in wanted if found.get(name) != wanted[name]]
    other = [name for name in other if name != "sampler_identity" or other == ["sampler_identity"]]
    return f"another {', '.join(other)}" if other else "something else"
