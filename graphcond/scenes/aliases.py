"""Visual Genome's alias files: lines of words that mean one thing, the first of them the one to use."""

from __future__ import annotations

from pathlib import Path

from graphcond.errors import InputError
from graphcond.scenes.jsonfile import read_text


def read_aliases(file: Path) -> dict[str, str]:
    """Every alias to the word that stands for it, chains followed (a for b, b for c: a for c).

    A word that stands in two lines belongs to the later one, as sg2im reads the files.

    Raises:
        InputError: the file cannot be read, or aliases lead back to where they began.
    """
    direct: dict[str, tuple[str, int]] = {}
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        first, *others = [" ".join(word.split()).lower() for word in line.split(",")]
        direct.update({word: (first, number) for word in others if first and word and word != first})
    return {word: _follow(word, direct, file) for word in direct}


def _follow(word: str, direct: dict[str, tuple[str, int]], file: Path) -> str:
    seen = [word]
    while seen[-1] in direct:
        target, number = direct[seen[-1]]
        if target in seen:
            loop = " -> ".join([*seen[seen.index(target) :], target])
            raise InputError(
                f"aliases in a loop: {loop:.200}",
                place=f"{file}:{number}",
                remedy="take one of the lines out",
            )
        seen.append(target)
    return seen[-1]
