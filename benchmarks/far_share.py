"""Errors of the push's estimates for several values of FAR_SHARE, the constant of its correction.

    python benchmarks/far_share.py

Prints a markdown table for the graphs S and M: the mean error of the 50 best nodes, as a share of the bound
that the push keeps for each. The constant that graphcond has was read from this table.
"""

from __future__ import annotations

import argparse

import numpy as np
from graphs import folder_of
from truth import ALPHA, BEST

from graphcond.graphs import open_graph
from graphcond.samplers.pagerank.power import PowerIteration
from graphcond.samplers.pagerank.push import ForwardPush
from graphcond.samplers.pagerank.walk import RandomWalk
from graphcond.samplers.ranking import RankingConstraints

TARGETS = 40


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter).parse_args()
    print("| graph | epsilon | FAR_SHARE | error, share of the bound |\n|---|---|---|---|")
    for name in ("S", "M"):
        walk = RandomWalk.on(open_graph(folder_of(name)))
        targets = np.random.default_rng(0).choice(np.flatnonzero(walk.strengths), TARGETS, replace=False)
        exact = PowerIteration(walk, alpha=ALPHA, tolerance=1e-9)
        truth = {target: exact.solve(target) for target in targets.tolist()}
        for epsilon in (1e-5, 3e-6):
            for share in (0.0, 0.1, 0.2, 0.3, 0.5, 1.0):
                print(f"| {name} | {epsilon:g} | {share} | {error(walk, truth, epsilon, share):.4f} |")


def error(walk: RandomWalk, truth: dict[int, np.ndarray], epsilon: float, share: float) -> float:
    pusher = ForwardPush(walk, alpha=ALPHA, epsilon=epsilon, far_share=share)
    found = pusher.rank(np.array(list(truth)), RankingConstraints(BEST, np.ones(len(walk), bool)))
    errors = []
    for target, nodes, scores in zip(truth, found.neighbors, found.scores, strict=True):
        nodes, scores = nodes[nodes >= 0], scores[nodes >= 0]
        errors.append(np.mean(np.abs(scores - truth[target][nodes]) / pusher.limits(target)[nodes]))
    return float(np.mean(errors))


if __name__ == "__main__":
    main()
