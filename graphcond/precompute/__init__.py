"""Sample the neighbors of many targets in advance, by one or many processes, into one file."""

from graphcond.precompute.plan import Plan, plan_of
from graphcond.precompute.work import Share, precompute, share_of

__all__ = ["Plan", "Share", "plan_of", "precompute", "share_of"]
