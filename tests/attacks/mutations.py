"""Seeded changes of valid inputs: bytes flipped, cut and inserted, fields retyped, names made odd."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random
from typing import Any

FRAGMENTS = (
    *(b"\x00", b"\xff", b"\xef\xbb\xbf", b"\x1b[2J", b"\xe2\x80\xae", b"\xed\xa0\x80", b"\r", b"\n\n", b"\t"),
    *(b'"', b"'", b",", b";", b":", b"{", b"}", b"[", b"]", b"- ", b"#", b"&a ", b"*a", b"!!int ", b"<<: "),
    *(b"NaN", b"-Infinity", b"1e999", b"-1", b"0x" + b"f" * 300, b"9" * 40, b"9" * 5000, b"null", b"true"),
    *(b"[" * 3000, b'{"a":' * 3000, b"../../../etc/passwd", b"/dev/zero", b"%s%n", b"=cmd|'/c calc'!A1"),
)
"""What is inserted into files."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 255, 256, 2**31, -(2**63), 2**64, 10**30, 10**400, 0.5, -0.0, 1e308),
    *(float("nan"), float("inf"), "", " ", "x", "x" * 5000, "\x1b]0;title\x07", "\u202e", "a\nb", "\x00"),
    *("../secret", "/dev/zero", "NaN", "1e9", [], [[]], {}, {"a": 1}, [1, 2, 3], [None], [[0.1] * 4]),
)
"""What fields become."""


def deep(levels: int) -> Any:
    """A list in a list in a list."""
    value: Any = "x"
    for _ in range(levels):
        value = [value]
    return value


def bytes_changed(content: bytes, random: Random) -> bytes:
    """One to three changes of bytes."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        content = random.choice(_BYTE_CHANGES)(content, random)
    return content


def _place(content: bytes, random: Random) -> int:
    return random.randrange(len(content) + 1)


def _flip(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice((1, 1, 4, 16)) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _overwrite(content: bytes, random: Random) -> bytes:
    start, length = _place(content, random), random.choice((1, 2, 4, 8, 64))
    filling = random.choice((b"\x00", b"\xff", b"\x7f", b"\x80", bytes([random.randrange(256)])))
    return content[:start] + (filling * length)[: len(content) - start] + content[start + length :]


def _cut(content: bytes, random: Random) -> bytes:
    return content[: _place(content, random)]


def _remove(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[:start] + content[start + random.choice((1, 2, 8, 100)) :]


def _insert(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    return content[:start] + random.choice(FRAGMENTS) + content[start:]


def _repeat(content: bytes, random: Random) -> bytes:
    start = _place(content, random)
    part = content[start : start + random.choice((1, 8, 60, 500))]
    return content[:start] + part * random.choice((2, 2, 50)) + content[start:]


_BYTE_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    *(_flip, _flip, _overwrite, _cut, _remove, _insert, _insert, _repeat),
)


def retyped(value: Any, random: Random) -> Any:
    """A copy of plain values in which one to three fields have another value, another name or are gone."""
    value = json.loads(json.dumps(value))
    for _ in range(random.choice((1, 1, 2, 3))):
        places = list(_places(value))
        if not places:
            return random.choice(VALUES)
        parent, key = random.choice(places)
        change = random.randrange(10)
        if change == 0:
            del parent[key]
        elif change == 1 and isinstance(parent, dict):
            parent[random.choice(("", "x", "\u202e", "a.b", str(key).upper(), f"{key} "))] = parent.pop(key)
        elif change == 2 and isinstance(parent, dict):
            parent["added"] = random.choice(VALUES)
        elif change == 3 and isinstance(parent, list):
            parent += [parent[key]] * random.choice((1, 3, 300))
        elif change == 4:
            parent[key] = deep(random.choice((2, 60, 400)))
        elif change == 5:
            other, name = random.choice(places)
            parent[key] = json.loads(json.dumps(other[name])) if _there(other, name) else None
        else:
            parent[key] = random.choice(VALUES)
    return value


def _there(parent: Any, key: Any) -> bool:
    return key in parent if isinstance(parent, dict) else key < len(parent)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every container with each of its keys."""
    found, waiting = [], [value]
    while waiting:
        one = waiting.pop()
        keys = list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ()
        found += [(one, key) for key in keys]
        waiting += [one[key] for key in keys]
    return found


def json_changed(value: Any, random: Random) -> bytes:
    """A JSON text with changed fields, or with changed bytes."""
    text = json.dumps(retyped(value, random) if random.random() < 0.7 else value, ensure_ascii=False)
    content = text.encode("utf-8", "surrogatepass")
    return bytes_changed(content, random) if random.random() < 0.4 else content
