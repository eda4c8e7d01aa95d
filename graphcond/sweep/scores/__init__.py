"""Scores: what a sweep measures of every row, one file each."""
