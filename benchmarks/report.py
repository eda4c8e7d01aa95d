"""The tables of bench_ppr.py, and whether its aims are met."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ours import FLOOR, OURS, OWN, SEMANTIC, TWO

from graphcond.attributed_graph import AttributedGraph

PRECISE = 0.99
MIB = 2**20


@dataclass(frozen=True)
class Row:
    """What was measured of a method, or in ``note`` why nothing was."""

    method: str
    threads: int = 1
    ms: float | None = None
    precision: float | None = None
    targets: int = 0
    ready_s: float = 0.0
    code_mib: float = 0.0
    peak_mib: float = 0.0
    setting: str = ""
    beside: float | None = None
    spread: tuple[float, float] = (0.0, 0.0)
    note: str = ""


@dataclass(frozen=True)
class GraphResult:
    name: str
    graph: AttributedGraph
    rows: list[Row]
    in_turns: Row | None = None
    """The fastest precise peer, timed in turns with ours."""

    @property
    def csr_mib(self) -> float:
        return (self.graph.indptr.nbytes + self.graph.indices.nbytes) / MIB

    def row(self, method: str) -> Row | None:
        """The row of ``method``, if it was measured."""
        return next((row for row in self.rows if row.method == method and row.ms is not None), None)

    def fastest_peer(self) -> Row | None:
        """The fastest installable one that is precise."""
        precise = [
            row for row in self.rows if row.method not in OURS and row.ms and (row.precision or 0) >= PRECISE
        ]
        return min(precise, key=lambda row: row.ms or 0, default=None)


def table(result: GraphResult) -> str:
    """Markdown; ``times ours`` is the time in units of our row with one thread."""
    own = result.row(OWN)
    lines = [
        f"## {result.name}: {len(result.graph):,} nodes, {len(result.graph.indices) // 2:,} edges, "
        f"largest degree {result.graph.degrees.max():,}, CSR {result.csr_mib:,.1f} MiB",
        "",
        "| method | ms a target | precision@50 | times ours | peak MiB | of it code | threads | targets "
        "| ready s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in sorted(result.rows, key=lambda row: (row.method not in OURS, row.ms or 1e9)):
        lines.append(_line(row, own))
    return "\n".join(lines)


def _line(row: Row, own: Row | None) -> str:
    name = ", ".join(part for part in (row.method, row.setting) if part)
    if row.ms is None:
        return f"| {name} | {row.note} | | | | | {row.threads} | | |"
    ratio = f"{row.ms / own.ms:,.2f}" if own and own.ms else ""
    precision = "" if row.precision is None else f"{row.precision:.3f}"
    memory = ("", "") if row.method == FLOOR else (f"{row.peak_mib:,.0f}", f"{row.code_mib:,.0f}")
    return (
        f"| {name} | {row.ms:,.3g} | {precision} | {ratio} | {memory[0]} | {memory[1]} | {row.threads} "
        f"| {row.targets} | {row.ready_s:.1f} |"
    )


def shapes_table(results: list[GraphResult]) -> str:
    """Markdown, a line for each graph: ours, the fastest precise peer, and how many times ours is as fast."""
    lines = [
        "| graph | nodes | edges | largest degree | graphcond | ms a target | precision@50 | ready s "
        "| fastest precise peer | ms a target | precision@50 | times as fast (lowest .. highest of 9) |",
        "|---|---:|---:|---:|---|---:|---:|---:|---|---:|---:|---:|",
    ]
    for result in results:
        own, peer, graph = result.row(OWN), result.in_turns, result.graph
        if own is None or peer is None or peer.beside is None:
            lines.append(f"| {result.name} | no precise peer, or no row of ours |")
            continue
        edges = len(graph.indices) // (1 if graph.directed else 2)
        lines.append(
            f"| {result.name} | {len(graph):,} | {edges:,} | {graph.degrees.max():,} | {own.setting} "
            f"| {own.ms:,.3g} | {own.precision:.3f} | {own.ready_s:.1f} | {peer.method}, {peer.setting} "
            f"| {peer.ms:,.3g} | {peer.precision:.3f} "
            f"| {peer.beside:.1f} ({peer.spread[0]:.1f} .. {peer.spread[1]:.1f}) |"
        )
    return "\n".join(lines)


def verdicts(results: list[GraphResult]) -> str:
    """One line for each aim on each graph: what was measured, and whether it holds."""
    lines = [line for result in results for aim in AIMS for line in aim(result)]
    return "\n".join(["## Aims", "", *lines])


def _verdict(name: str, aim: str, value: float, holds: bool) -> str:
    return f"- {name}: {aim}: {value:.3g}, {'holds' if holds else 'falls short'}"


def _precise(result: GraphResult) -> Iterator[str]:
    own = result.row(OWN)
    if own and own.precision is not None:
        yield _verdict(result.name, "precision@50 >= 0.99", own.precision, own.precision >= PRECISE)


def _against_peers(result: GraphResult) -> Iterator[str]:
    own, peer = result.row(OWN), result.fastest_peer()
    share = {"S": 2, "M": 4, "L": 50}.get(result.name)
    if own and own.ms and peer and peer.ms and share:
        ratio = peer.ms / own.ms
        aim = f"times faster than {peer.method}, the fastest precise peer (aim {share})"
        yield _verdict(result.name, aim, ratio, ratio >= share)


def _in_turns(result: GraphResult) -> Iterator[str]:
    peer = result.in_turns
    if peer and peer.beside:
        yield _verdict(result.name, "times the fastest precise peer (aim 3)", peer.beside, peer.beside >= 3)


def _against_igraph(result: GraphResult) -> Iterator[str]:
    own, peer = result.row(OWN), result.row("igraph (PRPACK)")
    if own and own.ms and peer and peer.ms and result.name in ("S", "M", "L"):
        ratio = peer.ms / own.ms
        yield _verdict(result.name, "times faster than igraph (aim 100)", ratio, ratio >= 100)


def _floor(result: GraphResult) -> Iterator[str]:
    floor = result.row(FLOOR)
    if floor and floor.beside and result.name != "citeseer":
        ratio = 1 / floor.beside
        yield _verdict(result.name, "times the floor of the memory (aim below 2)", ratio, ratio < 2)


def _memory(result: GraphResult) -> Iterator[str]:
    own = result.row(OWN)
    if own and result.name == "L":
        for what, mib in (
            ("", own.peak_mib),
            (" without imports and compiled code", own.peak_mib - own.code_mib),
        ):
            ratio = mib / result.csr_mib
            yield _verdict("L", f"peak memory{what} in sizes of its CSR (aim below 1.3)", ratio, ratio < 1.3)


def _threads(result: GraphResult) -> Iterator[str]:
    two = result.row(TWO)
    if two and two.beside and result.name != "citeseer":
        ratio = 1 / two.beside
        yield _verdict(result.name, "two threads against one (aim 1.7)", ratio, ratio >= 1.7)


def _semantic(result: GraphResult) -> Iterator[str]:
    row = result.row(SEMANTIC)
    if row and row.beside and result.name != "citeseer":
        aim = "semantic_ppr in times of PPR alone (aim at most 1.3)"
        yield _verdict(result.name, aim, row.beside, row.beside <= 1.3)


AIMS: tuple[Callable[[GraphResult], Iterator[str]], ...] = (
    _precise,
    _against_peers,
    _in_turns,
    _against_igraph,
    _floor,
    _memory,
    _threads,
    _semantic,
)
