"""Quotes in CSV files that are opened and not closed, which swallow the rows behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from graphcond.errors import InputError

QUOTE, ENDS = 0x22, (0x0A, 0x0D)
BOM = b"\xef\xbb\xbf"


@runtime_checkable
class Readable(Protocol):
    """A file that is open for reading bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """The next bytes; none at the end."""


class QuoteCheck:
    """Passes a CSV file through and notes the first quoted cell with a line break that is not closed.

    A cell is quoted if its first byte is a quote. It is closed by a quote before a separator or a line break;
    Arrow also takes other bytes there, and reads the rows in between as one cell.

    Args:
        raw: the file.
        file: its name in the error.
        separator: the byte between cells.
    """

    def __init__(self, raw: Readable, file: Path, separator: str) -> None:
        self.raw, self.file, self.closed = raw, file, False
        self.problem: InputError | None = None
        self._limits = np.frombuffer(bytes((*ENDS, *separator.encode()[:1])), np.uint8)
        self._rest = b""  # quotes at the end of the bytes seen, since the next byte decides
        self._before = ENDS[0]
        self._line, self._opened = 1, 0  # the line of the next byte; that of the open quote, 0 without one

    def read(self, size: int = -1) -> bytes:
        """The next bytes of the file, whose quotes are followed; none at the end of the file."""
        data = self.raw.read(size)
        if self.problem is not None:
            return data
        seen = self._rest + (data.removeprefix(BOM) if self._line == 1 and not self._rest else data)
        at_end = not data
        self._rest = b"" if at_end else seen[len(seen.rstrip(b'"')) :]
        seen = seen[: len(seen) - len(self._rest)]
        if b'"' in seen and not self._regular(seen):
            self._follow(seen)
        self._line += seen.count(b"\n")
        self._before = seen[-1] if seen else self._before
        if at_end and self._opened and self.problem is None:
            self._fail(self._line)
        return data

    def _regular(self, seen: bytes) -> bool:
        """Follow quotes that all open or close a cell, or stand for one within; False if one does not."""
        bytes_ = np.frombuffer(seen, np.uint8)
        quotes = np.flatnonzero(bytes_ == QUOTE)
        before = np.where(quotes > 0, bytes_[quotes - 1], self._before)
        after = np.where(quotes + 1 < len(bytes_), bytes_[np.minimum(quotes + 1, len(bytes_) - 1)], ENDS[0])
        opens = (np.arange(len(quotes)) + (self._opened > 0)) % 2 == 0
        beside = np.where(opens, before, after)
        if not (np.isin(beside, self._limits) | (beside == QUOTE)).all():
            return False
        opening = quotes[opens & (before != QUOTE)]
        if (self._opened > 0) == (len(quotes) % 2 == 1):
            self._opened = 0
        elif len(opening):
            self._opened = self._line + seen.count(b"\n", 0, int(opening[-1]))
        return True

    def _follow(self, seen: bytes) -> None:
        """Follow the quotes one by one."""
        place = seen.find(b'"')
        while place >= 0 and self.problem is None:
            line = self._line + seen.count(b"\n", 0, place)
            after = seen[place + 1] if place + 1 < len(seen) else ENDS[0]
            if not self._opened:
                before = seen[place - 1] if place else self._before
                self._opened = line if before in self._limits else 0
            elif after == QUOTE:
                place += 1
            elif after not in self._limits and line > self._opened:
                self._fail(line)
            else:
                self._opened = 0
            place = seen.find(b'"', place + 1)

    def _fail(self, line: int) -> None:
        self.problem = InputError(
            f"the quote that opens in line {self._opened} is not closed before line {line}",
            place=self.file,
            remedy="close it, or write a quote within a cell twice",
        )
