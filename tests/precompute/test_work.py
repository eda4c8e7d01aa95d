"""However the work is divided and killed, the file is the same."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graphcond.context import NeighborContext
from graphcond.errors import InputError, StorageError
from graphcond.graphs import save_graph
from graphcond.graphs.store import folder_state
from graphcond.precompute import Plan, Share, plan_of, precompute
from graphcond.samplers import NeighborSampler, PPRSamplerConfig, RandomSamplerConfig, RelatingSampler
from graphcond.samplers.neighbor_file import read_neighbors
from tests.samplers.toy_graphs import toy_graph

GRAPH = toy_graph(23, [(row, row + 1) for row in range(22)])
CONFIG = RandomSamplerConfig(neighbors=4)


def plan(out: Path, config: RandomSamplerConfig = CONFIG, **choices: Any) -> Plan:
    return plan_of(out, GRAPH, config, None, np.arange(len(GRAPH)), **{"shard_size": 4, **choices})


def make() -> NeighborSampler:
    return CONFIG.build(graph=GRAPH)


class Killed(NeighborSampler):
    """Ends the process, so to say, after some shards."""

    def __init__(self, shards: int, inner: NeighborSampler | None = None) -> None:
        self.left, self.inner = shards, inner or make()

    def sample(self, targets: np.ndarray, generator: np.random.Generator) -> NeighborContext:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.inner.sample(targets, generator)


@pytest.fixture
def undisturbed(tmp_path: Path) -> bytes:
    out = tmp_path / "undisturbed.safetensors"
    assert precompute(plan(out), make)
    return out.read_bytes()


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "neighbors.safetensors"


def test_the_file_holds_what_the_sampler_chooses(out: Path) -> None:
    precompute(plan(out, seed=3), make)
    expected = make().sample(np.arange(23), np.random.default_rng(3))
    found = read_neighbors(out).context
    for name in ("targets", "neighbors", "scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (found.neighbors.dtype, found.scores.dtype) == (np.int64, np.float32)
    assert not plan(out).folder.exists()


def test_the_file_holds_relations_where_the_graph_has_types(out: Path) -> None:
    graph = toy_graph(23, [(row, row + 1) for row in range(22)], types=["a", "b"] * 11)
    sampler = RelatingSampler(graph, CONFIG.build(graph=graph))
    precompute(plan_of(out, graph, CONFIG, None, np.arange(23), shard_size=4), lambda: sampler)
    found = read_neighbors(out)
    expected = sampler.sample(np.arange(23), np.random.default_rng(0)).relations
    assert found.about["relations"] == ["a", "b"]
    assert found.context.relations is not None
    assert expected is not None
    assert expected.any()
    np.testing.assert_array_equal(found.context.relations, expected)


@pytest.mark.parametrize("shards", range(6))
def test_killed_anywhere_it_goes_on_where_it_was(out: Path, undisturbed: bytes, shards: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        precompute(plan(out), partial(Killed, shards))
    assert len(list(plan(out).folder.glob("0*"))) == shards
    assert not out.exists()
    told: list[tuple[int, int]] = []
    assert precompute(plan(out), partial(Killed, 6 - shards), progress=lambda *done: told.append(done))
    assert out.read_bytes() == undisturbed
    assert (told[0], told[-1]) == ((4 * shards, 23), (23, 23))


def test_started_again_with_other_threads_it_gives_the_same_bytes(out: Path, tmp_path: Path) -> None:
    def ppr(out: Path, threads: int) -> tuple[Plan, NeighborSampler]:
        config = PPRSamplerConfig(neighbors=4, threads=threads)
        return plan_of(out, GRAPH, config, None, np.arange(23), shard_size=4), config.build(graph=GRAPH)

    undisturbed, sampler = ppr(tmp_path / "one.safetensors", 1)
    precompute(undisturbed, lambda: sampler)
    killed, _ = ppr(out, 1)
    with pytest.raises(KeyboardInterrupt):
        precompute(killed, partial(Killed, 2, sampler))
    again, sampler = ppr(out, 3)
    precompute(again, partial(Killed, 4, sampler))
    assert out.read_bytes() == undisturbed.out.read_bytes()


def test_a_shard_cut_short_or_of_another_place_is_sampled_again(out: Path, undisturbed: bytes) -> None:
    with pytest.raises(KeyboardInterrupt):
        precompute(plan(out), partial(Killed, 4))
    work = plan(out)
    work.file(0).write_bytes(work.file(0).read_bytes()[:-5])
    work.file(1).write_bytes(work.file(2).read_bytes())
    precompute(work, make)
    assert out.read_bytes() == undisturbed


@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_any_number_of_shares_gives_the_same_file(out: Path, undisturbed: bytes, count: int) -> None:
    done = [precompute(plan(out), make, Share(index, count)) for index in reversed(range(count))]
    assert done[-1]
    assert sum(done) == 1 or count > 6  # shares without a shard find the work done
    assert out.read_bytes() == undisturbed


def test_the_size_of_shards_changes_no_byte(out: Path, undisturbed: bytes) -> None:
    precompute(plan(out, shard_size=100), make)
    assert out.read_bytes() == undisturbed


def test_workers_give_the_same_file(out: Path, undisturbed: bytes) -> None:
    assert precompute(plan(out), make, workers=2)
    assert out.read_bytes() == undisturbed


def refuse() -> NeighborSampler:
    raise InputError("is broken", place="the graph", remedy="mend it")


def test_workers_begin_once_a_sampler_was_made_before_them(out: Path, undisturbed: bytes) -> None:
    order: list[str] = []

    def first() -> NeighborSampler:
        order.append("made")
        return make()

    def progress(done: int, total: int) -> None:
        order.append(f"{done}")

    assert precompute(plan(out), first, workers=2, in_workers=make, progress=progress)
    assert order[:2] == ["made", "0"]
    assert order.count("made") == 1
    assert out.read_bytes() == undisturbed
    with pytest.raises(InputError, match=r"the graph: is broken\. Mend it"):
        precompute(plan(out.with_name("other")), first, workers=2, in_workers=refuse)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_sampler_that_cannot_be_made_leaves_nothing(out: Path, workers: int) -> None:
    with pytest.raises(InputError, match=r"the graph: is broken\. Mend it"):
        precompute(plan(out), refuse, workers=workers)
    assert not list(out.parent.iterdir())


def test_a_plan_without_shards_is_no_obstacle(out: Path, undisturbed: bytes) -> None:
    other = plan(out, seed=9)
    other.folder.mkdir()
    (other.folder / "plan.json").write_text('{"seed": 9')
    precompute(plan(out), make)
    assert out.read_bytes() == undisturbed


def test_shards_of_two_plans_do_not_mix(out: Path) -> None:
    """Both were started before either had written a shard."""

    class Late(Killed):
        def sample(self, targets: np.ndarray, generator: np.random.Generator) -> NeighborContext:
            with pytest.raises(KeyboardInterrupt):
                precompute(plan(out, seed=9), partial(Killed, 1), Share(1, 2))
            return super().sample(targets, generator)

    with pytest.raises(InputError, match="shards of another seed"):
        precompute(plan(out), lambda: Late(6), Share(0, 2))


def test_two_processes_do_not_sample_the_same_share(out: Path, undisturbed: bytes) -> None:
    refused: list[str] = []

    def begin_again() -> NeighborSampler:
        with pytest.raises(InputError) as error:
            precompute(plan(out), make)
        refused.append(error.value.problem)
        return make()

    assert precompute(plan(out), begin_again)
    assert refused[0].startswith("share-0-of-1 is in use: process ")
    assert out.read_bytes() == undisturbed


KILLED_AT_THE_END = """
import os, pathlib
import tests.precompute.test_work as t
def killed(self, target): os.kill(os.getpid(), 9)
pathlib.Path.{step} = killed
t.precompute(t.plan(t.Path({out!r})), t.make)
"""


@pytest.mark.parametrize("step", ["replace", "chmod"])
def test_a_kill_as_the_file_is_written_leaves_nothing_beside_it(
    out: Path, undisturbed: bytes, step: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        precompute(plan(out), partial(Killed, 5))
    last = plan(out)
    last.write(5, make().sample(last.rows(5), np.random.default_rng(0)))
    script = KILLED_AT_THE_END.format(step=step, out=str(out))
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -9
    assert sorted(file.name for file in out.parent.iterdir()) == [
        "neighbors.safetensors.shards",
        "undisturbed.safetensors",
    ]
    assert precompute(last, partial(Killed, 0))
    assert out.read_bytes() == undisturbed
    assert not last.folder.exists()


def test_a_disk_that_fills(out: Path, undisturbed: bytes) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (100, 500, 1700):  # the plan, a shard, the file
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            with pytest.raises(StorageError, match=r"cannot be written .*make room on its disk"):
                precompute(plan(out), make)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert not out.exists()
    assert precompute(plan(out), make)
    assert out.read_bytes() == undisturbed


KILLED_FOR_GOOD = """
import os
import tests.precompute.test_work as t
class Gone(t.Killed):
    def sample(self, targets, generator):
        if not self.left: os.kill(os.getpid(), 9)
        return super().sample(targets, generator)
t.precompute(t.plan(t.Path({out!r})), lambda: Gone(3))
"""


def test_a_killed_process_loses_nothing(out: Path, undisturbed: bytes) -> None:
    ran = subprocess.run([sys.executable, "-c", KILLED_FOR_GOOD.format(out=str(out))], check=False)
    assert ran.returncode == -9
    assert precompute(plan(out), partial(Killed, 3))
    assert out.read_bytes() == undisturbed


def test_a_whole_file_is_left_alone(out: Path, undisturbed: bytes) -> None:
    precompute(plan(out), make)
    plan(out).folder.mkdir()
    assert precompute(plan(out), refuse)
    assert out.read_bytes() == undisturbed
    assert not plan(out).folder.exists()


def test_shares_that_put_together_at_once_write_the_same(
    out: Path, undisturbed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process ends between the two looks of this one, and deletes the shards."""
    read, looks = Plan.read, iter(range(100))

    def raced(self: Plan, shard: int) -> NeighborContext | None:
        if next(looks) == 8:
            self.out.write_bytes(undisturbed)
            self.clear()
        return read(self, shard)

    monkeypatch.setattr(Plan, "read", raced)
    assert precompute(plan(out), make)
    assert out.read_bytes() == undisturbed


OTHERS = {
    "sampler": {"config": RandomSamplerConfig(neighbors=3)},
    "seed": {"seed": 1},
}


@pytest.mark.parametrize("name", OTHERS)
def test_a_file_of_other_settings_is_kept(out: Path, name: str) -> None:
    precompute(plan(out, **OTHERS[name]), make)
    before = out.read_bytes()
    with pytest.raises(InputError, match=rf"sampled with another {name}.*Delete .*or give another --out"):
        precompute(plan(out), make)
    assert out.read_bytes() == before


@pytest.mark.parametrize("name", [*OTHERS, "size of shards"])
def test_shards_of_other_settings_are_named(out: Path, name: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        precompute(plan(out, **OTHERS.get(name, {"shard_size": 5})), partial(Killed, 2))
    with pytest.raises(InputError, match=rf"shards of another {name}\. Delete .*\.shards"):
        precompute(plan(out), make)


def test_a_plan_names_the_graph_and_the_version(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    precompute(plan(out), make)
    monkeypatch.setattr("graphcond.precompute.plan.source_version", lambda package: "older")
    with pytest.raises(InputError, match="another version of graphcond"):
        precompute(plan(out), make)
    monkeypatch.undo()
    other = toy_graph(23, [(0, 1)])
    with pytest.raises(InputError, match="another graph"):
        precompute(plan_of(out, other, CONFIG, None, np.arange(23), shard_size=4), make)


def test_a_file_cut_short_is_not_taken_for_whole(out: Path) -> None:
    precompute(plan(out), make)
    out.write_bytes(out.read_bytes()[:-3])
    with pytest.raises(InputError, match="cut short"):
        precompute(plan(out), make)


def test_no_targets_give_an_empty_file(out: Path) -> None:
    nobody = replace(plan(out), targets=np.arange(0))
    assert precompute(nobody, make)
    assert read_neighbors(out).context.neighbors.shape == (0, 4)


@pytest.fixture(autouse=True)
def _no_leftovers(tmp_path: Path) -> Iterator[None]:
    yield
    assert not list(tmp_path.glob(".*"))


class Meddling(NeighborSampler):
    """Changes the graph folder while the second shard is sampled."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.inner, self.calls = folder, make(), 0

    def sample(self, targets: np.ndarray, generator: np.random.Generator) -> NeighborContext:
        self.calls += 1
        if self.calls == 2:
            save_graph(toy_graph(23, [(0, 1)]), self.folder)
        return self.inner.sample(targets, generator)


def test_a_graph_that_changes_meanwhile(out: Path, tmp_path: Path) -> None:
    save_graph(GRAPH, tmp_path / "graph")
    watched = replace(plan(out), source=folder_state(tmp_path / "graph"))
    with pytest.raises(InputError, match=r"graph\.json: the file was changed while it was in use"):
        precompute(watched, lambda: Meddling(tmp_path / "graph"))
    assert [watched.file(shard).exists() for shard in watched.shards][:3] == [True, False, False]
    assert not out.exists()
