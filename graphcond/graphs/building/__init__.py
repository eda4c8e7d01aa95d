"""From edges to sorted rows, in memory and on disk."""
