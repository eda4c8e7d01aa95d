"""Personalized PageRank over edges that shared attributes imply, none of which is stored."""
