"""Fenced blocks of Markdown files, and the commands in them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])

_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block, and the line of its page on which its text starts."""

    language: str
    text: str
    page: Path
    line: int

    def compiled(self, text: str | None = None) -> object:
        """Python code whose tracebacks name the page's own lines."""
        return compile("\n" * (self.line - 1) + (text or self.text), str(self.page), "exec")


def blocks(page: Path, language: str) -> list[Block]:
    """The blocks of a page that are written in ``language``."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(language, found[2], page, text.count("\n", 0, found.start(2)) + 1)
        for found in _FENCE.finditer(text)
        if found[1] == language
    ]


def commands(text: str) -> Iterator[list[str]]:
    """The arguments of every ``graphcond ...`` in shell lines; what is redirected is left out."""
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        if "graphcond" in words:
            rest = words[words.index("graphcond") + 1 :]
            yield rest[: rest.index(">")] if ">" in rest else rest
