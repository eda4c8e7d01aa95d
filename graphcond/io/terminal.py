"""Text for a terminal, where control codes in names, ids and texts of data are shown, and for Markdown."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""C0 without tab and line feed, C1, marks and overrides of direction, separators, and lone surrogates."""


def plain(text: str) -> str:
    r"""``text`` with each control code as ``\uXXXX``, which is also its escape within a string of JSON."""
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def say(text: object = "", *, end: str = "\n", err: bool = False) -> None:
    """Print the answer of a command to standard output, or a word about it to standard error."""
    print(plain(str(text)), end=end, file=sys.stderr if err else sys.stdout, flush=err)


def console(*, stderr: bool = False) -> Console:
    """A console whose strings, those in tables among them, are `plain`; ``:cat:`` stays what it is."""
    return _console_class()(stderr=stderr, emoji=False)


def facts(title: str, rows: Mapping[str, object]) -> Table:
    """A table of names and values for a console."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, escape(str(value)))
    return table


def markdown_table(
    header: Sequence[str], rows: Iterable[Sequence[str]], right: Sequence[bool] | None = None
) -> str:
    """A table of cells that are Markdown already; ``right`` says which columns are set to the right."""
    rules = ["---:" if to_right else "---" for to_right in right or [False] * len(header)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (header, rules, *rows))


@cache
def _console_class() -> type[Console]:
    from rich.console import Console  # slow to import
    from rich.text import Text

    class PlainConsole(Console):
        def render_str(self, text: str, **options: object) -> Text:  # type: ignore[override]
            return super().render_str(plain(text), **options)  # type: ignore[arg-type]

    return PlainConsole
