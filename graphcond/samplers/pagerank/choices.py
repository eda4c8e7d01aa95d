"""What calibration chose, kept on disk: trying every method takes half a minute on 50 million edges."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from graphcond.errors import InputError, WriteError
from graphcond.files import default_cache_folder, read_json, write_json


@dataclass(frozen=True)
class Choice:
    """A way to compute PageRank: forward push to ``epsilon``, or so many ``steps`` of iteration.

    With neither, the iteration runs until it is as good as exact.
    """

    epsilon: float | None = None
    steps: int | None = None


def recalled(key: str) -> Choice | None:
    """What was kept under ``key``; None if nothing was, or the file cannot be read."""
    try:
        return Choice(**read_json(_file(key)))  # type: ignore[arg-type]
    except (InputError, TypeError):
        return None


def keep(key: str, choice: Choice) -> None:
    """Keep ``choice`` under ``key``; where nothing can be written, it is chosen again next time."""
    with suppress(WriteError):
        write_json(_file(key), asdict(choice))


def _file(key: str) -> Path:
    return default_cache_folder() / "pagerank" / f"{key}.json"
