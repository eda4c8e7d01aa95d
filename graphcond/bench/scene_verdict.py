"""Findings of the comparison of scene recipes, and the marks that recipes miss."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from graphcond.evaluation import Measurement

if TYPE_CHECKING:
    from graphcond.bench.scenes import SceneRow

TEXT_ONLY = "sgcond-i"
"""The experiment whose graph reaches the base as a sentence; the others are graph recipes."""

MEASURE = "relation_accuracy"
WANTED_GAIN = 0.25
"""Margin by which the best graph recipe's relation accuracy should exceed no graph and a wrong graph."""

WANTED_OCCURRENCE = 0.8
"""Share of the objects that should be in the picture."""

CONTROLS = ("no_graph", "shuffled_graph")


def scene_findings(rows: Sequence[SceneRow]) -> Iterator[str]:
    """The findings: the best graph recipe, whether it reaches its marks, the swaps, and the missed marks."""
    graph_rows = [row for row in rows if row.facts.name != TEXT_ONLY]
    if graph_rows:
        best = max(graph_rows, key=lambda row: row.figure(MEASURE).mean)
        ours, found = best.figure(MEASURE), best.figure("object_occurrence")
        others = [row for row in graph_rows if row is not best]
        ties = [row.facts.name for row in others if row.figure(MEASURE).high >= ours.low]
        close = f"; intervals overlap with {', '.join(ties)}" if ties else ""
        yield f"best graph recipe by relation accuracy: {best.facts.name}, {spoken(ours)}{close}"
        yield from (_gain(best, control) for control in CONTROLS)
        reached = "reaches" if found.mean >= WANTED_OCCURRENCE else "is short of"
        yield (
            f"object occurrence of {best.facts.name}: {spoken(found)}, "
            f"which {reached} the {100 * WANTED_OCCURRENCE:.0f} % wanted"
        )
        yield _swap(rows, graph_rows)
    shortfalls = [text for row in rows if (text := _shortfall(row))]
    yield (
        f"falls short of these marks: {'; '.join(shortfalls)}"
        if shortfalls
        else "every experiment reaches all of these marks"
    )


def _gain(best: SceneRow, control: str) -> str:
    gain = best.gain(MEASURE, control)
    mark = 100 * WANTED_GAIN
    if gain.low >= WANTED_GAIN:
        verdict = f"at least {mark:.0f} points, with its whole interval"
    elif gain.mean >= WANTED_GAIN:
        verdict = f"at least {mark:.0f} points, but its interval reaches below"
    else:
        verdict = f"short of the {mark:.0f} points wanted"
    return (
        f"relation accuracy of {best.facts.name} over {control.replace('_', ' ')}: "
        f"{100 * gain.mean:+.0f} points [{100 * gain.low:+.0f}, {100 * gain.high:+.0f}], {verdict}"
    )


def _swap(rows: Sequence[SceneRow], graph_rows: Sequence[SceneRow]) -> str:
    best = max(graph_rows, key=lambda row: row.scores.swap.both.mean)
    ours = best.scores.swap
    said = f"swap test, both pictures right: best graph recipe {best.facts.name} {spoken(ours.both)}"
    text = next((row.scores.swap for row in rows if row.facts.name == TEXT_ONLY), None)
    if text is not None:
        said += f", text alone ({TEXT_ONLY}) {spoken(text.both)}"
        if ours.both.low > text.both.high:
            said += ": the graph tells who is where, the sentence does not as well"
        elif ours.both.high < text.both.low:
            said += ": the sentence does better"
        else:
            said += ": too close to tell at this n"
    return f"{said}; chance {spoken(ours.chance)}"


def _shortfall(row: SceneRow) -> str:
    missed = [
        f"{100 * row.gain(MEASURE, control).mean:+.0f} points over {control.replace('_', ' ')}"
        for control in CONTROLS
        if row.gain(MEASURE, control).mean < WANTED_GAIN
    ]
    found = row.figure("object_occurrence").mean
    if found < WANTED_OCCURRENCE:
        missed.append(f"{100 * found:.0f} % of the objects")
    return f"{row.facts.name} ({', '.join(missed)})" if missed else ""


def spoken(share: Measurement) -> str:
    """A share in percent, with its interval."""
    return f"{100 * share.mean:.0f} % [{100 * share.low:.0f}, {100 * share.high:.0f}]"
