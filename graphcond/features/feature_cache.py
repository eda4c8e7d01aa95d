"""Embeddings that are computed when they are requested, each once, and kept on disk between runs."""

from __future__ import annotations

import errno
import hashlib
import shutil
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float32, Int64

from graphcond.errors import InputError
from graphcond.features.clip import FeatureExtractor, TextEmbedder
from graphcond.io.ahead import batches_ahead
from graphcond.io.cache import UNFINISHED
from graphcond.io.files import default_cache_folder
from graphcond.io.fingerprint import file_digest, fingerprint
from graphcond.io.locks import divided, in_turn
from graphcond.io.pictures import open_picture
from graphcond.io.readable import unreadable
from graphcond.progress import Progress

Item = TypeVar("Item")

FILE = "features.sqlite"
BATCH = 32
"""The number of embeddings written in one transaction; twice as many pictures are held decoded."""

PART = 256
"""Contents that one process embeds at a time while others embed other parts."""

KEYS_AT_ONCE = 500
"""Content keys in one query; SQLite takes a few hundred parameters in every version."""

SETTLED = 2.0
"""Seconds since the last change after which a file's times are trusted to show the next one: file systems
keep times in steps, and a file may change twice within one of them."""

LONGEST = 2048
"""Pictures with a longer side are scaled down to this before they are embedded, to bound the memory."""

DRAFT = 2
"""JPEG files are decoded at a lower size, which is at least this many times what the network reads."""

_TABLES = """
CREATE TABLE IF NOT EXISTS features (
    extractor TEXT NOT NULL, content TEXT NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (extractor, content)
);
CREATE TABLE IF NOT EXISTS files (path TEXT PRIMARY KEY, state TEXT NOT NULL, digest TEXT NOT NULL);
"""


class FeatureCache:
    """Float32 embeddings in one SQLite file that several processes may use at the same time.

    Each write is a transaction: a kill loses at most the batch that was being written.

    Args:
        folder: the folder of the file; `default_cache_folder` if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.file = Path(folder or default_cache_folder()) / FILE

    def get(self, extractor: str, contents: Iterable[str]) -> dict[str, Float32[np.ndarray, " d"]]:
        """The embeddings by ``extractor`` (an identity) that are known, by content key.

        Raises:
            InputError: the file is damaged or cannot be opened.
        """
        found = {}
        with self._open() as database:
            for keys in _parts(list(contents), KEYS_AT_ONCE):
                query = (
                    "SELECT content, vector, checksum FROM features "
                    f"WHERE extractor = ? AND content IN ({', '.join('?' * len(keys))})"
                )
                for content, blob, checksum in database.execute(query, (extractor, *keys)):
                    if zlib.crc32(blob) != checksum:
                        raise self._damaged("an embedding does not match its checksum")
                    found[content] = np.frombuffer(blob, "<f4")
        return found

    def put(self, extractor: str, embeddings: Mapping[str, Float32[np.ndarray, " d"]]) -> None:
        """Store embeddings by content key, all or none.

        Raises:
            InputError: the file is damaged, or its folder cannot be written.
        """
        blobs = {key: np.ascontiguousarray(vector, "<f4").tobytes() for key, vector in embeddings.items()}
        rows = [(extractor, key, blob, zlib.crc32(blob)) for key, blob in blobs.items()]
        with self._open() as database, database:
            database.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)", rows)

    def counts(self) -> dict[str, tuple[int, int]]:
        """The number of embeddings and their bytes, by extractor; empty if there is no file.

        Raises:
            InputError: the file is damaged or cannot be opened.
        """
        if not self.file.exists():
            return {}
        query = "SELECT extractor, COUNT(*), SUM(LENGTH(vector)) FROM features GROUP BY extractor"
        with self._open() as database:
            return {name: (count, size) for name, count, size in database.execute(query)}

    def check(self) -> None:
        """Compare every embedding with its checksum.

        Raises:
            InputError: the file is damaged or cannot be opened.
        """
        if not self.file.exists():
            return
        with self._open() as database:
            for blob, checksum in database.execute("SELECT vector, checksum FROM features"):
                if zlib.crc32(blob) != checksum:
                    raise self._damaged("an embedding does not match its checksum")

    def digests(self, paths: Sequence[Path]) -> list[str]:
        """SHA-256 of the content of each file; a file that did not change since it was hashed is not read.

        A file counts as unchanged while its path, inode, size and times stay the same.

        Raises:
            InputError: a file cannot be read, or the cache is damaged or cannot be opened.
        """
        names = {path: str(path.absolute()) for path in paths}
        found: dict[Path, str] = {}
        fresh: list[tuple[str, str, str]] = []
        with self._open() as database:
            known: dict[str, tuple[str, str]] = {}
            for part in _parts(list(names.values()), KEYS_AT_ONCE):
                query = f"SELECT path, state, digest FROM files WHERE path IN ({', '.join('?' * len(part))})"
                known |= {name: (state, digest) for name, state, digest in database.execute(query, part)}
            for path, name in names.items():
                try:
                    stat = path.stat()
                except OSError as error:
                    raise unreadable(path, error) from None
                changed = max(stat.st_mtime_ns, stat.st_ctime_ns)
                settled = time.time_ns() - changed > SETTLED * 1e9
                state = f"{stat.st_dev} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns} {stat.st_ctime_ns}"
                before, digest = known.get(name, ("", ""))
                if before != state:
                    digest = file_digest(path)
                    if settled:
                        fresh.append((name, state, digest))
                found[path] = digest
            with database:
                database.executemany("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", fresh)
        return [found[path] for path in paths]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=60)) as database:
                # SQLite does not wait, but fails, if another connection changes the journal at the same time.
                with in_turn(self.file.with_suffix(".lock")):
                    database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.executescript(_TABLES)
                yield database
        except (OSError, sqlite3.OperationalError) as error:
            first = "make its folder writable"
            if "full" in str(error) or getattr(error, "errno", None) == errno.ENOSPC:
                first = "make room on its disk"
            elif "locked" in str(error):
                first = "let the other process end that writes to it"
            raise InputError(
                f"the feature cache cannot be used ({error})",
                place=self.file,
                remedy=f"{first}, or set GRAPHCOND_CACHE to another folder",
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _damaged(self, how: str) -> InputError:
        return InputError(
            f"the feature cache is damaged ({how})",
            place=self.file,
            remedy="delete the file; its embeddings will be computed again",
        )


class EmbeddingTable(Generic[Item]):
    """One embedding for each item, computed when its row is first requested; zero for a missing item.

    Stands in for a float32 array of shape (items, d): it has ``shape`` and ``dtype``, gives rows by their
    numbers, and `numpy.asarray` computes all of them. Threads may share it.

    Args:
        items: the items to embed; None gives a row of zeros.
        width: d.
        network: names the network and the kind of item; embeddings are kept under it.
        keys: a name for the content of each item; items with the same name are embedded once.
        prepare: turns an item into what ``embed`` takes, in threads, while the items before are embedded.
        embed: one embedding for each prepared item.
        cache: keeps embeddings between runs; None keeps none.
        progress: called while rows are computed, counting the distinct contents that were requested.
    """

    dtype = np.dtype(np.float32)

    def __init__(
        self,
        items: Sequence[Item | None],
        *,
        width: int,
        network: str,
        keys: Callable[[Sequence[Item]], Sequence[str]],
        prepare: Callable[[Item], Any],
        embed: Callable[[Sequence[Any]], Float32[np.ndarray, "n d"]],
        cache: FeatureCache | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.shape = (len(items), width)
        self._items, self._network, self._keys, self._cache = items, network, keys, cache
        self._prepare, self._embed, self._progress = prepare, embed, progress
        self._vectors = np.zeros(self.shape, np.float32)  # the system gives memory to rows that are written
        self._known = np.zeros(len(items), np.bool_)
        self._row_of: dict[str, int] = {}
        self._lock = Lock()

    @property
    def identity(self) -> str:
        """A name that changes whenever a row would: it follows from the network and every item's content."""
        present = [(row, item) for row, item in enumerate(self._items) if item is not None]
        keys = self._keys([item for _, item in present])
        return fingerprint(self._network, [row for row, _ in present], *keys)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: int | Int64[np.ndarray, "*shape"]) -> Float32[np.ndarray, "*shape d"]:
        self._compute(np.unique(np.asarray(rows, np.int64)))
        return self._vectors[rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.fill(), dtype, copy=copy)

    def fill(self) -> Float32[np.ndarray, "items d"]:
        """Compute all rows that are missing, then forget the network.

        Processes that fill tables over the same cache at once divide the work.

        Raises:
            InputError: a picture is missing or cannot be decoded, or the cache is damaged.
        """
        self._compute(np.arange(len(self)))
        self.__dict__.pop("_embed", None)
        return self._vectors

    def _compute(self, rows: Int64[np.ndarray, " n"]) -> None:
        if self._known[rows].all():
            return
        with self._lock:
            items = {row: self._items[row] for row in rows[~self._known[rows]].tolist()}
            item_of: dict[int, Any] = {row: item for row, item in items.items() if item is not None}
            places: dict[str, list[int]] = {}
            for row, key in zip(item_of, self._keys(list(item_of.values())), strict=True):
                places.setdefault(key, []).append(row)
            self._look_up(list(places), places)
            if self._progress is not None and places:
                self._progress(self._count_known(places), len(places))
            if not all(self._known[row] for row, *_ in places.values()):
                self._embed_all(places, item_of)
            self._known[rows] = True  # those without an item too, whose vectors stay zero

    def _look_up(self, keys: Sequence[str], places: Mapping[str, list[int]]) -> None:
        """Take the vectors of ``keys`` that this table or the cache knows."""
        for some in _parts([key for key in keys if not self._known[places[key][0]]], KEYS_AT_ONCE):
            found = {key: self._vectors[self._row_of[key]] for key in some if key in self._row_of}
            if self._cache is not None:
                found |= self._cache.get(self._network, [key for key in some if key not in found])
            for key, vector in found.items():
                self._keep(key, places[key], vector)

    def _count_known(self, places: Mapping[str, list[int]]) -> int:
        return int(self._known[[row for row, *_ in places.values()]].sum())

    def _embed_all(self, places: Mapping[str, list[int]], items: Mapping[int, Any]) -> None:
        """Embed what is missing; other processes with the same items and cache do some of it."""
        parts = {str(number): part for number, part in enumerate(_parts(list(places), PART))}

        def missing(name: str) -> list[str]:
            return [key for key in parts[name] if not self._known[places[key][0]]]

        def done(name: str) -> bool:
            self._look_up(parts[name], places)
            return not missing(name)

        def do(name: str) -> None:
            wanted = missing(name)
            batches = batches_ahead(self._prepare, [items[places[key][0]] for key in wanted], BATCH)
            for keys, prepared in zip(_parts(wanted, BATCH), batches, strict=True):
                fresh = dict(zip(keys, self._embed(prepared), strict=True))
                if self._cache is not None:
                    self._cache.put(self._network, fresh)
                for key, vector in fresh.items():
                    self._keep(key, places[key], vector)
                if self._progress is not None:
                    self._progress(self._count_known(places), len(places))

        if self._cache is None or len(parts) == 1:  # nothing to divide
            for name in parts:
                do(name)
            return
        work = self._cache.file.parent / UNFINISHED / f"features-{fingerprint(self._network, *places)}"
        divided(work, list(parts), done, do)
        shutil.rmtree(work, ignore_errors=True)

    def _keep(self, key: str, rows: list[int], vector: Float32[np.ndarray, " d"]) -> None:
        self._vectors[rows] = vector
        self._known[rows] = True
        self._row_of[key] = rows[0]


@runtime_checkable
class ReadsSquares(Protocol):
    """An extractor that says how large its network sees a picture."""

    @property
    def side(self) -> int:
        """Pixels of the shorter side to which pictures are scaled before anything else."""


def picture_table(
    extractor: FeatureExtractor,
    paths: Sequence[Path | None],
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
    *,
    again: Callable[[], FeatureExtractor] | None = None,
) -> EmbeddingTable[Path]:
    """The embeddings of picture files, one row for each path; a row without a picture is zero.

    Asking for a row raises an `InputError` if its picture is missing or cannot be decoded.

    Args:
        extractor: embeds them.
        paths: the files.
        cache: keeps embeddings between runs.
        progress: called while rows are computed.
        again: gives the extractor whenever rows are computed, so that the table itself does not keep it.
    """
    draft = DRAFT * extractor.side if isinstance(extractor, ReadsSquares) else None
    load = again or (lambda: extractor)
    return EmbeddingTable(
        paths,
        width=extractor.width,
        network=extractor.identity if draft is None else f"{extractor.identity}#draft{draft}",
        keys=cache.digests if cache is not None else lambda some: [file_digest(path) for path in some],
        prepare=lambda path: open_picture(path, longest=LONGEST, draft=draft),
        embed=lambda some: load().embed_pictures(some),
        cache=cache,
        progress=progress,
    )


def text_table(
    extractor: TextEmbedder,
    texts: Sequence[str],
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
    *,
    again: Callable[[], TextEmbedder] | None = None,
) -> EmbeddingTable[str]:
    """The embeddings of texts, one row for each; arguments as for `picture_table`."""
    load = again or (lambda: extractor)
    return EmbeddingTable(
        texts,
        width=extractor.width,
        network=f"{extractor.identity}#text",
        keys=lambda some: [hashlib.sha256(text.encode()).hexdigest() for text in some],
        prepare=str,
        embed=lambda some: load().embed_texts(some),
        cache=cache,
        progress=progress,
    )


def cached_pictures(
    extractor: FeatureExtractor,
    paths: Sequence[Path | None],
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> Float32[np.ndarray, "n d"]:
    """All rows of a `picture_table`.

    Raises:
        InputError: a picture is missing or cannot be decoded, or the cache is damaged.
    """
    return picture_table(extractor, paths, cache, progress).fill()


def cached_texts(
    extractor: TextEmbedder,
    texts: Sequence[str],
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> Float32[np.ndarray, "n d"]:
    """All rows of a `text_table`."""
    return text_table(extractor, texts, cache, progress).fill()


def _parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
