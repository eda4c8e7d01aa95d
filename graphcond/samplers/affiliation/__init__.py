"""Personalized PageRank over edges that shared attributes imply, without storing any."""
