"""The plan of a neighbor file: its targets, divided into shards of a fixed size with a file each.

Shards let the work be resumed and divided: a shard is written whole or not at all, and it names the plan that
it belongs to, so processes need not talk to each other.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from graphcond import samplers
from graphcond.attributed_graph import AttributedGraph, NodeEmbeddings
from graphcond.context import NeighborContext
from graphcond.errors import InputError, StorageError
from graphcond.graphs.store import FolderState
from graphcond.io.files import check_writable, read_json, write_json, writing
from graphcond.io.fingerprint import fingerprint, source_version
from graphcond.io.locks import locked
from graphcond.samplers import NeighborSamplerConfig
from graphcond.samplers.neighbor_file import graph_identity, read_neighbors, write_neighbors

FORMAT, PLAN = 1, "plan.json"
SHARD_SIZE = 1024
"""Targets of one shard, which is the most work that is lost if a process is killed."""


@dataclass(frozen=True)
class Plan:
    """The targets of a neighbor file, everything that determines their neighbors, and the files.

    Args:
        out: the neighbor file to write; shards are in the folder ``<out>.shards`` beside it.
        targets: rows of the node table.
        about: graph, sampler, features, seed and version; stored in the file.
        seed: seed of the sampler's random choices.
        shard_size: number of targets in a shard.
        source: the graph folder that is sampled; it must not change meanwhile.
    """

    out: Path
    targets: Int64[np.ndarray, " n"]
    about: Mapping[str, Any]
    seed: int = 0
    shard_size: int = SHARD_SIZE
    source: FolderState | None = None

    @property
    def folder(self) -> Path:
        """The folder of the shards."""
        return self.out.with_name(f"{self.out.name}.shards")

    @property
    def shards(self) -> range:
        """The numbers of the shards; without targets there is one empty shard."""
        return range(max(-(-len(self.targets) // self.shard_size), 1))

    def file(self, shard: int) -> Path:
        """The file of a shard."""
        return self.folder / f"{shard:08d}.safetensors"

    def rows(self, shard: int) -> Int64[np.ndarray, " b"]:
        """The targets of a shard."""
        return self.targets[shard * self.shard_size : (shard + 1) * self.shard_size]

    def of_shard(self, shard: int) -> dict[str, Any]:
        """The metadata in the file of a shard."""
        return {"format": FORMAT, "plan": fingerprint(json.dumps(self._settings(), sort_keys=True), shard)}

    def read(self, shard: int) -> NeighborContext | None:
        """A complete shard of this plan; None if it is missing, damaged or of another plan."""
        try:
            found = read_neighbors(self.file(shard))
        except InputError:
            return None
        fits = found.about == self.of_shard(shard) and np.array_equal(found.context.targets, self.rows(shard))
        return found.context if fits else None

    def check(self) -> None:
        """Check, before the long work, that shards can be written, and that existing ones are of this plan.

        Raises:
            InputError: the folder has shards of other settings.
            StorageError: the folder cannot be written.
        """
        check_writable(self.out)
        if not self._has_shards():
            return
        if not (self.folder / PLAN).exists():
            raise self._foreign(self.folder, "the folder holds shards without a plan")
        found = read_json(self.folder / PLAN)
        if found != self._settings():
            difference = _difference(found, self._settings())
            raise self._foreign(self.folder, f"the folder holds shards of {difference}")

    @contextmanager
    def claimed(self, share: str) -> Iterator[None]:
        """Keep other processes out of a share of the work for the length of the block.

        Raises:
            InputError: another process works on it.
            StorageError: the folder of the shards cannot be written.
        """
        with writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with locked(self.folder / f"{share}.lock", share):
                yield
        finally:
            with suppress(OSError):  # it holds shards, or is gone
                self.folder.rmdir()

    def write(self, shard: int, context: NeighborContext) -> None:
        """Write a shard.

        Raises:
            InputError: the folder has shards of other settings by now.
            StorageError: the folder cannot be written, or the disk is full.
        """
        self.check()
        if not self._has_shards():
            write_json(self.folder / PLAN, self._settings())
        write_neighbors(self.file(shard), context, self.of_shard(shard))

    def is_done(self) -> bool:
        """True if the neighbor file exists.

        Raises:
            InputError: the file has other settings, or was cut short.
        """
        if not self.out.is_file():
            return False
        found = read_neighbors(self.out)
        if found.about != self.about:
            difference = _difference(found.about, self.about)
            raise self._foreign(self.out, f"the file was sampled with {difference}")
        return True

    def write_all(self, parts: list[NeighborContext]) -> None:
        """Join the shards into the neighbor file.

        Raises:
            StorageError: the file cannot be written, or the disk is full.
        """
        # Written in the folder of the shards and then moved: a killed process leaves nothing beside ``out``.
        whole = self.folder / f"whole.{os.getpid()}"
        try:
            with writing(self.out):
                write_neighbors(whole, NeighborContext.join(parts), self.about)
                whole.replace(self.out)
        except StorageError:
            # Another process may have written the same file and deleted the shards; then all is well.
            if not self.is_done():
                raise

    def clear(self) -> None:
        """Delete the shards."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _has_shards(self) -> bool:
        return any(self.folder.glob("*.safetensors"))

    def _settings(self) -> dict[str, Any]:
        return {**self.about, "shard_size": self.shard_size}

    def _foreign(self, place: Path, problem: str) -> InputError:
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
    """The plan for ``targets``; a change of anything that affects neighbors makes another plan."""
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
    """The settings in which ``found`` differs, in words: "another seed, graph"."""
    if not isinstance(found, dict):
        return "something else"
    names = {"ids": "nodes", "version": "version of graphcond", "shard_size": "size of shards"}
    other = [names.get(name, name) for name in wanted if found.get(name) != wanted[name]]
    # It differs whenever the sampler's settings do; by itself it is a file with other content.
    if len(other) > 1 and "sampler_identity" in other:
        other.remove("sampler_identity")
    return f"another {', '.join(other)}" if other else "something else"
