"""Options that take many values reach typer as it can read them."""

from __future__ import annotations

import pytest

from graphcond.cli.many_values import apart, gather
from graphcond.errors import InputError


def test_gather_takes_values_up_to_the_next_option() -> None:
    assert gather(["m", "--neighbors", "a b.png", "c.png", "--neighbors", "d", "--steps", "3"]) == [
        "m", "--neighbors", "a b.png\0c.png", "--neighbors", "d", "--steps", "3",
    ]  # fmt: skip
    assert gather(["--graph-scale", "1.5", "-2", "--seed", "1"]) == [
        "--graph-scale", "1.5", "--graph-scale", "-2", "--seed", "1",
    ]  # fmt: skip
    for option in ("--neighbors", "--graph-scale"):
        with pytest.raises(InputError, match=f"{option}: the option needs a value"):
            gather([option, "--steps", "1"])


def test_gathered_values_come_apart_again() -> None:
    assert apart(gather(["--neighbors", "a b.png", "c.png"])[1]) == ["a b.png", "c.png"]
    assert apart("one") == ["one"]
