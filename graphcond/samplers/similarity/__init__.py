"""Similarities: scores of how well candidates fit a target."""
