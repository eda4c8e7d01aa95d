"""Sample the neighbors of many targets in advance, by one or many processes, into one file."""

from graphcond.precompute.places import Here, Place, Processes, RayCluster
from graphcond.precompute.plan import Plan, plan_of
from graphcond.precompute.work import Share, precompute, share_of

__all__ = [
    "Here",
    "Place",
    "Plan",
    "Processes",
    "RayCluster",
    "Share",
    "plan_of",
    "precompute",
    "share_of",
]
