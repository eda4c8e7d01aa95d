"""Sana as a base of graphcond: a linear diffusion transformer with flow matching."""
