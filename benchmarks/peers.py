"""Other libraries for personalized PageRank, each behind the same interface.

A peer's ``prepare(graph)`` does once what can be done once and gives ``rank(targets, setting)``: the 50 best
nodes of each target. Settings go from cheap to dear; the benchmark takes the first with precision@50 of at
least 0.99, or the most precise. Each library was read for what makes it fast: see the comments.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse
from jaxtyping import Float32, Int, Int64
from method import Method, Prepare, Rank, best, best_of, each
from truth import transition

from graphcond.attributed_graph import AttributedGraph


def ends(graph: AttributedGraph) -> Int[np.ndarray, "2 edges"]:
    """Both ends of every edge, in both directions, sorted."""
    return np.stack([np.repeat(np.arange(len(graph)), graph.degrees), np.asarray(graph.indices, np.int64)])


def once(graph: AttributedGraph) -> tuple[Int[np.ndarray, "2 edges"], Float32[np.ndarray, " edges"] | None]:
    """Both ends of every edge, once unless it is directed, and the weights if there are any."""
    both = ends(graph)
    kept = np.full(both.shape[1], True) if graph.directed else both[0] < both[1]
    return both[:, kept], None if graph.weights is None else graph.weights[kept]


def adjacency(graph: AttributedGraph) -> scipy.sparse.csr_matrix:
    indices = np.asarray(graph.indices)
    weights = np.ones(len(indices)) if graph.weights is None else graph.weights.astype(np.float64)
    parts = (weights, indices, graph.indptr.astype(indices.dtype))
    return scipy.sparse.csr_matrix(parts, (len(graph), len(graph)))


def with_igraph(graph: AttributedGraph, alpha: float) -> Rank:
    """PRPACK, a Gauss-Seidel solver; it goes to 1e-10 and has no setting."""
    import igraph

    edges, weights = once(graph)
    other = igraph.Graph(n=len(graph), edges=edges.T.copy(), directed=graph.directed)
    ask = {"damping": 1 - alpha, "implementation": "prpack", "directed": graph.directed, "weights": weights}
    return each(
        lambda target, _: best(np.array(other.personalized_pagerank(reset_vertices=[target], **ask)), target)
    )


def with_sknetwork(solver: str) -> Prepare:
    """It normalizes the matrix anew in every call; nothing in its interface avoids that."""

    def prepare(graph: AttributedGraph, alpha: float) -> Rank:
        from sknetwork.ranking import PageRank

        matrix = adjacency(graph)

        def one(target: int, setting: float) -> Int64[np.ndarray, " k"]:
            choice = {"tol": setting} if solver == "push" else {"n_iter": setting}
            method = PageRank(damping_factor=1 - alpha, solver=solver, **choice)
            return best(method.fit_predict(matrix, {target: 1}), target)

        return each(one)

    return prepare


def with_networkx(graph: AttributedGraph, alpha: float) -> Rank:
    """Starts at the target, which spares iterations; its tolerance is per node."""
    import networkx

    other = networkx.Graph()
    other.add_nodes_from(range(len(graph)))
    other.add_edges_from(once(graph)[0].T.tolist())

    def one(target: int, tolerance: float) -> Int64[np.ndarray, " k"]:
        at = {target: 1}
        ranks = networkx.pagerank(
            other, 1 - alpha, personalization=at, nstart=at, tol=tolerance, max_iter=500
        )
        return best(np.fromiter(ranks.values(), float, len(ranks)), target)

    return each(one)


def with_fast_pagerank(graph: AttributedGraph, alpha: float) -> Rank:
    from fast_pagerank import pagerank_power

    matrix = adjacency(graph)

    def one(target: int, tolerance: float) -> Int64[np.ndarray, " k"]:
        start = np.zeros(len(graph))
        start[target] = 1
        return best(pagerank_power(matrix, 1 - alpha, tol=tolerance, personalize=start), target)

    return each(one)


def with_pyg(graph: AttributedGraph, alpha: float) -> Rank:
    """Given a plain tensor it sorts all edges in every call; an `EdgeIndex` known to be sorted is kept."""
    import torch
    from torch_geometric import EdgeIndex
    from torch_geometric.utils import get_ppr

    edges = EdgeIndex(torch.from_numpy(ends(graph)), sparse_size=(len(graph),) * 2, sort_order="row")
    edges.get_csr()

    def rank(targets: Int64[np.ndarray, " b"], epsilon: float) -> list[Int64[np.ndarray, " k"]]:
        found, values = get_ppr(edges, alpha, epsilon, torch.from_numpy(targets), len(graph))
        rows = np.stack([found[0], found[1], values], axis=1)
        return [best_of(rows[rows[:, 0] == target, 1:], target) for target in targets.tolist()]

    return rank


def with_networkit(graph: AttributedGraph, alpha: float) -> Rank:
    """Its walk is lazy: it stays with 1/2, so that alpha / (2 - alpha) there is alpha here."""
    import networkit

    networkit.setNumberOfThreads(1)
    other = networkit.GraphFromCoo(tuple(end.copy() for end in once(graph)[0]), n=len(graph))

    def one(target: int, epsilon: float) -> Int64[np.ndarray, " k"]:
        solver = networkit.scd.ApproximatePageRank(other, alpha / (2 - alpha), epsilon)
        return best_of(np.array(solver.run(target)), target)

    return each(one)


def with_torch_ppr(graph: AttributedGraph, alpha: float) -> Rank:
    """Its own matrix is COO, summed anew in every call; CSR is faster and allowed."""
    import torch
    from torch_ppr import personalized_page_rank

    torch.set_num_threads(1)
    matrix = transition(graph, np.float32)
    parts = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    spread = torch.sparse_csr_tensor(*parts, size=matrix.shape)

    def rank(targets: Int64[np.ndarray, " b"], epsilon: float) -> list[Int64[np.ndarray, " k"]]:
        ask = {"alpha": alpha, "epsilon": epsilon, "device": "cpu"}
        values = personalized_page_rank(adj=spread, indices=torch.from_numpy(targets), **ask).numpy()
        return [best(row, target) for row, target in zip(values, targets.tolist(), strict=True)]

    return rank


def with_scipy(graph: AttributedGraph, alpha: float) -> Rank:
    """Power iteration in float32 on a block of targets, which reads the edges once for all."""
    spread = np.float32(1 - alpha) * transition(graph, np.float32)

    def rank(targets: Int64[np.ndarray, " b"], iterations: int) -> list[Int64[np.ndarray, " k"]]:
        start = (targets, np.arange(len(targets)))
        now = np.zeros((len(graph), len(targets)), np.float32)
        now[start] = 1
        for _ in range(iterations):
            now = spread @ now
            now[start] += np.float32(alpha)
        return [best(row, target) for row, target in zip(now.T.copy(), targets.tolist(), strict=True)]

    return rank


TOLERANCE = "tolerance {:g}"
EPSILON = "epsilon {:g}"
STEPS = "{} iterations"
PEERS = {
    "networkx": Method(
        with_networkx, ("networkx",), (1e-6, 1e-8, 1e-10), TOLERANCE, graphs=("citeseer", "S")
    ),
    "igraph (PRPACK)": Method(with_igraph, ("igraph",)),
    "scikit-network, power iteration": Method(
        with_sknetwork("piteration"), ("sknetwork.ranking",), (6, 8, 10, 14, 20), STEPS
    ),
    "scikit-network, D-iteration": Method(
        with_sknetwork("diteration"), ("sknetwork.ranking",), (4, 6, 8, 10, 14), STEPS
    ),
    "scikit-network, push": Method(with_sknetwork("push"), ("sknetwork.ranking",), (1e-6,), TOLERANCE),
    "fast-pagerank": Method(with_fast_pagerank, ("fast_pagerank",), (1e-3, 1e-4, 1e-5, 1e-6), TOLERANCE),
    "PyG get_ppr": Method(
        with_pyg, ("torch_geometric.utils",), (1e-6, 3e-7, 1e-7), EPSILON, batch=4, weighted=False
    ),
    "networkit": Method(
        with_networkit, ("networkit",), (1e-6, 3e-7, 1e-7), EPSILON, weighted=False, directed=False
    ),
    "torch-ppr": Method(with_torch_ppr, ("torch_ppr",), (1e-3, 1e-4, 1e-5, 1e-6), TOLERANCE, batch=16),
    "scipy, blocks of 16, float32": Method(
        with_scipy, ("scipy.sparse",), tuple(range(4, 25)), STEPS, batch=16
    ),
}
