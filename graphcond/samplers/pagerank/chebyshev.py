"""Chebyshev semi-iteration: PageRank on undirected edges in a third of the steps of power iteration.

x = c P^T x + alpha e_target, c = 1 - alpha. Where edges are undirected, P^T = A D^-1 is similar to the
symmetric D^-1/2 A D^-1/2, whose eigenvalues lie in [-1, 1]. Then

    x_1 = c P^T x_0 + alpha e,    x_k+1 = w_k+1 (c P^T x_k + alpha e - x_k-1) + x_k-1

with w_k of `weights` leaves T_k(P^T) / T_k(1/c) times the first error, T_k the Chebyshev polynomial.
Golub and Varga, Chebyshev semi-iterative methods, Numerische Mathematik 3, 1961; Saad, Iterative Methods
for Sparse Linear Systems, 2003, section 12.3. Directed edges have no such spectrum: iterate those with w = 1.

Bounds from x_0 = e_target: after k steps sqrt(sum_i error_i^2 / d_i) <= 1 / (sqrt(d_target) T_k(1/c)). Thus
|error_i| <= sqrt(d_i / d_target) / T_k(1/c), and by Cauchy and Schwarz the sum of |error_i| is at most
sqrt(sum_i d_i / d_target) / T_k(1/c), i over the nodes that can be reached. On any graph, and often tighter:
sum |error_i| <= sum |c P^T x + alpha e - x|_i / alpha.
"""

from __future__ import annotations

from math import acosh, ceil, log1p, sqrt

import numpy as np
from jaxtyping import Float64


def steps_for(tolerance: float, alpha: float) -> int:
    """The fewest steps k >= 1 with 1 / T_k(1 / (1 - alpha)) <= ``tolerance``.

    For a bound on the sum of all nodes' errors, divide the tolerance by sqrt(sum_i d_i / d_target) first.
    """
    beyond = alpha / (1 - alpha)
    # acosh(1 + beyond), which keeps its digits where alpha is tiny.
    gain = log1p(beyond + sqrt(beyond * (2 + beyond)))
    return max(1, ceil(acosh(1 / min(tolerance, 1.0)) / gain))


def weights(alpha: float, steps: int) -> Float64[np.ndarray, " steps"]:
    """w_1 = 1, w_2 = 2 / (2 - c^2) and w_k+1 = 1 / (1 - c^2 w_k / 4), which lie between 1 and 2."""
    square = (1 - alpha) ** 2
    found = np.ones(steps)
    for step in range(1, steps):
        found[step] = 1 / (1 - square * found[step - 1] / (2 if step == 1 else 4))
    return found
