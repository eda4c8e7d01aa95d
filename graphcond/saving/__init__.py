"""Saved models, and checkpoints of other systems in their own layouts."""
