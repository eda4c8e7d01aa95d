"""Commands that are killed or stopped at any of their writes lose nothing and end as undisturbed ones."""

from __future__ import annotations

import random
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.attacks.conftest import Tally
from tests.attacks.killing import contents, run, writes_of
from tests.release_folder import write_release_folder

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1)

DIFFERENT = ("metrics.jsonl", "README.md", "card.json", "writes", "log")
"""Files with the time that something took."""


@dataclass(frozen=True)
class Work:
    """A command, what it writes, and how it goes on after a kill."""

    command: tuple[str, ...]
    result: str
    resumed: tuple[str, ...] = ()
    begun: str = ""
    """The file from which on it is ``resumed``; before, and without one, it is started again."""
    kills: int = 2
    """In the default suite."""


SETTINGS = {
    "data.scenes": 16,
    "training.steps": 3,
    "training.batch_size": 4,
    "training.checkpoint_every": 1,
    "training.validate_every": "null",
    "training.preview_every": "null",
    "stages.layout.steps": 3,
    "stages.layout.batch_size": 4,
}

WORKS = {
    "train": Work(
        (
            *("train", "sgcond-v", "--base", "tiny", "--out", "run", "--device", "cpu"),
            *(word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")),
        ),
        "run",
        resumed=("train", "--resume", "run", "--device", "cpu"),
        begun="run/recipe.yaml",
        kills=3,
    ),
    "sample-all": Work(
        ("sample-all", "graph", "--sampler", "khop", "--set", "neighbors=3", "--out", "n.safetensors"),
        "n.safetensors",
    ),
    "build": Work(("data", "build", "tables", "--out", "built"), "built"),
    "convert": Work(("convert", "instructg2i", "release", "--out", "model"), "model"),
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tables of 3,000 nodes, which are three shards of neighbors, their graph folder, and a release."""
    folder = tmp_path_factory.mktemp("inputs")
    (folder / "tables").mkdir()
    nodes = "".join(f"{node},node {node}\n" for node in range(3000))
    edges = "".join(f"{node},{(node * 7 + step) % 3000}\n" for node in range(3000) for step in (1, 2))
    (folder / "tables" / "nodes.csv").write_text("id,text\n" + nodes)
    (folder / "tables" / "edges.csv").write_text("source,target\n" + edges)
    assert run(["data", "build", "tables", "--out", "graph"], folder) == 0, (folder / "log").read_text()
    write_release_folder(folder / "release")
    return folder


def undisturbed(work: Work, folder: Path) -> tuple[dict[str, str], int]:
    assert run(work.command, folder) == 0, (folder / "log").read_text()
    found = contents(folder / work.result, but=DIFFERENT), writes_of(folder)
    clear(work, folder)
    return found


def clear(work: Work, folder: Path) -> None:
    shutil.rmtree(folder / "cache", ignore_errors=True)
    shutil.rmtree(folder / work.result, ignore_errors=True)
    if work.result.endswith(".safetensors"):
        (folder / work.result).unlink(missing_ok=True)
        shutil.rmtree(folder / f"{work.result}.shards", ignore_errors=True)


@pytest.mark.parametrize("name", WORKS)
def test_killed_at_any_write(
    name: str, inputs: Path, tmp_path: Path, tally: Tally, attacks: Callable[[int], int]
) -> None:
    work, chance = WORKS[name], random.Random(name)
    folder = Path(shutil.copytree(inputs, tmp_path / "work"))
    whole, writes = undisturbed(work, folder)
    for kill in range(attacks(work.kills)):
        at, number = chance.randint(1, writes), SIGNALS[kill % len(SIGNALS)]
        code = run(work.command, folder, at=at, number=number)
        tally.kills += 1
        tally.hangs += code is None
        tally.tracebacks += code not in (None, 0, -number, 128 + number)
        finished = contents(folder / work.result, but=DIFFERENT) == whole
        if not finished:
            resumed = work.resumed if work.begun and (folder / work.begun).exists() else work.command
            code = run(resumed, folder)
            tally.lost += code != 0
            tally.different += contents(folder / work.result, but=DIFFERENT) != whole
            # Partial files of a dead process are deleted at the next write beside them.
            tally.half_written += any(".new." in file.name for file in folder.iterdir())
        counts = (tally.hangs, tally.tracebacks, tally.lost, tally.different, tally.half_written)
        assert not any(counts), f"{number.name} at write {at} of {writes}: {(folder / 'log').read_text()}"
        clear(work, folder)
