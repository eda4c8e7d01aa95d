"""Does the paper's order hold: random below structure alone and meaning alone, both together on top?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

CHAIN = (
    ("random", "ppr"),
    ("random", "semantic (text)"),
    ("ppr", "semantic_ppr (text)"),
    ("semantic (text)", "semantic_ppr (text)"),
    ("ppr", "semantic_ppr (consensus)"),
    ("semantic (text)", "semantic_ppr (consensus)"),
)
"""Pairs of which the second should give the better pictures (InstructG2I, ablation of its sampler)."""

MEASURE = "style_accuracy"
SATURATED = 0.99


def paper_order(rows: Sequence[Any]) -> Iterator[str]:
    """One sentence for each level of noise: the pairs in the paper's order, those against it, and ties."""
    for level, group in groupby(rows, key=lambda row: row.noise):
        figures = {row.sampler: row.figures[MEASURE] for row in group}
        held = [pair for pair in CHAIN if figures[pair[1]].low > figures[pair[0]].high]
        against = [pair for pair in CHAIN if figures[pair[1]].high < figures[pair[0]].low]
        ties = [pair for pair in CHAIN if pair not in held and pair not in against]
        top = max(figures, key=lambda name: figures[name].mean)
        full = [name for name, figure in figures.items() if figure.mean >= SATURATED]
        yield (
            f"{level}: best is {top} ({figures[top].mean:.3f})"
            + _clause("as in the paper", held)
            + _clause("against the paper", against)
            + _clause("too close to tell at this n", ties)
            + (f"; saturated: {', '.join(full)}" if full else "; nothing saturates")
        )


def _clause(what: str, pairs: Sequence[tuple[str, str]]) -> str:
    return f"; {what}: {', '.join(f'{low} < {high}' for low, high in pairs)}" if pairs else ""
