"""Graphs and sets of scenes as training, drawing and evaluation read them."""
