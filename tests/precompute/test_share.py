"""Which share of the work a process does."""

from __future__ import annotations

import pytest

from graphcond.errors import InputError
from graphcond.precompute import Share, share_of

LAUNCHED = {"RANK": "1", "WORLD_SIZE": "3"}


def test_the_option_goes_before_the_launcher_and_alone_is_all() -> None:
    assert share_of("0/2", LAUNCHED) == Share(0, 2)
    assert share_of(None, LAUNCHED) == Share(1, 3)
    assert share_of(None, {"RANK": "1"}) == Share(0, 1)


@pytest.mark.parametrize("shard", ["", "1", "1/", "/2", "a/2", "-1/2", "1/2/3", "0.5/2", "²/3", "9" * 5000])
def test_a_malformed_shard_is_refused(shard: str) -> None:
    with pytest.raises(InputError, match=r"--shard: expected a share i/n, .*0/2"):
        share_of(shard, {})


@pytest.mark.parametrize(("shard", "problem"), [("2/2", "from 0 to 1"), ("0/0", "at least one")])
def test_a_share_beyond_the_last_is_refused(shard: str, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        share_of(shard, {})


def test_a_launcher_that_says_nonsense_is_named() -> None:
    with pytest.raises(InputError, match="RANK and WORLD_SIZE"):
        share_of(None, {"RANK": "x", "WORLD_SIZE": "3"})
