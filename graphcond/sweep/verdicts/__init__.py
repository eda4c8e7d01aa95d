"""Verdicts: what a sweep says of its figures, one file each."""
