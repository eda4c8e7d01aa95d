"""Words as vectors, each distinct one embedded once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphcond.errors import InputError
from graphcond.features.clip import ClipExtractor
from graphcond.features.feature_cache import FeatureCache
from graphcond.features.words import WordTable, word_table
from tests.scene_builders import HashedWords


def test_each_distinct_word_is_embedded_once(tmp_path: Path) -> None:
    first, second, cache = HashedWords(), HashedWords(), FeatureCache(tmp_path)
    table = word_table(["standing on", "dog", "standing on"], first, cache)
    assert table.words == ("standing on", "dog")
    assert first.asked == ["standing on", "dog"]
    again = word_table(["dog", "cat"], second, cache)
    assert second.asked == ["cat"]
    np.testing.assert_array_equal(again.of(["dog"]), table.of(["dog"]))


def test_an_open_table_embeds_words_when_they_are_asked_for(tmp_path: Path) -> None:
    network = HashedWords()
    table = WordTable(network, FeatureCache(tmp_path))
    first = table.of(["dog", "cat", "dog"])
    again = table.of(["cat", "bird", "dog"])
    assert network.asked == ["dog", "cat", "bird"]
    np.testing.assert_array_equal(again[[2, 0]], first[:2])


def test_words_come_in_the_order_asked() -> None:
    table = word_table(["a", "b"], HashedWords())
    np.testing.assert_array_equal(table.of(["b", "a", "b"]), table.vectors[[1, 0, 1]])
    assert table.of([]).shape == (0, table.width)
    with pytest.raises(InputError, match="'c' was not embedded"):
        table.of(["a", "c"])


def test_no_word_at_all() -> None:
    assert word_table([], HashedWords()).of([]).shape == (0, HashedWords.width)


def test_clip_embeds_words_as_they_are(clip_folder: Path) -> None:
    clip = ClipExtractor.from_pretrained(clip_folder)
    table = word_table(["standing on", "dog"], clip)
    np.testing.assert_allclose(table.of(["dog"]), clip.embed_texts(["dog"]), atol=1e-5)
