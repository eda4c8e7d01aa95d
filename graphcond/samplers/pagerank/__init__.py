"""Personalized PageRank over stored edges: the rank of each node, as seen from a target."""
