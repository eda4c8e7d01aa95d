"""The best row, what the graph gains it, and the marks that rows miss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from graphcond.sweep.results import Group, Results
from graphcond.sweep.tables import CONTROLS
from graphcond.sweep.verdicts.base import Verdict, share
from graphcond.sweep.verdicts.config import MarksVerdictConfig

DEFAULT = MarksVerdictConfig.model_construct()
SWAP = ("swap_both", "graph")


@dataclass(frozen=True, kw_only=True)
class MarksVerdict(Verdict):
    """Compares scene recipes with marks: relations over those of wrong graphs, objects, the swap test.

    Args:
        metric: decides which row is best.
        gain: by how much it should exceed that of the arms without and with a wrong graph.
        shares: further metrics, with the values that they should reach.
        text_only: the row whose graph reaches the base as a sentence; the others are graph recipes.
    """

    metric: str = DEFAULT.metric
    gain: float = DEFAULT.gain
    shares: Mapping[str, float] = field(default_factory=lambda: DEFAULT.shares)
    text_only: str | None = DEFAULT.text_only

    @property
    def _key(self) -> tuple[str, str]:
        return self.metric, "graph"

    def findings(self, results: Results) -> Iterator[str]:
        """The best graph recipe, its gains, its shares, the swap test, and the missed marks."""
        rows = [group for group in results.groups if self._key in group.values]
        graphs = [group for group in rows if group.name != self.text_only]
        if graphs:
            best = max(graphs, key=lambda group: group.values[self._key].over_targets.mean)
            yield self._best(results, best, graphs)
            yield from (self._gain(results, best, control) for control in CONTROLS)
            for metric, wanted in self.shares.items():
                if (value := best.values.get((metric, "graph"))) is not None:
                    found = value.over_targets
                    reached = "reaches" if found.mean >= wanted else "is short of"
                    wish = f"{100 * wanted:.0f} % wanted"
                    yield f"{metric} of {best.name}: {share(found)}, which {reached} the {wish}"
            if any(SWAP in group.values for group in graphs):
                yield self._swap(results, graphs)
        shortfalls = [text for row in rows if (text := self._shortfall(results, row))]
        if rows:
            yield (
                f"falls short of these marks: {'; '.join(shortfalls)}"
                if shortfalls
                else "every row reaches all of these marks"
            )

    def _best(self, results: Results, best: Group, graphs: Sequence[Group]) -> str:
        near = [
            group.name
            for group in graphs
            if group is not best
            and (
                (found := results.difference(best.name, group.name, self._key)) is None
                or not found.value.sign
            )
        ]
        close = f"; too close to tell from {', '.join(near)} at this n" if near else ""
        figure = best.values[self._key].over_targets
        return f"best graph recipe by {self.metric}: {best.name}, {share(figure)}{close}"

    def _gain(self, results: Results, best: Group, control: str) -> str:
        found, mark = results.gain(best.name, self.metric, control), 100 * self.gain
        against = f"{self.metric} of {best.name} over {control.replace('_', ' ')}"
        if found is None:
            return f"{against}: not drawn"
        gain = found.value.over_targets
        if gain.low >= self.gain:
            verdict = f"at least {mark:.0f} points, with its whole interval"
        elif gain.mean >= self.gain:
            verdict = f"at least {mark:.0f} points, but its interval reaches below"
        else:
            verdict = f"short of the {mark:.0f} points wanted"
        low, mean, high = (f"{100 * value:+.0f}" for value in (gain.low, gain.mean, gain.high))
        return f"{against}: {mean} points [{low}, {high}], {verdict}"

    def _swap(self, results: Results, graphs: Sequence[Group]) -> str:
        best = max(
            (group for group in graphs if SWAP in group.values),
            key=lambda group: group.values[SWAP].over_targets.mean,
        )
        right = share(best.values[SWAP].over_targets)
        said = f"swap test, both pictures right: best graph recipe {best.name} {right}"
        text = next((group for group in results.groups if group.name == self.text_only), None)
        if text is not None and SWAP in text.values:
            said += f", text alone ({text.name}) {share(text.values[SWAP].over_targets)}"
            found = results.difference(best.name, text.name, SWAP)
            sign = 0 if found is None else found.value.sign
            said += {
                1: ": the graph tells who is where, the sentence does not as well",
                -1: ": the sentence does better",
                0: ": too close to tell at this n",
            }[sign]
        if (chance := best.values.get(("swap_chance", "graph"))) is not None:
            said += f"; chance {share(chance.over_targets)}"
        if (alone := best.values.get(("swap_one", "graph"))) is not None:
            floor = best.values["swap_one_chance", "graph"].over_targets
            said += f"; a picture alone {share(alone.over_targets)}, chance {share(floor)}"
        return said

    def _shortfall(self, results: Results, row: Group) -> str:
        gains = {control: results.gain(row.name, self.metric, control) for control in CONTROLS}
        missed = [
            f"{100 * found.value.over_targets.mean:+.0f} points over {control.replace('_', ' ')}"
            for control, found in gains.items()
            if found is not None and found.value.over_targets.mean < self.gain
        ]
        for metric, wanted in self.shares.items():
            value = row.values.get((metric, "graph"))
            if value is not None and value.over_targets.mean < wanted:
                missed.append(f"{metric} {100 * value.over_targets.mean:.0f} %")
        return f"{row.name} ({', '.join(missed)})" if missed else ""
