"""Readers of tables, arrays and edges that the formats share."""
