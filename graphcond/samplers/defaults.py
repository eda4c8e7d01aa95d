"""The sampler where nobody names one, and the samplers that comparisons try. Nothing here imports numba."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphcond.attributed_graph import AttributedGraph, Column

RIVALS: Mapping[str, Mapping[str, Any]] = {
    "random": {"kind": "random"},
    "khop": {"kind": "khop"},
    "hop_mean": {"kind": "hop_mean"},
    "ppr": {"kind": "ppr"},
    "semantic (text)": {"kind": "semantic"},
    "semantic_ppr (text)": {"kind": "semantic_ppr", "similarity": {"kind": "text_image"}},
    "semantic_ppr (consensus)": {"kind": "semantic_ppr", "similarity": {"kind": "consensus"}},
}
"""Every way to choose five neighbors, and the means of two steps as a control."""


def default_sampler(graph: AttributedGraph, columns: frozenset[Column]) -> dict[str, Any]:
    """The settings of the sampler that suits a graph: as the recipes have it, if it has edges and pictures.

    Args:
        graph: without edges, nodes are compared; without pictures, nodes without one are chosen.
        columns: the embeddings that there are of the nodes.
    """
    pictured = any(picture is not None for picture in graph.nodes.pictures)
    linked = len(graph.indices) > 0
    settings: dict[str, Any] = {} if pictured else {"require_picture": False}
    if "extra" in columns:
        similarity = "embedding"
    elif pictured:
        similarity = "consensus" if linked else "text_image"
    elif linked:
        return {"kind": "ppr", **settings}
    else:
        similarity = "text_text"
    kind = "semantic_ppr" if linked else "semantic"
    return {"kind": kind, **settings, "similarity": {"kind": similarity}}
