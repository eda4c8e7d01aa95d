"""Sampling ahead: the neighbors of many targets, by many processes, into one file."""

from graphcond.precompute.plan import Plan, plan_of
from graphcond.precompute.share import Share, share_of
from graphcond.precompute.work import precompute

__all__ = ["Plan", "Share", "plan_of", "precompute", "share_of"]
