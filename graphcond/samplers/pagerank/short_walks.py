"""Personalized PageRank from the first few steps of a walk, and from where a long walk ends."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64, Int64
from numba import njit

from graphcond.context import NeighborContext
from graphcond.samplers.pagerank.kernels import lanes_of
from graphcond.samplers.pagerank.power import Block, System, best_of_block, step
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints
from graphcond.samplers.shared_work import Spare, in_parts


class ShortWalks:
    """Estimates p = alpha sum_j (1 - alpha)^j (P^T)^j e_target, P = D^-1 A, from its first terms.

    They are those of ``j`` up to ``steps``. Where most of a graph is a few steps away (hubs, heavy tails), a
    walk soon forgets where it began. All later terms are then multiples of one distribution, which is the
    same for all targets: without edge directions that in proportion to the strengths, otherwise what long
    walks lead to (`RandomWalk.far`). A node that no walk of ``steps`` steps reaches gets none of it.

    Where no edge leaves a node, its mass returns to the target. This repeats what the walk from the target
    does and so scales all values alike: it is left out, and values are scaled to a sum of 1 instead.

    A step reads every edge once for a block of 16 targets in float32; the first one reads only those of the
    targets. The result of a target does not depend on the others in its block. There is no bound on the
    errors, so `calibrated` measures how many steps a precision takes.

    Args:
        walk: the walk on the graph.
        alpha: probability to return to the target, 0 < alpha < 1.
        steps: length of the walks, at least 1.
    """

    def __init__(self, walk: RandomWalk, *, alpha: float, steps: int) -> None:
        self._alpha, self._steps, self._out = alpha, steps, walk.arrays[:3]
        self._system = system = System.of(walk, alpha, np.float32)
        far, kept = walk.far
        self._far = (far / system.masses).astype(np.float32)
        # The terms after the last one, if each keeps this share of the one before.
        share = (1 - alpha) * kept
        self._later = alpha * share ** (steps + 1) / (1 - share)
        self._spare: Spare[Block] = Spare(system.block)

    def __repr__(self) -> str:
        return f"walks of {self._steps} steps"

    def rank(
        self, targets: Int64[np.ndarray, " b"], wanted: RankingConstraints, *, threads: int = 1
    ) -> NeighborContext:
        """The best nodes for each target, with their estimates; see `ForwardPush.rank`."""
        answer = wanted.empty_answer(targets)
        multipliers = self._system.multipliers(wanted)

        def work(part: slice) -> None:
            with self._spare.lent() as block:
                values, sums = self._solve(targets[part], block)
                scores = answer.scores[part]
                best_of_block(
                    values, multipliers, wanted.allowed, targets[part], scores, answer.neighbors[part]
                )
                scores /= sums[: len(scores), None]

        in_parts(work, len(targets), part=lanes_of(np.float32), threads=threads)
        return answer

    def _solve(
        self, targets: Int64[np.ndarray, " b"], block: Block
    ) -> tuple[Float[np.ndarray, "nodes lanes"], Float64[np.ndarray, " lanes"]]:
        """Estimates divided by `System.masses`, one target per lane, and the sums of the estimates."""
        system, (now, then) = self._system, block
        filled = np.resize(targets, now.shape[1])  # spare lanes repeat targets
        at_targets = (filled, np.arange(len(filled)))
        resets = (self._alpha / system.masses[filled]).astype(np.float32)
        now[:] = 0
        now[at_targets] = resets
        _first_step(self._out, system.scales, filled, now)
        for _ in range(self._steps - 1):
            step(system.walk, system.scales, np.float32(1), now, then)
            then[at_targets] += resets
            now, then = then, now
        return now, _add_far(now, self._far, np.float32(self._later), system.masses)


@njit(cache=True, nogil=True)
def _first_step(edges, scales, targets, now):
    """Add what the targets send to their neighbors; ``now`` is 0 but for the targets themselves."""
    indptr, indices, weights = edges
    for lane in range(targets.size):
        target = np.uint64(targets[lane])
        value = now[target, lane]
        for edge in range(indptr[target], indptr[target + np.uint64(1)]):
            weight = weights[edge] if weights.size > 0 else np.float32(1.0)
            now[indices[edge], lane] += scales[indices[edge]] * weight * value


@njit(cache=True, nogil=True)
def _add_far(values, far, later, masses):
    """Add ``later`` of the ``far`` values to all nodes that were reached; returns the sums over the nodes."""
    sums = np.zeros(values.shape[1])
    for node in range(values.shape[0]):
        more, mass = later * far[node], masses[node]
        for lane in range(values.shape[1]):
            value = values[node, lane]
            value += more if value > np.float32(0.0) else np.float32(0.0)
            values[node, lane] = value
            sums[lane] += value * mass
    return sums
