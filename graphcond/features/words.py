"""Words as vectors: every distinct label, attribute and predicate embedded once by a frozen network."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float32

from graphcond.errors import InputError
from graphcond.features.clip import TextEmbedder
from graphcond.features.feature_cache import FeatureCache, cached_texts
from graphcond.progress import Progress


@dataclass(frozen=True)
class WordTable:
    """Distinct words and their embeddings; row ``i`` of ``vectors`` is word ``i``."""

    words: tuple[str, ...]
    vectors: Float32[np.ndarray, "words d"]

    @property
    def width(self) -> int:
        """d, length of one embedding."""
        return self.vectors.shape[1]

    @cached_property
    def index(self) -> Mapping[str, int]:
        """Word to row."""
        return {word: row for row, word in enumerate(self.words)}

    def of(self, words: Sequence[str]) -> Float32[np.ndarray, "n d"]:
        """The embeddings of ``words``, in their order.

        Raises:
            InputError: a word was not embedded.
        """
        try:
            return self.vectors[[self.index[word] for word in words]]
        except KeyError as error:
            raise InputError(
                f"the word {error} was not embedded", remedy="embed all words of a scene first"
            ) from None


def word_table(
    words: Iterable[str],
    extractor: TextEmbedder,
    cache: FeatureCache | None = None,
    progress: Progress | None = None,
) -> WordTable:
    """Embed each distinct word as it is ("standing on" is one); ``cache`` keeps them between runs.

    Raises:
        InputError: the cache is damaged.
    """
    distinct = tuple(dict.fromkeys(words))
    return WordTable(distinct, cached_texts(extractor, distinct, cache, progress))
