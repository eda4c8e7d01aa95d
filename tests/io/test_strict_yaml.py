"""One strict reader of YAML: recipes, overrides, DGL's meta.yaml."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.io.strict_yaml import parse_yaml, read_yaml


def bomb(levels: int, width: int) -> str:
    """Lists of aliases to lists of aliases."""
    lines = ["a0: &a0 x"]
    for level in range(1, levels):
        lines.append(f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * width)}]")
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (bomb(9, 9), "more than 100000 values"),
        (bomb(30, 2), "more than 100000 values"),
        ("a: &a [*a]", "an alias stands in its own value"),
        ("a: &a {b: {c: *a}}", "an alias stands in its own value"),
        ("[" * 60 + "]" * 60, "more than 50 levels"),
        ("[" * 50_000, "nested too deeply"),
        ("a: " * 3, "mapping values are not allowed"),
        ("name: !!map [x]", "expected a mapping node"),
        ("name: !!seq {x: 1}", "expected a sequence node"),
        ("name: !!int ''", "does not fit its tag 'int'"),
        ("name: !!float x", "does not fit its tag 'float'"),
        ("name: !!bool maybe", "does not fit its tag 'bool'"),
        ("name: !!timestamp foo", "does not fit its tag 'timestamp'"),
        ("name: !!omap 3", "expected a sequence"),
        ("name: !!python/name:os.system ''", "could not determine a constructor"),
        ("name: !mine 3", "could not determine a constructor"),
        ("name: 0x" + "f" * 5000, "more than 300 digits"),
        ("name: " + "9" * 5000, "does not fit its tag 'int'"),
        ("name: -" + "9" * 301, "more than 300 digits"),
        ("name: 2001-13-01", "month must be in 1..12"),
        ("a: 1\nb: 2\na: 3", "'a' is given twice"),
        ("? [a]\n: 1", "a key is a list"),
        ("a: \x00", "special characters"),
        ("a: 1\n--- b", "expected a single document"),
    ],
)
def test_what_is_refused(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"^here(:\d+)?: the text is not YAML: .*{problem}"):
        parse_yaml(text, "here")


def test_what_is_read() -> None:
    text = "a: &x [1, 2.5, true]\nb: *x\nc: !!str 3\nd: 2001-02-03\nnull: zeros\ne: !!float 1"
    assert parse_yaml(text, "here") == {
        "a": [1, 2.5, True],
        "b": [1, 2.5, True],
        "c": "3",
        "d": date(2001, 2, 3),
        "null": "zeros",
        "e": 1.0,
    }
    assert parse_yaml("", "here") is None


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_bytes(b"a: \xe9")
    with pytest.raises(InputError, match=r"a\.yaml: the file is not UTF-8"):
        read_yaml(file)
    file.write_text("# " + "x" * 1_000_000)
    with pytest.raises(InputError, match=r"a\.yaml: the file is larger than 1 MB"):
        read_yaml(file)
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(InputError, match=r"pipe\.yaml: is not a regular file"):
        read_yaml(tmp_path / "pipe.yaml")
