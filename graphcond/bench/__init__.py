"""Measured comparisons on the tiny base."""
