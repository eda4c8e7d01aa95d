"""One strict reader of JSON: models, plans, states, scenes, configs of bases."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from graphcond.errors import InputError
from graphcond.io.files import read_json
from graphcond.io.strict_json import parse_json


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 101 + "]" * 101, "nested too deeply"),
        ('{"a": [' * 60 + "]}" * 60, "nested too deeply"),
        ('{"a":' * 50_000, "nested too deeply"),
        ("9" * 5000, "not JSON: Exceeds the limit"),
        ('{"a": 1, "b": 2, "a": 3}', "the key 'a' occurs twice"),
        ('[{"x": {"a": 1, "a": 1}}]', "the key 'a' occurs twice"),
        ('{"a": NaN}', "NaN is not a number"),
        ("[-Infinity]", "-Infinity is not a number"),
        ("[1e999]", "the number 1e999 is too large"),
        ("[-" + "9" * 400 + ".5]", "is too large"),
        (r'"\ud800"', "half a surrogate pair"),
        ("{'a': 1}", "not JSON"),
        ('{"a": 1}}', "not JSON"),
        ("\x00", "not JSON"),
    ],
)
def test_what_is_not_plain_json(text: str, problem: str) -> None:
    with pytest.raises(InputError, match=rf"^here.*{problem}"):
        parse_json(text, "here")


def test_plain_json_is_read_as_json_reads_it() -> None:
    text = '{"a": [1, -2.5e300, 1e-999, true, null, "\\ud83d\\ude00"], "b": {"a": 123456789012345678901}}'
    assert parse_json(text, "here") == json.loads(text)
    assert parse_json("[NaN, 1e999]", "here", nan=True)[1] == float("inf")


def test_files(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_json(file) == {"a": 1}
    file.write_bytes(b'{"a": "\xe9"}')
    with pytest.raises(InputError, match=r"a\.json: the file is not UTF-8"):
        read_json(file)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match=r"pipe\.json: is not a regular file"):
        read_json(tmp_path / "pipe.json")
