"""Nodes and edges in groups, one for each type, as other libraries hold them."""
