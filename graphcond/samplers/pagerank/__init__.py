"""Personalized PageRank over stored edges: who ranks high as seen from a target."""
