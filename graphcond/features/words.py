"""Words as vectors: every distinct label, attribute and predicate embedded once by a frozen network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Float32

from graphcond.errors import InputError
from graphcond.features.clip import TextEmbedder
from graphcond.features.feature_cache import FeatureCache, cached_texts
from graphcond.progress import Progress


class WordTable:
    """Distinct words and their embeddings, each computed when it is first requested.

    A word is embedded as it is: "standing on" is one.

    Args:
        extractor: the network.
        cache: keeps embeddings between runs; None keeps none.
    """

    def __init__(self, extractor: TextEmbedder, cache: FeatureCache | None = None) -> None:
        self.width = extractor.width
        self.vectors: Float32[np.ndarray, "words d"] = np.zeros((0, self.width), np.float32)
        self._row_of: dict[str, int] = {}
        self._extractor: TextEmbedder | None = extractor
        self._cache = cache

    @property
    def words(self) -> tuple[str, ...]:
        """The words that are embedded; row ``i`` of ``vectors`` is word ``i``."""
        return tuple(self._row_of)

    def of(self, words: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The embeddings of ``words``, in their order.

        Raises:
            InputError: the table is closed and does not hold a word, or the cache is damaged.
        """
        self.add(words)
        return self.vectors[[self._row_of[word] for word in words]]

    def add(self, words: Iterable[str], progress: Progress | None = None) -> None:
        """Embed the words that are missing.

        Raises:
            InputError: the table is closed and does not hold a word, or the cache is damaged.
        """
        missing = [word for word in dict.fromkeys(words) if word not in self._row_of]
        if not missing:
            return
        if self._extractor is None:
            raise InputError(
                f"the word '{missing[0]}' was not embedded", remedy="embed all words of a scene first"
            )
        found = cached_texts(self._extractor, missing, self._cache, progress)
        self.vectors = np.concatenate([self.vectors, found])
        self._row_of |= {word: row for row, word in enumerate(missing, len(self._row_of))}

    def close(self) -> None:
        """Take no further word, and forget the network."""
        self._extractor = None


def word_table(
    words: Iterable[str],
    extractor: TextEmbedder,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> WordTable:
    """A closed table of ``words``.

    Raises:
        InputError: the cache is damaged.
    """
    table = WordTable(extractor, cache)
    table.add(words, progress)
    table.close()
    return table
