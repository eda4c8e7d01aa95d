"""What a base's text encoder makes of single phrases, whatever its tokenizer."""

from __future__ import annotations

import pytest
import torch

from graphcond.bases.phrases import AT_ONCE, phrase_states
from tests.conformance.parts import BASE_ROWS, fresh

WORDS = ["a star", "an old red star", "a tree by the sea"]


@pytest.mark.parametrize("row", BASE_ROWS)
def test_a_phrase_has_the_state_of_its_last_word(request: pytest.FixtureRequest, row: str) -> None:
    base = fresh(request, row)
    states, known = phrase_states(base, WORDS)
    tokens, longer = base.encode_prompt(WORDS), base.encode_prompt([f"{words} star" for words in WORDS])
    assert known.all()
    for number, state in enumerate(states):
        (place,) = (tokens.hidden[number] == state).all(-1).nonzero()[0].tolist()
        changed = (tokens.ids[number] != longer.ids[number]).nonzero()[0].item()
        assert place == changed - 1, "the next word stands behind it"


def test_long_phrases_and_such_without_words_have_none(request: pytest.FixtureRequest) -> None:
    base = fresh(request, "stable_diffusion")
    states, known = phrase_states(base, ["a star", "a star " * 100, "", *["a tree"] * AT_ONCE])
    assert known.tolist() == [True, False, False] + [True] * AT_ONCE
    assert states.isfinite().all()
    assert torch.allclose(states[3], states[-1], atol=1e-6)
