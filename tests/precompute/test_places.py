"""Parts of a work give the same wherever they are done, whoever dies."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from graphcond.errors import InputError
from graphcond.precompute import precompute
from graphcond.precompute.places import Here, Place, Processes, RayCluster, place_named
from tests.precompute.parts import dying, memory, refused, squares
from tests.precompute.test_work import make, plan
from tests.ray_cluster import actors, cluster

__all__ = ["cluster"]


def check(place: Place, folder: Path) -> None:
    found = list(place.run(partial(squares, folder), range(7)))
    assert sorted(square for square, _ in found) == [n**2 for n in range(7)]
    loaded = (folder / "loaded").read_text().split()
    assert len(loaded) <= place.workers, "each worker loads once"
    assert max(done for _, done in found) >= 7 / place.workers


def test_this_process_and_a_pool(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    check(Here(), tmp_path)
    check(Processes(2), tmp_path / "pool")


def test_a_place_is_named() -> None:
    assert place_named("local") is None
    with pytest.raises(InputError, match=r"--on: there is no place 'rai'\. Did you mean 'ray'"):
        place_named("rai")
    with pytest.raises(InputError, match="--workers: only a Ray cluster has workers"):
        place_named("local", 2)


def test_ray_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"--on ray: ray cannot be imported .*pip install graphcond\[ray\]"):
        place_named("ray")


def test_a_cluster_that_cannot_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray", reason="ray is not installed: pip install graphcond[ray]")

    def unreachable(**settings: object) -> None:
        raise ConnectionError("Could not find any running Ray instance\nat 10.0.0.1:6379")

    monkeypatch.setattr(ray, "init", unreachable)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    with pytest.raises(
        InputError, match=r"RAY_ADDRESS: the Ray cluster cannot be reached \(Could not find any"
    ):
        RayCluster()


def test_on_ray(cluster: Any, tmp_path: Path) -> None:
    place = RayCluster()
    assert place.workers == 2
    check(place, tmp_path)
    with pytest.raises(InputError, match="expected at most 2 workers, one for each CPU, got 3"):
        place_named("ray", 3)
    with pytest.raises(InputError, match=r"^the model: is broken\. Mend it$"):
        list(place.run(refused, range(2)))
    with pytest.raises(torch.OutOfMemoryError, match=r"^CUDA out of memory$"):
        list(place.run(memory, range(2)))


def test_a_worker_that_lacks_a_package(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    here = ModuleType("only_here")
    exec("def make(): pass", vars(here))
    monkeypatch.setitem(sys.modules, "only_here", here)
    with pytest.raises(
        InputError, match=r"a worker cannot load its work \(.*No module named 'only_here'.*same pa"
    ):
        list(RayCluster().run(here.make, range(2)))


def test_a_worker_that_dies_on_ray(cluster: Any, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert sorted(RayCluster().run(partial(dying, tmp_path, 2), range(5))) == [*range(5)]
    assert (tmp_path / "tries").read_text() == "xx"
    with pytest.raises(InputError, match=r"--on ray: a worker died 3 times at the same part .*smaller batch"):
        list(RayCluster().run(partial(dying, tmp_path / "other", 99), range(5)))
    assert (tmp_path / "other" / "tries").read_text() == "xxx"


def test_neighbors_on_ray_while_a_worker_is_killed(cluster: Any, tmp_path: Path) -> None:
    alone, out = tmp_path / "alone.safetensors", tmp_path / "ray.safetensors"
    precompute(plan(alone), make)
    killed: list[int] = []

    def kill_one(done: int, total: int) -> None:
        if done and not killed:
            victim = actors()[0]
            victim.kill()
            killed.append(victim.pid)

    assert precompute(plan(out, shard_size=2), make, on=RayCluster(gpu=False), progress=kill_one)
    assert killed
    assert out.read_bytes() == alone.read_bytes()
