"""Places where the parts of a job are done: this process, processes of this machine, a Ray cluster."""

from __future__ import annotations

import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import Any, TypeAlias, TypeVar

from graphcond.errors import GraphcondError, InputError, did_you_mean, first_line
from graphcond.io.optional import optional

Part = TypeVar("Part")
Result = TypeVar("Result")
Make: TypeAlias = Callable[[], Callable[[Part], Result]]
"""Loads what a worker needs, and gives the function that does a part."""

TRIES = 3
"""How often a part is tried whose worker dies."""


class Place(ABC):
    """Where the parts of a job are done."""

    workers: int
    """Number of parts that are done at once."""

    @abstractmethod
    def run(self, make: Make[Part, Result], parts: Sequence[Part]) -> Iterator[Result]:
        """The results of all parts, in the order in which they are done.

        Args:
            make: called once in each worker. Where workers are other processes, it, the parts and the
                results must be picklable.
            parts: each is done once, unless its worker dies.

        Raises:
            InputError: a worker died (on Ray `TRIES` times at the same part), or the place cannot be used.
        """


class Here(Place):
    """This process, one part after the other."""

    workers = 1

    def run(self, make: Make[Part, Result], parts: Sequence[Part]) -> Iterator[Result]:
        """Do a part whenever a result is asked for."""
        return map(make(), parts)


class Processes(Place):
    """Processes of this machine.

    Args:
        workers: how many.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers

    def run(self, make: Make[Part, Result], parts: Sequence[Part]) -> Iterator[Result]:
        """Do the parts in a pool, which ends with this process."""
        # Spawned, not forked: numba's and torch's threads do not survive a fork.
        pool = ProcessPoolExecutor(min(self.workers, len(parts)), get_context("spawn"), _start, (make,))
        try:
            for done in as_completed([pool.submit(_do, part) for part in parts]):
                yield done.result()
        except BrokenProcessPool:
            raise InputError(
                "a worker was killed", place="--workers", remedy="start again, with fewer if memory ran out"
            ) from None
        finally:
            pool.shutdown(cancel_futures=True)


class RayCluster(Place):
    """Actors of a Ray cluster: the one at RAY_ADDRESS or of this machine, else a new one on this machine.

    A part whose actor dies, with its machine perhaps, is tried again in a new one. What ``make`` gives, such
    as a model, stays in its actor. Parts and results travel through Ray's object store, so only this process
    writes; actors read the same paths as this process.

    Args:
        workers: number of actors; one for each GPU, or each CPU where there is no GPU, unless given.
        gpu: whether each needs a GPU, where the cluster has some.

    Raises:
        InputError: Ray is not installed, the cluster cannot be reached, or is smaller than ``workers``.
    """

    def __init__(self, workers: int | None = None, *, gpu: bool = True) -> None:
        self._ray = optional("ray", "graphcond[ray]", place="--on ray")
        self._connect()
        there = self._ray.cluster_resources()
        self._resource = "GPU" if gpu and there.get("GPU", 0) >= 1 else "CPU"
        most = int(there.get(self._resource, 0))
        if (workers or 1) > most:
            problem = f"expected at most {most} workers, one for each {self._resource}, got {workers or 1}"
            raise InputError(problem, place="--workers", remedy="ask for fewer, or add machines")
        self.workers = workers or most

    def run(self, make: Make[Part, Result], parts: Sequence[Part]) -> Iterator[Result]:
        """Do the parts in actors; they end with the last part, or when this process does."""
        ray = self._ray
        needs = {"num_gpus": 1} if self._resource == "GPU" else {"num_cpus": 1}
        retried = {"max_restarts": -1, "max_task_retries": TRIES - 1}
        actor, common = ray.remote(**needs, **retried)(_Actor), [ray.put(make)]
        settings = {name: value for name, value in os.environ.items() if name.startswith("GRAPHCOND_")}
        actors = [actor.remote(settings) for _ in range(min(self.workers, len(parts)))]
        pool = ray.util.ActorPool(actors)
        for part in parts:
            pool.submit(lambda one, part: one.do.remote(common, part), part)
        try:
            while pool.has_next():
                yield pool.get_next_unordered()
        except ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, ray.exceptions.RaySystemError):  # it could not be unpickled there
                raise InputError(
                    f"a worker cannot load its work ({first_line(error.cause)})",
                    place="--on ray",
                    remedy="install the same packages on all machines",
                ) from None
            raise error.cause from None
        except ray.exceptions.RayError as error:
            raise InputError(
                f"a worker died {TRIES} times at the same part ({first_line(error)})",
                place="--on ray",
                remedy="start again, with smaller batches or more memory if that ran out",
            ) from None
        finally:
            for one in actors:
                ray.kill(one)

    def _connect(self) -> None:
        """Join the cluster for the rest of this process, unless it has joined one before."""
        if self._ray.is_initialized():
            return
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray.init(include_dashboard=False, logging_level="ERROR")
        except (ConnectionError, RuntimeError, ValueError, self._ray.exceptions.RayError) as error:
            raise InputError(
                f"the Ray cluster cannot be reached ({first_line(error)})",
                place="RAY_ADDRESS" if "RAY_ADDRESS" in os.environ else "--on ray",
                remedy="start it with `ray start --head`, set RAY_AUTH_MODE=token if it asks for a token, or "
                "unset RAY_ADDRESS",
            ) from None


LOCAL, RAY = "local", "ray"


def place_named(name: str, workers: int | None = None, *, gpu: bool = True) -> Place | None:
    """The place that ``--on`` names, None for this machine; arguments as for `RayCluster`.

    Raises:
        InputError: there is no such place, it has no workers to count, or as `RayCluster`.
    """
    if name not in (LOCAL, RAY):
        raise InputError(f"there is no place '{name}'", place="--on", remedy=did_you_mean(name, (LOCAL, RAY)))
    if name == RAY:
        return RayCluster(workers, gpu=gpu)
    if workers is not None:
        remedy = "leave it out, or start the command several times, or by accelerate launch"
        raise InputError("only a Ray cluster has workers", place="--workers", remedy=remedy)
    return None


class _Actor:
    """A worker on Ray; it loads at its first part, so that dying while it loads counts as a try."""

    def __init__(self, settings: dict[str, str]) -> None:
        self._work: Callable[[Any], Any] | None = None
        os.environ.update(settings)

    def do(self, make: list[Any], part: Any) -> Any:
        """Do a part; ``make`` is a reference, in a list so that Ray does not read it for every part."""
        import ray

        self._work = self._work or ray.get(make[0])()
        return self._work(part)


_state: list[Callable[[Any], Any] | GraphcondError] = []
"""In a process of a pool: the function that does a part, or the error why there is none."""


def _start(make: Make[Any, Any]) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    for name in {"SIGINT", "SIGHUP", "SIGUSR1"} & set(dir(signal)):  # the parent decides when to stop
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    try:
        _state.append(make())
    except GraphcondError as error:
        # Raised by the first part instead: of a worker that fails here a pool only says that it ended.
        _state.append(error)


def _do(part: Any) -> Any:
    work = _state[0]
    if isinstance(work, GraphcondError):
        raise work
    return work(part)


def _end_with_parent() -> None:
    """End this worker when its parent does: after a kill it would wait for work for ever."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
