"""Embeddings on disk, keyed by what was embedded and by whom, so that each is computed once."""

from __future__ import annotations

import hashlib
import sqlite3
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32
from PIL import Image

from graphcond.errors import InputError
from graphcond.features.clip import FeatureExtractor, TextEmbedder
from graphcond.io.files import default_cache_folder
from graphcond.io.pictures import open_picture
from graphcond.progress import Progress

Item = TypeVar("Item")

FILE = "features.sqlite"
BATCH = 32
"""How many pictures are held decoded at once, and how many embeddings are written in one transaction."""

LONGEST = 2048
"""Pictures with a longer side are scaled down to this before they are embedded, to bound the memory."""

_TABLE = """
CREATE TABLE IF NOT EXISTS features (
    extractor TEXT NOT NULL, content TEXT NOT NULL, vector BLOB NOT NULL, checksum INTEGER NOT NULL,
    UNIQUE (extractor, content)
)"""


class FeatureCache:
    """Float32 embeddings in one SQLite file that several processes may use at the same time.

    Each write is a transaction: a kill loses at most the batch that was being written.

    Args:
        folder: where the file lies; `default_cache_folder` if None.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self.file = Path(folder or default_cache_folder()) / FILE

    def get(self, extractor: str, contents: Iterable[str]) -> dict[str, Float32[np.ndarray, " d"]]:
        """The embeddings by ``extractor`` (an identity) that are known, by content key.

        Raises:
            InputError: the file is damaged or cannot be opened.
        """
        query = "SELECT vector, checksum FROM features WHERE extractor = ? AND content = ?"
        found = {}
        with self._open() as database:
            for content in contents:
                row = database.execute(query, (extractor, content)).fetchone()
                if row is not None:
                    found[content] = self._vector(*row)
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

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.file, timeout=60)) as database:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")
                database.execute(_TABLE)
                yield database
        except (OSError, sqlite3.OperationalError) as error:
            raise InputError(
                f"the feature cache cannot be used ({error})",
                place=self.file,
                remedy="make its folder writable, or set GRAPHCOND_CACHE to another folder",
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(str(error)) from error

    def _vector(self, blob: bytes, checksum: int) -> Float32[np.ndarray, " d"]:
        if zlib.crc32(blob) != checksum:
            raise self._damaged("an embedding does not match its checksum")
        return np.frombuffer(blob, "<f4")

    def _damaged(self, how: str) -> InputError:
        return InputError(
            f"the feature cache is damaged ({how})",
            place=self.file,
            remedy="delete the file; its embeddings will be computed again",
        )


def cached_pictures(
    extractor: FeatureExtractor,
    paths: Sequence[Path | None],
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> Float32[np.ndarray, "n d"]:
    """The embeddings of picture files; each distinct content is embedded once.

    Args:
        extractor: the network.
        paths: one picture file for each row, None where there is none: its row is zero.
        cache: where embeddings are kept between runs; None keeps none.
        progress: called at the start and after each batch, counting distinct pictures.

    Raises:
        InputError: a picture is missing or cannot be decoded, or the cache is damaged.
    """
    keys = [None if path is None else _file_digest(path) for path in paths]
    return _cached(
        extractor.identity,
        extractor.width,
        keys,
        paths,
        lambda batch: extractor.embed_pictures([_open(path) for path in batch if path is not None]),
        cache,
        progress,
    )


def cached_texts(
    extractor: TextEmbedder,
    texts: Sequence[str],
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> Float32[np.ndarray, "n d"]:
    """The embeddings of texts; each distinct text is embedded once. Arguments as `cached_pictures`."""
    keys = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    identity = f"{extractor.identity}#text"
    return _cached(identity, extractor.width, keys, texts, extractor.embed_texts, cache, progress)


def _cached(
    identity: str,
    width: int,
    keys: Sequence[str | None],
    items: Sequence[Item],
    embed: Callable[[Sequence[Item]], Float32[np.ndarray, "n d"]],
    cache: FeatureCache | None,
    progress: Progress | None,
) -> Float32[np.ndarray, "n d"]:
    distinct = {key: item for key, item in zip(keys, items, strict=True) if key is not None}
    known = cache.get(identity, distinct) if cache else {}
    wanted = [key for key in distinct if key not in known]
    if progress and distinct:
        progress(len(known), len(distinct))
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        fresh = dict(zip(batch, embed([distinct[key] for key in batch]), strict=True))
        if cache:
            cache.put(identity, fresh)
        known |= fresh
        if progress:
            progress(len(known), len(distinct))
    return _rows(keys, known, width)


def _open(path: Path) -> Image.Image:
    return open_picture(path, longest=LONGEST)


def _rows(
    keys: Sequence[str | None], known: Mapping[str, Float32[np.ndarray, " d"]], width: int
) -> Float32[np.ndarray, "n d"]:
    rows = np.zeros((len(keys), width), np.float32)
    for row, key in enumerate(keys):
        if key is not None:
            rows[row] = known[key]
    return rows


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(
            f"the picture cannot be read ({error.strerror})", place=path, remedy="check the path"
        ) from None
